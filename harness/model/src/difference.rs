//! How what was found differs from what was expected.

use std::collections::BTreeMap;

use crate::{Entries, Model, Node, Number, join};

/// Which numbers what was found must have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Numbers {
    /// Any, the same for all names of a file: whoever expects something gave out numbers of its own.
    Any,
    /// Those that are expected.
    Expected,
}

/// Says how a filesystem differs from a state; nothing when it doesn't. Snapshots are PFSs of their own, to be compared by
/// themselves.
pub fn difference(found: &Model, wanted: &Model, numbers: Numbers) -> Option<String> {
    let (mut known, mut expectations) = (BTreeMap::new(), BTreeMap::new());
    let mut pending = vec![(String::new(), Number::ROOT, Number::ROOT)];
    while let Some((path, there, expected)) = pending.pop() {
        if numbers == Numbers::Expected && there != expected {
            return Some(format!("/{path}: inode {there}, should be {expected}"));
        }
        match (known.insert(expected, there), expectations.insert(there, expected)) {
            (None, None) => {}
            (Some(other), _) if other != there => {
                return Some(format!("/{path}: inode {there}, of another name {other}"));
            }
            (_, Some(other)) if other != expected => {
                return Some(format!("/{path}: inode {there}, which has a name that is for another"));
            }
            _ => continue,
        }
        let what = match (found.get(there), wanted.get(expected)) {
            (Some(Node::Directory(found)), Some(Node::Directory(wanted))) => {
                let what = names_differ(found, wanted);
                if what.is_none() {
                    let below = found.iter().zip(wanted.values());
                    pending.extend(below.map(|((name, found), wanted)| (join(&path, name), *found, *wanted)));
                }
                what
            }
            (Some(found), Some(wanted)) => node_differs(found, wanted),
            _ => Some("nothing is known of what it names".to_owned()),
        };
        if let Some(what) = what {
            return Some(format!("/{path}: {what}"));
        }
    }
    None
}

fn names_differ(found: &Entries, wanted: &Entries) -> Option<String> {
    if found.keys().eq(wanted.keys()) {
        return None;
    }
    let missing: Vec<_> = wanted.iter().filter(|(name, _)| !found.contains_key(*name)).collect();
    let extra: Vec<_> = found.iter().filter(|(name, _)| !wanted.contains_key(*name)).collect();
    Some(format!("it lacks {missing:?} and has {extra:?}"))
}

fn node_differs(found: &Node, wanted: &Node) -> Option<String> {
    let what = match (found, wanted) {
        (Node::File { content: found, .. }, Node::File { content: wanted, .. }) if found != wanted => {
            let first = found.iter().zip(wanted.iter()).position(|(found, wanted)| found != wanted);
            let (found, wanted) = (found.len(), wanted.len());
            format!("{found} bytes, should be {wanted}; the first that differs: {first:?}")
        }
        (Node::Symlink { target: found, .. }, Node::Symlink { target: wanted, .. }) if found != wanted => {
            "the link leads elsewhere".to_owned()
        }
        (Node::File { .. }, Node::File { .. }) | (Node::Symlink { .. }, Node::Symlink { .. }) => {
            if found.links() == wanted.links() {
                return None;
            }
            format!("it says it has {:?} names, should be {:?}", found.links(), wanted.links())
        }
        _ => "of another kind".to_owned(),
    };
    Some(what)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Bytes, Step};

    fn model(steps: &[Step]) -> Model {
        let mut model = Model::new();
        for step in steps {
            assert!(step.apply(&mut model), "{step:?}");
        }
        model
    }

    fn beginning() -> Vec<Step> {
        vec![
            Step::Mkdir("d".into()),
            Step::Create("d/f".into()),
            Step::Write("d/f".into(), 0, 100, Bytes::Noise),
            Step::Link("d/f".into(), "g".into()),
            Step::Create("h".into()),
            Step::Write("h".into(), 0, 100, Bytes::Noise),
            Step::Link("h".into(), "i".into()),
            Step::Symlink("s".into(), "target".into()),
        ]
    }

    fn after(steps: &[Step]) -> Option<String> {
        let changed: Vec<Step> = beginning().into_iter().chain(steps.iter().cloned()).collect();
        difference(&model(&changed), &model(&beginning()), Numbers::Any)
    }

    #[test]
    fn every_kind_of_difference_is_seen() {
        assert_eq!(after(&[]), None);
        let has = |steps: &[Step], what: &str| {
            let difference = after(steps).unwrap_or_default();
            assert!(difference.contains(what), "{steps:?}: {difference:?}");
        };
        let path = || "d/f".to_owned();
        has(&[Step::Mkdir("e".into())], "lacks [] and has [(\"e\"");
        has(&[Step::Create("d/e".into())], "/d: it lacks [] and has [(\"e\"");
        has(&[Step::Unlink("h".into())], "/: it lacks [(\"h\"");
        has(&[Step::Truncate(path(), 99)], "99 bytes, should be 100; the first that differs: None");
        has(&[Step::Punch(path(), 7, 1)], "the first that differs: Some(7)");
        has(&[Step::Unlink("s".into()), Step::Symlink("s".into(), "elsewhere".into())], "/s: the link leads elsewhere");
        has(&[Step::Unlink("s".into()), Step::Create("s".into())], "/s: of another kind");
        // The same content and as many names, but of others.
        has(&[Step::Exchange("g".into(), "h".into())], "of another name");
        // Two names of one file where there should be two files.
        let two = model(&[Step::Create("a".into()), Step::Create("b".into())]);
        let mut one = two.clone();
        let entries = Entries::from([("a".into(), Number(2)), ("b".into(), Number(2))]);
        one.insert(Number::ROOT, Node::Directory(entries.into()));
        let what = difference(&one, &two, Numbers::Any).unwrap();
        assert_eq!(what, "/a: inode 0x2, which has a name that is for another");
        let mut miscounted = model(&beginning());
        let number = miscounted.find("h").unwrap();
        let content = miscounted.content("h").unwrap().clone().into();
        miscounted.insert(number, Node::File { content, links: 3 });
        let what = difference(&miscounted, &model(&beginning()), Numbers::Any);
        assert_eq!(what.unwrap(), "/i: it says it has Some(3) names, should be Some(2)");
        assert_eq!(miscounted.miscounted().unwrap(), "inode 0x4 has 2 names and says 3");
        assert_eq!(model(&beginning()).miscounted(), None);
    }

    #[test]
    fn numbers_count_where_they_are_expected() {
        let wanted = model(&beginning());
        let mut found = Model::new();
        let others = [Step::Create("x".into()), Step::Unlink("x".into())];
        let order = beginning().into_iter().rev().filter(|step| matches!(step, Step::Mkdir(_) | Step::Symlink(..)));
        for step in others.into_iter().chain(order).chain(beginning()) {
            step.apply(&mut found);
        }
        assert_eq!(difference(&found, &wanted, Numbers::Any), None);
        let what = difference(&found, &wanted, Numbers::Expected);
        assert_eq!(what.unwrap(), "/s: inode 0x2, should be 0x5");
        assert_eq!(difference(&wanted, &wanted.clone(), Numbers::Expected), None);
    }
}
