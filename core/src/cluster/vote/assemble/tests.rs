//! Mounts that the table of protocol 2.3 has no rows for.

extern crate std;

use super::*;
use crate::cluster::vote::testing::{Line, fsid, member as entry};
use crate::media::PfsKind;
use std::string::ToString;
use std::vec::Vec;

/// A master whose role is that of its record.
fn seen(record: &ClusterRecord) -> Seen<'_> {
    let condition = Condition::default();
    Seen { fsid: record.fsid, role: Role::Master, masters: 3, record: Ok(Some(record)), condition }
}

fn mount(records: &[ClusterRecord]) -> Assembly {
    assemble(&records.iter().map(seen).collect::<Vec<_>>(), &Ask::of(Mount::Quorum))
}

fn mount_with(records: &[ClusterRecord], ask: &Ask, change: impl FnOnce(&mut [Seen<'_>])) -> Assembly {
    let mut members: Vec<_> = records.iter().map(seen).collect();
    change(&mut members);
    assemble(&members, ask)
}

fn served(assembly: Assembly) -> Plan {
    match assembly {
        Assembly::Serve(plan) => plan,
        other => panic!("not served: {other:?}"),
    }
}

#[test]
fn split_brain_is_for_the_operator() {
    let common = Line::new(1).commits(3);
    let mine = common.clone().epoch(2).commits(2).of(0);
    let others = common.nonce_epoch(2, 9).commits(2);
    let records = [mine, others.of(1), others.of(2)];
    let node = NodeIndex(0);
    let stop = mount(&records);
    assert!(matches!(stop, Assembly::Alarm(Alarm::SplitBrain { .. })), "{stop:?}");
    // The operator's decision settles it, and the next record says so.
    let forced = mount_with(&records, &Ask::of(Mount::Forced(NodeIndex(1))), |_| {});
    let Assembly::Serve(plan) = forced else { panic!("{forced:?}") };
    assert!(plan.forced && plan.states[0] == State::Compare(Distrust::GivenUp));
    assert_eq!(plan.given_up.as_slice(), [records[0].version.commit]);
    let accepted = others.with(|record| record.accepted.extend(plan.given_up.iter().copied())).epoch(3).commits(1);
    let plan = served(mount(&[records[0].clone(), accepted.of(1), accepted.of(2)]));
    assert_eq!(plan.states[0], State::Compare(Distrust::GivenUp));
    // What the loser does after that isn't accepted.
    let further = Line::new(1).commits(3).epoch(2).commits(3).of(0);
    let stop = mount(&[further, accepted.of(1), accepted.of(2)]);
    assert!(matches!(stop, Assembly::Alarm(Alarm::SplitBrain { .. })), "{stop:?}");
    assert_eq!(
        mount_with(&records, &Ask::of(Mount::AsOf(Some(node))), |_| {}),
        Assembly::ReadOnlyAsOf { version: records[0].version, nodes: NodeSet::only(node) }
    );
}

#[test]
fn an_acknowledged_tail_is_never_undone() {
    // With two commits more, the first of them was acknowledged before the second was permitted.
    let ahead = Line::new(1).commits(5).of(0);
    let others = Line::new(1).commits(3).epoch(2).commits(1);
    let stop = mount(&[ahead, others.of(1), others.of(2)]);
    assert!(matches!(stop, Assembly::Alarm(Alarm::AckedTail { node: NodeIndex(0), .. })), "{stop:?}");
    // With one commit more, nobody can have been told of it.
    let ahead = Line::new(1).commits(4).of(0);
    let plan = served(mount(&[ahead, others.of(1), others.of(2)]));
    assert!(matches!(plan.states[0], State::Undo(fork) if fork.at == Line::new(1).commits(3).record().version.commit));
}

#[test]
fn what_a_forced_mount_committed_was_acknowledged() {
    let forced = |record: &mut ClusterRecord| record.history[0].forced = true;
    let alone = Line::new(1).commits(3).epoch(2).with(forced).commits(1).of(0);
    let others = Line::new(1).commits(3).epoch(3).commits(1);
    let stop = mount(&[alone, others.of(1), others.of(2)]);
    assert!(matches!(stop, Assembly::Alarm(Alarm::AckedTail { node: NodeIndex(0), .. })), "{stop:?}");
    // Without force, the same records are what a mount with one commit left behind.
    let alone = Line::new(1).commits(3).epoch(2).commits(1).of(0);
    assert!(matches!(served(mount(&[alone, others.of(1), others.of(2)])).states[0], State::Undo(_)));
}

#[test]
fn the_same_member_twice() {
    let line = Line::new(1).commits(3);
    let records = [line.of(0), line.of(0), line.of(1)];
    let stop = mount(&records);
    let same = Refusal::SameMember { first: NodeIndex(0), second: NodeIndex(1), fsid: fsid(0) };
    assert_eq!(stop, Assembly::Refuse(same));
    let named = Ask { named: NodeSet::only(NodeIndex(1)), ..Ask::of(Mount::Quorum) };
    let plan = served(mount_with(&records, &named, |_| {}));
    assert_eq!((plan.states[0], plan.current()), (State::Twin, NodeSet(0b110)));
    // With a quorum of the others, nobody has to choose.
    let plan = served(mount(&[line.of(0), line.of(0), line.of(1), line.of(2)]));
    assert_eq!((plan.states[0], plan.current()), (State::Twin, NodeSet(0b1100)));
}

#[test]
fn a_pending_change_needs_both_quorums() {
    // From {0, 1, 2} to {2, 3, 4}.
    let change = |record: &mut ClusterRecord| {
        record.members.extend([entry(3, PfsKind::Master), entry(4, PfsKind::Master)]);
        for (number, member) in record.members.iter_mut().enumerate() {
            (member.voter, member.previous_voter) = (number >= 2, number <= 2);
        }
        record.config.change = 1;
    };
    let line = Line::new(1).commits(2).with(change).commits(1);
    let old = Assembly::Refuse(Refusal::NoPreviousQuorum { have: 1, of: 3, need: 2 });
    assert_eq!(mount(&[line.of(2), line.of(3), line.of(4)]), old);
    let new = Assembly::Refuse(Refusal::NoQuorum { have: 1, of: 3, need: 2 });
    assert_eq!(mount(&[line.of(0), line.of(1), line.of(2)]), new);
    let plan = served(mount(&[line.of(1), line.of(2), line.of(3)]));
    assert!(plan.electorate.previous.is_some());
    // Once a record says that the change is done, the former voters don't matter.
    let done = line.clone().with(|record| record.members.iter_mut().for_each(|m| m.previous_voter = false)).commits(1);
    let assembly = mount(&[done.of(3), line.of(4)]);
    assert!(
        matches!(&assembly, Assembly::RollForward { plan, .. } if plan.electorate.previous.is_none()),
        "{assembly:?}"
    );
    // Two changes with one number.
    let other = Line::new(1).commits(3).with(|record| record.members[2].voter = false).of(0);
    let same_number = Line::new(1).commits(3).of(1);
    let stop = mount(&[other, same_number]);
    assert!(matches!(stop, Assembly::Alarm(Alarm::TwoConfigs { .. })), "{stop:?}");
}

#[test]
fn content_that_isnt_believed_still_counts_as_seen() {
    let (late, early) = (Line::new(1).commits(4), Line::new(1).commits(3));
    let quorum = Ask::of(Mount::Quorum);
    // Another system wrote to member 0: it can't be a source. Nothing older replaces its version, unless that can't have been
    // acknowledged.
    let foreign = |members: &mut [Seen<'_>]| members[0].condition.foreign_write = true;
    let stop = mount_with(&[late.of(0), early.of(1)], &quorum, foreign);
    let (version, holders) = (late.record().version, NodeSet(1));
    assert_eq!(stop, Assembly::Refuse(Refusal::NoTrustedHolder { version, holders }));
    let both = mount_with(&[late.of(0), late.of(1), early.of(2)], &quorum, foreign);
    let Assembly::RollForward { plan, onto } = both else { panic!("{both:?}") };
    assert_eq!((plan.source, plan.states[0]), (NodeIndex(1), State::Compare(Distrust::ForeignWrite)));
    assert_eq!(onto, NodeSet::only(NodeIndex(2)), "the sound one that lacks a commit, not the one to compare");
    // Case: the others recorded that its content is wrong.
    let distrusts =
        |record: &mut ClusterRecord| record.members[0].distrusted_from = Some(record.version.commit.position());
    let judged = late.clone().with(distrusts);
    let plan = served(mount(&[late.of(0), judged.of(1), judged.of(2)]));
    assert_eq!(plan.states[0], State::Compare(Distrust::Recorded));
    // Case: it is known to have been further, and its newer headers are gone.
    let knows = |record: &mut ClusterRecord| record.members[2].last_known = record.version.commit;
    let knowing = Line::new(1).commits(5).with(knows);
    let plan = served(mount(&[knowing.of(0), knowing.of(1), early.of(2)]));
    assert_eq!(plan.states[2], State::Compare(Distrust::WentBack));
    // Case: it is half resynchronized.
    let half = late.clone().with(|record| record.state = MemberState::Resyncing);
    let plan = served(mount(&[half.of(0), late.of(1), late.of(2)]));
    assert_eq!(plan.states[0], State::Compare(Distrust::Incomplete));
}

#[test]
fn what_nobody_was_told_of_and_nobody_can_read_is_given_up() {
    let (late, early) = (Line::new(1).commits(4), Line::new(1).commits(3));
    let quorum = Ask::of(Mount::Quorum);
    let masters = [late.of(0), early.of(1), early.of(2)];
    let spoils = |condition: Condition| move |members: &mut [Seen<'_>]| members[0].condition = condition;
    let foreign = Condition { foreign_write: true, ..Condition::default() };
    let unreadable = Condition { unreadable: true, ..Condition::default() };
    for (condition, distrust) in [(foreign, Distrust::ForeignWrite), (unreadable, Distrust::Unreadable)] {
        let plan = served(mount_with(&masters, &quorum, spoils(condition)));
        assert_eq!(plan.version, early.record().version);
        assert_eq!((plan.states[0], plan.current()), (State::Compare(distrust), NodeSet(0b110)));
    }
    let is_refused = |stop: Assembly| {
        assert!(matches!(stop, Assembly::Refuse(Refusal::NoTrustedHolder { holders: NodeSet(1), .. })), "{stop:?}");
    };
    // The third member, which isn't there, may have it too. So may a member with a damaged header, and one that was further than
    // it shows.
    is_refused(mount_with(&masters[..2], &quorum, spoils(foreign)));
    is_refused(mount_with(&masters, &quorum, |members| {
        members[0].condition = foreign;
        members[2].condition.torn_header = true;
    }));
    let knows = |record: &mut ClusterRecord| record.members[2].last_known = late.record().version.commit;
    let knowing = Line::new(1).commits(4).with(knows);
    let rewound = Line::new(1).commits(2);
    is_refused(mount_with(&[knowing.of(0), early.of(1), rewound.of(2)], &quorum, spoils(foreign)));
    // It says that the others were in its epoch, and it said so before any of them was.
    let all_known = |record: &mut ClusterRecord| {
        let commit = record.version.commit;
        record.members.iter_mut().for_each(|member| member.last_known = commit);
    };
    let half_opened = early.clone().epoch(2).with(all_known);
    let plan = served(mount_with(&[half_opened.of(0), early.of(1), early.of(2)], &quorum, spoils(foreign)));
    assert_eq!((plan.version, plan.current()), (early.record().version, NodeSet(0b110)));
    is_refused(mount_with(&[half_opened.of(0), early.of(1), rewound.of(2)], &quorum, spoils(foreign)));
    // Five masters, one of them away: three others certainly don't have it.
    let five = |line: &Line, number| {
        let members = |record: &mut ClusterRecord| record.members = (0..5).map(|n| entry(n, PfsKind::Master)).collect();
        line.clone().with(members).of(number)
    };
    let records = [five(&late, 0), five(&early, 1), five(&early, 2), five(&early, 3)];
    assert_eq!(served(mount_with(&records, &quorum, spoils(foreign))).current(), NodeSet(0b1110));
    is_refused(mount_with(&records[..3], &quorum, spoils(foreign)));
    // A node with later commits has the version, too, and the one that is away may be the third.
    let opened = late.clone().epoch(2);
    let records = [five(&opened, 0), five(&late, 1), five(&early, 3), five(&early, 4)];
    let stop = mount_with(&records, &quorum, |members| {
        (members[0].condition, members[1].condition) = (unreadable, unreadable)
    });
    assert!(matches!(stop, Assembly::Refuse(Refusal::NoTrustedHolder { holders: NodeSet(2), .. })), "{stop:?}");
    // A second commit proves that the first was acknowledged.
    let latest = Line::new(1).commits(5);
    let stop = mount_with(&[latest.of(0), early.of(1), early.of(2)], &quorum, spoils(foreign));
    assert!(matches!(stop, Assembly::Alarm(Alarm::AckedTail { node: NodeIndex(0), .. })), "{stop:?}");
}

#[test]
fn who_has_no_say() {
    let line = Line::new(1).commits(3);
    let records = [line.of(0), line.of(1), line.of(2)];
    let quorum = Ask::of(Mount::Quorum);
    // A blank disk in the place of a member, and a member with a damaged record.
    let plan = served(mount_with(&records, &quorum, |members| members[2].record = Ok(None)));
    assert_eq!((plan.states[2], plan.current()), (State::Blank, NodeSet(0b011)));
    let corruption = Corruption::ClusterRecordCheck;
    let plan = served(mount_with(&records, &quorum, |members| members[2].record = Err(corruption)));
    assert_eq!(plan.states[2], State::Damaged(corruption));
    let two_blank = mount_with(&records, &quorum, |members| {
        (members[1].record, members[2].record) = (Ok(None), Ok(None));
    });
    assert_eq!(two_blank, Assembly::Refuse(Refusal::NoQuorum { have: 1, of: 3, need: 2 }));
    // A member that was removed comes back.
    let removed = Line::new(1).commits(4).with(|record| {
        record.members.pop();
        record.config.change = 1;
    });
    let plan = served(mount(&[removed.of(0), removed.of(1), records[2].clone()]));
    assert_eq!((plan.states[2], plan.electorate.current.count), (State::Outside, 2));
    // Masters that were never joined.
    let unjoined = mount_with(&records, &quorum, |members| members.iter_mut().for_each(|m| m.record = Ok(None)));
    assert_eq!(unjoined, Assembly::Refuse(Refusal::NoRecord { masters: 3 }));
    assert_eq!(assemble(&[], &quorum), Assembly::Refuse(Refusal::NoMembers));
}

#[test]
fn the_next_epoch_is_above_those_of_all_voters() {
    // Node 2 is in an epoch that never had a commit, with a counter above the others'.
    let line = Line::new(1).commits(3);
    let opened = line.clone().epoch(7).with(|record| record.tid_floor = ModifyTid(9 << 24));
    let plan = match mount(&[line.of(0), line.of(1), opened.of(2)]) {
        Assembly::Serve(plan) | Assembly::RollForward { plan, .. } => plan,
        other => panic!("{other:?}"),
    };
    assert_eq!((plan.next_epoch, plan.tid_floor), (EpochCounter(8), ModifyTid(10 << 24)));
    // A soft node's counter is its own affair: a counter that no quorum has come near would outrank later epochs of the others.
    let own = line.clone().epoch(12).commits(1);
    let soft = |members: &mut [Seen<'_>]| members[2].role = Role::SoftMaster;
    let plan = served(mount_with(&[line.of(0), line.of(1), own.of(2)], &Ask::of(Mount::Quorum), soft));
    assert_eq!((plan.next_epoch, plan.states[2]), (EpochCounter(2), State::Apart));
    let last = Line::new(u32::MAX);
    assert_eq!(mount(&[last.of(0), last.of(1)]), Assembly::Refuse(Refusal::NoMoreEpochs));
}

#[test]
fn messages_are_one_line_and_say_what_to_do() {
    let version = Line::new(4).commits(2).record().version;
    let node = NodeIndex(2);
    let refusal = Refusal::NoQuorum { have: 1, of: 3, need: 2 };
    let expected = "no quorum: 1 of 3 masters are there, 2 are needed: \
                    name the others' volumes, too, or bring those back that can't be used";
    assert_eq!(refusal.to_string(), expected);
    let alarm = Alarm::SplitBrain { node, version, reference: NodeIndex(0), current: version };
    let expected = "split brain: node 2 (4.2) and node 0 (4.2) were written apart: look at each with --as-of, then keep one: \
                    `hammer2 cluster force` of node 2, or `hammer2 cluster force` of node 0";
    assert_eq!(alarm.to_string(), expected);
    let holders = [NodeIndex(1), NodeIndex(2), NodeIndex(4)].into_iter().collect();
    let refusal = Refusal::NoTrustedHolder { version, holders };
    let expected = "node 1, node 2, node 4: the newest version 4.2 is there, but none can be trusted with it: \
                    add another master that has it";
    assert_eq!(refusal.to_string(), expected);
}
