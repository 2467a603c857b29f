//! What must be on a volume, noted as the lines of its manifest: JSON, a line for each file, the path first.

use std::collections::BTreeSet;

/// The lines of a manifest that are to be compared.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Notes {
    lines: BTreeSet<String>,
}

/// What becomes of three files.
#[derive(Debug, PartialEq)]
pub(super) struct Victims {
    /// It is removed.
    pub(super) removed: String,
    /// It is moved.
    pub(super) moved: String,
    /// Its mode is changed.
    pub(super) changed: String,
}

impl Notes {
    /// Of a manifest: all but the root; directories without their time, which changes with what is in them.
    pub(super) fn of(manifest: &str) -> Self {
        let lines = manifest.lines().filter(|line| path(line) != Some("."));
        Self {
            lines: lines.map(|line| if is_directory(line) { without_time(line) } else { line.to_owned() }).collect(),
        }
    }

    /// The first three files that have one name, and a plain one; none, if there aren't so many.
    pub(super) fn victims(&self) -> Option<Victims> {
        let plain =
            |path: &&str| !path.is_empty() && path.chars().all(|c| c.is_ascii_alphanumeric() || "_./-".contains(c));
        let is_file = |line: &&String| line.contains("\",\"type\":\"file\",") && line.contains("\"nlink\":1,");
        let mut paths =
            self.lines.iter().filter(is_file).filter_map(|line| path(line)).filter(plain).map(str::to_owned);
        Some(Victims { removed: paths.next()?, moved: paths.next()?, changed: paths.next()? })
    }

    /// What must be there when that is done: one file is gone, one has another path, one has another mode.
    pub(super) fn after(&self, victims: &Victims, moved_to: &str, mode: &str) -> Self {
        let change = |line: &String| match path(line) {
            Some(path) if path == victims.removed => None,
            Some(path) if path == victims.moved => Some(line.replacen(&opening(path), &opening(moved_to), 1)),
            Some(path) if path == victims.changed => Some(with_mode(line, mode)),
            _ => Some(line.clone()),
        };
        Self { lines: self.lines.iter().filter_map(change).collect() }
    }

    /// Without a folder and what is in it, but for one path.
    pub(super) fn without(&self, folder: &str, but: &str) -> Self {
        let below = format!("{folder}/");
        let stays =
            |line: &&String| path(line).is_none_or(|path| path == but || (path != folder && !path.starts_with(&below)));
        Self { lines: self.lines.iter().filter(stays).cloned().collect() }
    }

    /// The lines that only one of two has, as diff(1) shows them.
    pub(super) fn difference(&self, other: &Self) -> Vec<String> {
        let ours = self.lines.difference(&other.lines).map(|line| format!("< {line}"));
        ours.chain(other.lines.difference(&self.lines).map(|line| format!("> {line}"))).collect()
    }
}

/// The path of a line, as it is written there.
fn path(line: &str) -> Option<&str> {
    let rest = line.strip_prefix("{\"path\":\"")?;
    // A quotation mark in a path has a backslash before it.
    let mut is_escaped = false;
    let end = rest.find(|c: char| {
        let is_end = c == '"' && !is_escaped;
        is_escaped = c == '\\' && !is_escaped;
        is_end
    })?;
    rest.get(..end)
}

fn opening(path: &str) -> String {
    format!("{{\"path\":\"{path}\"")
}

fn is_directory(line: &str) -> bool {
    line.contains("\"type\":\"dir\"")
}

/// Without the first time of modification.
fn without_time(line: &str) -> String {
    let Some((before, after)) = line.split_once(",\"mtime_ns\":") else { return line.to_owned() };
    format!("{before}{}", after.trim_start_matches(|c: char| c.is_ascii_digit()))
}

fn with_mode(line: &str, mode: &str) -> String {
    let Some((before, after)) = line.split_once("\"mode\":\"") else { return line.to_owned() };
    let rest = after.split_once('"').map_or("", |(_, rest)| rest);
    format!("{before}\"mode\":\"{mode}\"{rest}")
}

#[cfg(test)]
mod tests {
    use super::{Notes, Victims, path};

    const MANIFEST: &str = r#"{"path":".","type":"dir","mode":"0755","mtime_ns":1}
{"path":"d","type":"dir","mode":"0755","mtime_ns":12,"nlink":1,"x":0}
{"path":"a","type":"file","mode":"0644","nlink":1,"mtime_ns":5}
{"path":"b b","type":"file","mode":"0644","nlink":1,"mtime_ns":5}
{"path":"d/c","type":"file","mode":"0644","nlink":1,"mtime_ns":5}
{"path":"e","type":"file","mode":"0600","nlink":1,"mtime_ns":5}
{"path":"twice","type":"file","mode":"0600","nlink":2,"mtime_ns":5}
"#;

    fn victims() -> Victims {
        Victims { removed: "a".to_owned(), moved: "d/c".to_owned(), changed: "e".to_owned() }
    }

    #[test]
    fn a_path_ends_where_it_is_quoted() {
        assert_eq!(path(r#"{"path":"a","type":"#), Some("a"));
        assert_eq!(path(r#"{"path":"a\"b\\","type":"#), Some(r#"a\"b\\"#));
        assert_eq!(path(r#"{"digest":"a"}"#), None);
    }

    #[test]
    fn directories_have_no_time_and_the_root_is_not_noted() {
        let notes = Notes::of(MANIFEST);
        assert_eq!(notes.lines.len(), 6);
        assert!(notes.lines.contains(r#"{"path":"d","type":"dir","mode":"0755","nlink":1,"x":0}"#));
    }

    #[test]
    fn plain_files_with_one_name_are_taken() {
        assert_eq!(Notes::of(MANIFEST).victims(), Some(victims()));
        assert_eq!(Notes::of(&MANIFEST.replace("\"path\":\"e\"", "\"path\":\"e e\"")).victims(), None);
    }

    #[test]
    fn what_is_done_is_noted_and_what_is_not_is_told() {
        let noted = Notes::of(MANIFEST).after(&victims(), "put here/moved", "0751");
        let done = MANIFEST
            .replace("{\"path\":\"a\",\"type\":\"file\",\"mode\":\"0644\",\"nlink\":1,\"mtime_ns\":5}\n", "")
            .replace("\"path\":\"d/c\"", "\"path\":\"put here/moved\"")
            .replace(
                "\"path\":\"e\",\"type\":\"file\",\"mode\":\"0600\"",
                "\"path\":\"e\",\"type\":\"file\",\"mode\":\"0751\"",
            );
        let put = "{\"path\":\"put here\",\"type\":\"dir\"}\n{\"path\":\"put here/movedx\",\"type\":\"file\"}\n";
        let there = Notes::of(&(done.clone() + put)).without("put here", "put here/moved");
        assert_eq!(noted.difference(&there), [""; 0]);
        // A time that has changed, a file that wasn't removed.
        let wrong = done
            .replace("\"mode\":\"0644\",\"nlink\":1,\"mtime_ns\":5", "\"mode\":\"0644\",\"nlink\":1,\"mtime_ns\":6");
        assert_eq!(noted.difference(&Notes::of(&wrong)).len(), 4);
        assert_eq!(noted.difference(&Notes::of(MANIFEST)).len(), 5);
    }
}
