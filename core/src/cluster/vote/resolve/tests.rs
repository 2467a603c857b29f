//! Verdicts by exhaustion: every ballot of small clusters, with every sync set.

extern crate std;

use super::*;
use crate::cluster::vote::electorate::Voters;
use crate::cluster::vote::{Electorate, Role, Target};
use crate::media::{BlockName, Corruption, DataOff};
use std::vec;
use std::vec::Vec;

const FAULT: NodeFault = NodeFault::Corrupt {
    block: BlockName { kind: 1, key: Key(5), data_off: DataOff(0) },
    corruption: Corruption::NoBlock,
};

const fn element(key: u64, tid: u64) -> Element {
    let (key, modify_tid) = (Key(key), ModifyTid(tid));
    Element { key, kind: BlockKind::Inode, keybits: KeyBits(0), modify_tid, bytes: 1024 }
}

/// All that a node can say: one element in two states and with a fault, another under a higher key, none, or that it failed.
const ANSWERS: [Vote; 6] = [
    Vote::Absent,
    Vote::Present(element(5, 10)),
    Vote::Present(element(5, 11)),
    Vote::Present(element(7, 10)),
    Vote::Unreadable(element(5, 10), FAULT),
    Vote::Failed(FAULT),
];
/// Pending, or one of the answers.
const CHOICES: usize = ANSWERS.len() + 1;

fn masters(count: usize, sync: NodeSet, electorate: Electorate, target: Target) -> View {
    let roles = core::array::from_fn(|index| (index < count).then_some(Role::Master));
    View { roles, sync, electorate, target }
}

/// Ballot `number`: a digit for each member of the sync set. Nodes outside it vote differently, and must be ignored.
fn ballot(number: usize, sync: NodeSet, count: usize) -> Vec<Vote> {
    let mut votes = vec![Vote::Present(element(3, 99)); count];
    let mut rest = number;
    for node in sync.iter() {
        votes[usize::from(node.0)] = match rest % CHOICES {
            0 => Vote::Pending,
            choice => ANSWERS[choice - 1],
        };
        rest /= CHOICES;
    }
    votes
}

/// Presence and absence are final; the copy to read isn't.
fn decision(verdict: &Verdict) -> Option<Option<Element>> {
    match verdict {
        Verdict::Present { element, .. } => Some(Some(*element)),
        Verdict::NotFound(_) => Some(None),
        Verdict::InProgress { .. } | Verdict::NoQuorum { .. } | Verdict::AllFailed { .. } => None,
    }
}

fn check_rules(votes: &[Vote], view: &View, verdict: &Verdict) {
    let asked = view.sync;
    let saying = |wanted: &dyn Fn(&Vote) -> bool| -> NodeSet {
        asked.iter().filter(|node| wanted(&votes[usize::from(node.0)])).collect()
    };
    let enough = |set: NodeSet| match view.target {
        Target::Quorum => view.electorate.has_quorum(set),
        Target::Soft(node) => set.contains(node),
        Target::AsOf => 2 * set.len() > asked.len(),
    };
    let failed = saying(&|vote| matches!(vote, Vote::Failed(_)));
    match verdict {
        Verdict::Present { element, focus, agree, readable, care } => {
            let same = saying(&|vote| vote.element() == Some(element));
            assert_eq!(*agree, same, "{votes:?}");
            assert!(enough(same) || same.union(failed) == asked, "{votes:?}");
            assert_eq!(*readable, saying(&|vote| *vote == Vote::Present(*element)), "{votes:?}");
            assert!(readable.contains(*focus));
            let all = agree.union(care.evict).union(care.heal).union(care.late);
            assert_eq!((all, care.evict.intersection(*agree)), (asked, NodeSet::EMPTY), "{votes:?}");
        }
        Verdict::NotFound(care) => {
            let absent = saying(&|vote| *vote == Vote::Absent);
            assert!(enough(absent) || absent == asked, "{votes:?}");
            assert_eq!(care.evict, saying(&|vote| vote.element().is_some()), "{votes:?}");
        }
        Verdict::InProgress { waiting, .. } => {
            assert_eq!(*waiting, saying(&|vote| *vote == Vote::Pending), "{votes:?}");
            assert!(!waiting.is_empty());
        }
        Verdict::NoQuorum { .. } => {}
        Verdict::AllFailed { nodes, .. } => {
            assert!(!nodes.is_empty() && saying(&|vote| vote.fault().is_some()).contains_all(*nodes), "{votes:?}");
            assert!(saying(&|vote| *vote == Vote::Pending).is_empty(), "{votes:?}");
        }
    }
}

/// Checks all ballots in one view, and counts the verdicts of each kind.
fn check_all(count: usize, view: &View, kinds: &mut [usize; 5]) {
    let members: Vec<_> = view.sync.iter().collect();
    let ballots = CHOICES.pow(members.len() as u32);
    let verdicts: Vec<Verdict> = (0..ballots).map(|number| resolve(&ballot(number, view.sync, count), view)).collect();
    // Ballots that can follow from a ballot have higher numbers.
    let mut can_decide = vec![false; ballots];
    for number in (0..ballots).rev() {
        let votes = ballot(number, view.sync, count);
        let verdict = &verdicts[number];
        check_rules(&votes, view, verdict);
        let decided = decision(verdict);
        can_decide[number] = decided.is_some();
        for (place, node) in members.iter().enumerate() {
            if votes[usize::from(node.0)] != Vote::Pending {
                continue;
            }
            for answer in 1..CHOICES {
                let later = number + answer * CHOICES.pow(place as u32);
                can_decide[number] |= can_decide[later];
                if decided.is_some() {
                    assert_eq!(decision(&verdicts[later]), decided, "{votes:?}: node {node} answered");
                }
            }
        }
        let in_progress = matches!(verdict, Verdict::InProgress { .. });
        assert_eq!(in_progress, decided.is_none() && can_decide[number], "{votes:?} in {view:?}: {verdict:?}");
        kinds[match verdict {
            Verdict::Present { .. } => 0,
            Verdict::NotFound(_) => 1,
            Verdict::InProgress { .. } => 2,
            Verdict::NoQuorum { .. } => 3,
            Verdict::AllFailed { .. } => 4,
        }] += 1;
    }
}

#[test]
fn every_ballot_of_up_to_five_masters() {
    let mut kinds = [0; 5];
    for count in 1..=5 {
        for sync in (1..1 << count).map(NodeSet) {
            let electorate = Electorate::of(NodeSet::first_nodes(count), count);
            check_all(count, &masters(count, sync, electorate, Target::Quorum), &mut kinds);
            check_all(count, &masters(count, sync, electorate, Target::AsOf), &mut kinds);
        }
    }
    assert!(kinds.iter().all(|kind| *kind > 0), "{kinds:?}");
}

#[test]
fn every_ballot_while_a_change_of_members_is_pending() {
    let mut kinds = [0; 5];
    let voters = |nodes: u8| Voters { nodes: NodeSet(nodes), count: NodeSet(nodes).len() };
    for (current, previous) in [(0b0111, 0b1110), (0b0001, 0b1110), (0b1111, 0b0111)] {
        let electorate = Electorate { current: voters(current), previous: Some(voters(previous)) };
        check_all(4, &masters(4, NodeSet(0b1111), electorate, Target::Quorum), &mut kinds);
    }
    assert!(kinds.iter().all(|kind| *kind > 0), "{kinds:?}");
}

#[test]
fn a_soft_mount_hears_its_node_alone() {
    let mut kinds = [0; 5];
    for node in (0..3).map(NodeIndex) {
        let electorate = Electorate::of(NodeSet(0b111), 3);
        check_all(3, &masters(3, NodeSet::only(node), electorate, Target::Soft(node)), &mut kinds);
    }
    assert!(kinds[..3].iter().all(|kind| *kind > 0) && kinds[4] > 0, "{kinds:?}");
}

#[test]
fn a_slave_in_step_lends_its_copy_but_not_its_voice() {
    let mut view = masters(3, NodeSet(0b1111), Electorate::of(NodeSet(0b111), 3), Target::Quorum);
    view.roles[3] = Some(Role::Slave);
    let (good, bad) = (Vote::Present(element(5, 10)), Vote::Unreadable(element(5, 10), FAULT));
    let verdict = resolve(&[bad, bad, bad, good], &view);
    let Verdict::Present { focus, care, .. } = verdict else { panic!("{verdict:?}") };
    assert_eq!((focus, care.heal), (NodeIndex(3), NodeSet(0b111)));
    let waits = Verdict::InProgress { waiting: NodeSet(0b1000), diverged: NodeSet::EMPTY };
    assert_eq!(resolve(&[bad, bad, bad, Vote::Pending], &view), waits);
    let verdict = resolve(&[Vote::Absent, Vote::Absent, Vote::Pending, good], &view);
    let care = Care { evict: NodeSet(0b1000), late: NodeSet(0b100), heal: NodeSet::EMPTY };
    assert_eq!(verdict, Verdict::NotFound(care));
    let verdict = resolve(&[good, Vote::Absent, Vote::Failed(FAULT), good], &view);
    assert!(matches!(verdict, Verdict::NoQuorum { .. }), "{verdict:?}");
}

#[test]
fn votes_that_arent_there_decide_nothing() {
    let view = masters(3, NodeSet(0b111), Electorate::of(NodeSet(0b111), 3), Target::Quorum);
    let nobody = Verdict::NoQuorum { diverged: NodeSet::EMPTY, failed: NodeSet::EMPTY };
    assert_eq!(resolve(&[], &view), nobody);
    assert_eq!(resolve(&[Vote::Absent], &view), nobody);
    let empty = View { sync: NodeSet::EMPTY, ..view };
    assert_eq!(resolve(&[Vote::Absent; 3], &empty), nobody);
    assert_eq!(resolve(&[Vote::Absent; 20], &View { target: Target::Soft(NodeIndex(9)), ..view }), nobody);
}
