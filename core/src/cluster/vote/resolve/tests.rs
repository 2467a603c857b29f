//! Verdicts on single ballots.

use super::*;
use crate::cluster::vote::{Electorate, Role, Target};

fn element(tid: u64) -> Element {
    Element { key: Key(5), kind: BlockKind::Inode, keybits: KeyBits(0), modify_tid: ModifyTid(tid), bytes: 1024 }
}

fn masters(count: usize) -> View {
    let all = NodeSet::first_nodes(count);
    let roles = core::array::from_fn(|index| (index < count).then_some(Role::Master));
    View { roles, sync: all, electorate: Electorate::of(all, count), target: Target::Quorum }
}

#[test]
fn partial_agreement_waits_for_whom_it_needs() {
    let votes = [Vote::Present(element(10)), Vote::Absent, Vote::Pending];
    let waiting = NodeSet::only(NodeIndex(2));
    assert_eq!(resolve(&votes, &masters(3)), Verdict::InProgress { waiting, diverged: NodeSet(0b011) });
    let votes = [Vote::Present(element(10)), Vote::Present(element(10)), Vote::Pending];
    assert!(matches!(resolve(&votes, &masters(3)), Verdict::Present { agree: NodeSet(0b011), .. }));
}
