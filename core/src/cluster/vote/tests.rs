//! The 55 votes of protocol 2.3 with the verdicts that the rules must give (the table's last column), one line each.
//!
//! Columns: number; case; votes; masters by the record, and by the PFS roots where they differ; the expected result.
//!
//! Votes: `m10` master that has commit 10, or an element of tid 10; `s` slave; `SM` and `SS` soft master and soft slave; `sup`
//! super-root; `!` can't be read; `∅` answered that there is nothing; `∅!` couldn't look; `?` pending; `@7` another key (5 is
//! usual); `+` in the next epoch, with one commit; `-` not there.
//!
//! The expected result of a `mount`, `soft 1` or `as-of` mount, or of a `live` vote with that sync set. `RW`, `RO`: whether
//! writing is possible; `10 on 01`: version 10 is served by nodes 0 and 1; `sync 2`: node 2 is resynchronized; `undo 2`: after
//! its tail was undone; `roll 11 0>1`: copied from node 0 to node 1 first; `10 f0 of 01`: the element of tid 10, read from node
//! 0, nodes 0 and 1 agree; `none`: there is none; `wait 2`; `EIO 0`. Votes other than the row's stand in brackets.

extern crate std;

use super::resolve::Care;
use super::*;
use crate::media::cluster_record::ClusterRecord;
use crate::media::{BlockKind, BlockName, Corruption, DataOff, Key, KeyBits, ModifyTid, PfsKind};
use crate::node::{NodeFault, NodeIndex};
use std::format;
use std::string::{String, ToString};
use std::vec::Vec;
use testing::{Line, fsid, member};

const TABLE: &str = "
 1 | 1M fresh                            | m10            | 1   | mount: RW 10 on 0; live 0: RW 10 f0 of 0
 2 | 1M errored                          | m10!           | 1   | live 0: RW EIO 0
 3 | 1M absent (negative lookup)         | m∅             | 1   | live 0: RW none
 4 | 1M, pfs_nmasters=0 on media         | m10            | 0   | mount: RW - on 0; mount of 3: refuse 1/3
 5 | 2M equal                            | m10 m10        | 2   | mount: RW 10 on 01; live 01: RW 10 f0 of 01
 6 | 2M, one a tid behind                | m10 m9         | 2   | mount: roll 10 0>1; live 0: RO 10 f0 of 0
 7 | 2M, one errored, same tid           | m10 m10!       | 2   | live 01: RW 10 f0 of 01 heal 1
 8 | 2M, one answered, one pending       | m10 m?         | 2   | live 01: RW wait 1; live 0: RO 10 f0 of 0
 9 | 2M, one absent (unseen disk)        | m10 -          | 2   | mount: refuse 1/2; as-of: RO 10 on 0
10 | 3M equal                            | m10 m10 m10    | 3   | mount: RW 10 on 012; live 012: RW 10 f0 of 012
11 | 3M, one behind                      | m10 m10 m9     | 3   | mount: RW 10 on 01 sync 2; live 01: RW 10 f0 of 01
12 | 3M, FIRST one behind                | m9 m10 m10     | 3   | mount: RW 10 on 12 sync 0; live 12: RW 10 f1 of 12
13 | 3M, one AHEAD (un-acked minority)   | m11 m10 m10    | 3   | mount: roll 11 0>1 sync 2
14 | 3M, ahead + its disk later missing  | - m10 m10      | 3   | mount: RW 10 on 12; mount [m11 m10+ m10+]: RW 2.1 on 12 undo 0
15 | 3M, acked 11 on {0,2}, 2 missing    | m11 m10 -      | 3   | mount: roll 11 0>1
16 | 3M all different                    | m12 m11 m10    | 3   | mount: roll 12 0>1 sync 2
17 | 3M, one errored at quorum tid       | m10! m10 m10   | 3   | live 012: RW 10 f1 of 012 heal 0
18 | 3M, one ok, one errored, one behind | m10 m10! m9    | 3   | live 012: RW 10 f0 of 01 heal 1 evict 2
19 | 3M, two errored                     | m10 m10! m10!  | 3   | live 012: RW 10 f0 of 012 heal 12
20 | 3M, all errored                     | m10! m10! m10! | 3   | live 012: RW EIO 012
21 | 3M, ahead ok, other two errored     | m11 m10! m10!  | 3   | mount: roll 11 0>1 sync 2
22 | 3M, element missing on one          | m10 m10 m∅     | 3   | live 012: RW 10 f0 of 01 evict 2
23 | 3M, element only on one (zombie)    | m10 m∅ m∅      | 3   | live 012: RW none evict 0
24 | 3M, only on one, third pending      | m10 m∅ m?      | 3   | live 012: RW wait 2 diverged 01
25 | 3M, two agree, third hung           | m10 m10 m?     | 3   | live 012: RW 10 f0 of 01 late 2
26 | 3M, tids 10/11, third pending       | m10 m11 m?     | 3   | live 012: RW wait 2 diverged 01
27 | 3M, one answered, two pending       | m10 m? m?      | 3   | live 012: RW wait 12
28 | 3M, all absent                      | m∅ m∅ m∅       | 3   | live 012: RW none
29 | 3M, two absent one errored lookup   | m∅ m∅ m∅!      | 3   | live 012: RW none heal 2
30 | 3M, different keys under iteration  | m10 m10@7 m10  | 3   | live 012: RW 10 f0 of 02 evict 1; live 1: RO 10 f1 of 1
31 | 3M, pfs_nmasters wrongly 1          | m9 m10 m10     | 3 1 | mount: RW 10 on 12 sync 0; live 12: RW 10 f1 of 12
32 | 3M, only a stale minority visible   | m9 - -         | 3   | mount: refuse 1/3
33 | 3M, count from visible disks        | m9             | 3 1 | mount: refuse 1/3
34 | 4M split 2/2                        | m10 m10 m11 m11 | 4  | mount: roll 11 2>0 sync 1
35 | 4M 3 of 4                           | m10 m10 m10 m9 | 4   | mount: RW 10 on 012 sync 3
36 | 5M 3/2 split, newer is minority     | m10 m10 m10 m11 m11 | 5 | mount: roll 11 3>0 sync 12
37 | 5M 3/2 split, newer is majority     | m11 m11 m11 m10 m10 | 5 | mount: RW 11 on 012 sync 34
38 | 5M, two ok, two pending, one behind | m10 m10 m? m? m9 | 5 | live 0123: RW wait 23; live 01234: RW wait 23 diverged 014
39 | 5M, 2 missing 3 agree               | m10 m10 m10 m∅ m∅ | 5 | live 01234: RW 10 f0 of 012 evict 34
40 | 0M 1S (no masters visible)          | s10            | 1   | mount: refuse no master; as-of: RO 10 on 0
41 | 1M 1S equal                         | m10 s10        | 1   | mount: RW 10 on 01; live 01: RW 10 f0 of 01
42 | 1M 1S, slave first in array         | s10 m10        | 1   | mount: RW 10 on 01; live 01: RW 10 f1 of 01
43 | 1M 1S slave behind                  | m10 s9         | 1   | mount: RW 10 on 0 sync 1; live 0: RW 10 f0 of 0
44 | 1M 1S slave AHEAD                   | m10 s11        | 1   | mount: alarm slave 1; as-of: RO 10 on 0
45 | 1M errored, slave at quorum tid     | m10! s10       | 1   | mount: roll 10 1>0; live 01: RW 10 f1 of 01 heal 0
46 | 2M of 3 visible + slave             | m10 m10 s10    | 3   | mount: RW 10 on 012; live 012: RW 10 f0 of 012
47 | 1M of 3 visible + slave equal       | m10 s10        | 3   | mount: refuse 1/3
48 | soft master behind quorum   | m10 m10 m10 SM8 | 3 | mount: RW 10 on 012; soft 3: RW 8 on 3; live 012: RW 10 f0 of 012
49 | soft master errored                 | m10 SM8!       | 1   | mount: RW 10 on 0; soft 1: refuse EIO; live soft 1: RW EIO 1
50 | soft master, masters unreachable    | SM8            | 3   | mount: refuse no master; soft 0: RW 8 on 0
51 | soft slave + masters        | m10 SS9        | 1   | mount: RW 10 on 0; soft 1: RO 9 on 1; live soft 1: RO 9 f1 of 1
52 | soft slave and soft master          | SS9 SM8 m10    | 1   | mount: RW 10 on 2; soft 0: RO 9 on 0; soft 1: RW 8 on 1
53 | two soft masters                    | SM8 SM9        | 1   | mount: refuse no master; soft 0: RW 8 on 0; soft 1: RW 9 on 1
54 | super-root                          | sup4           | 0   | mount: RW - on 0; live 0: RW 4 f0 of 0
55 | super-root errored                  | sup4!          | 0   | mount: refuse EIO; live 0: RW EIO 0
";

const FAULT: NodeFault = NodeFault::Corrupt {
    block: BlockName { kind: 1, key: Key(5), data_off: DataOff(0) },
    corruption: Corruption::NoBlock,
};

/// One vote of a row; none for `-`.
struct Cast {
    role: Role,
    number: u32,
    vote: Vote,
    unreadable: bool,
    next_epoch: bool,
}

fn parse_vote(text: &str) -> Option<Cast> {
    let roles = [
        ("SM", Role::SoftMaster),
        ("SS", Role::SoftSlave),
        ("sup", Role::SupRoot),
        ("m", Role::Master),
        ("s", Role::Slave),
    ];
    let (said, role) = roles.iter().find_map(|(prefix, role)| Some((text.strip_prefix(prefix)?, *role)))?;
    let unreadable = said.ends_with('!');
    let said = said.trim_end_matches('!');
    let next_epoch = said.ends_with('+');
    let (tid, key) = said.trim_end_matches('+').split_once('@').unwrap_or((said.trim_end_matches('+'), "5"));
    let number = tid.parse().unwrap_or(0);
    let element = Element {
        key: Key(key.parse().unwrap()),
        kind: BlockKind::Inode,
        keybits: KeyBits(0),
        modify_tid: ModifyTid(number.into()),
        bytes: 1024,
    };
    let vote = match (tid, unreadable) {
        ("?", _) => Vote::Pending,
        ("∅", false) => Vote::Absent,
        ("∅", true) => Vote::Failed(FAULT),
        (_, false) => Vote::Present(element),
        (_, true) => Vote::Unreadable(element, FAULT),
    };
    Some(Cast { role, number, vote, unreadable, next_epoch })
}

/// The cluster of a row.
struct Scene {
    casts: Vec<Option<Cast>>,
    /// Masters by the record; 0 if there is none.
    recorded: usize,
    /// Masters by the PFS roots.
    field: u8,
}

impl Scene {
    fn of(votes: &str, recorded: usize, field: u8) -> Self {
        Self { casts: votes.split_whitespace().map(parse_vote).collect(), recorded, field }
    }

    /// The members of the record: those of the row in its order, and masters that aren't visible.
    fn members(&self) -> heapless::Vec<crate::media::cluster_record::Member, MAX_NODES> {
        let kind = |cast: &Option<Cast>| match cast.as_ref().map(|cast| cast.role) {
            Some(Role::Slave) => PfsKind::Slave,
            Some(Role::SoftMaster) => PfsKind::SoftMaster,
            Some(Role::SoftSlave) => PfsKind::SoftSlave,
            _ => PfsKind::Master,
        };
        let mut members: heapless::Vec<_, MAX_NODES> =
            self.casts.iter().enumerate().map(|(number, cast)| member(number, kind(cast))).collect();
        while members.iter().filter(|member| member.voter).count() < self.recorded {
            members.push(member(members.len(), PfsKind::Master)).unwrap();
        }
        members
    }

    fn record(&self, number: usize, cast: &Cast) -> ClusterRecord {
        let line = Line::new(1).with(|record| record.members = self.members()).commits(cast.number);
        if cast.next_epoch { line.epoch(2).commits(1).of(number) } else { line.of(number) }
    }

    /// The visible members, without gaps, and their places in the row.
    fn assemble(&self, mount: Mount) -> (Assembly, Vec<(usize, Role)>) {
        let there: Vec<_> =
            self.casts.iter().enumerate().filter_map(|(place, cast)| Some((place, cast.as_ref()?))).collect();
        let records: Vec<_> = there.iter().map(|(place, cast)| self.record(*place, cast)).collect();
        let members: Vec<_> = there
            .iter()
            .zip(&records)
            .map(|((place, cast), record)| Seen {
                fsid: fsid(*place),
                role: cast.role,
                masters: self.field,
                record: Ok((self.recorded > 0).then_some(record)),
                condition: Condition { unreadable: cast.unreadable, ..Condition::default() },
            })
            .collect();
        let places = there.iter().map(|(place, cast)| (*place, cast.role)).collect();
        (assemble(&members, &Ask::of(mount)), places)
    }

    fn view(&self, sync: NodeSet, target: Target) -> View {
        let role = |index: usize| self.casts.get(index).and_then(|cast| Some(cast.as_ref()?.role));
        let roles = core::array::from_fn(role);
        let voting: NodeSet =
            (0..8).map(NodeIndex).filter(|n| role(n.0.into()).is_some_and(|role| role.votes())).collect();
        View { roles, sync, electorate: Electorate::of(voting, self.recorded.max(1)), target }
    }

    fn live(&self, sync: NodeSet, target: Target) -> String {
        let votes: Vec<_> =
            self.casts.iter().map(|cast| cast.as_ref().map_or(Vote::Failed(FAULT), |cast| cast.vote)).collect();
        let view = self.view(sync, target);
        format!("{} {}", access(&view), verdict_text(resolve(&votes, &view)))
    }
}

fn access(view: &View) -> &'static str {
    let can_write = match view.target {
        Target::Quorum => view.electorate.has_quorum(view.voting()),
        Target::Soft(node) => view.role(node) == Some(Role::SoftMaster),
        Target::AsOf => false,
    };
    if can_write { "RW" } else { "RO" }
}

fn digits(label: &str, set: NodeSet) -> String {
    let digits: String = set.iter().map(|node| node.to_string()).collect();
    if digits.is_empty() { digits } else { format!(" {label}{digits}") }
}

fn version_text(version: Version) -> String {
    match version.commit.epoch.ctr.0 {
        0 => "-".into(),
        1 => version.commit.seq.to_string(),
        _ => version.to_string(),
    }
}

fn care_text(care: Care) -> String {
    [digits("heal ", care.heal), digits("evict ", care.evict), digits("late ", care.late)].concat()
}

fn verdict_text(verdict: Verdict) -> String {
    match verdict {
        Verdict::Present { element, focus, agree, care, readable } => {
            assert!(readable.contains(focus) && agree.contains_all(readable));
            assert_eq!(agree.difference(readable), agree.intersection(care.heal));
            format!("{} f{focus}{}{}", element.modify_tid.0, digits("of ", agree), care_text(care))
        }
        Verdict::NotFound(care) => format!("none{}", care_text(care)),
        Verdict::InProgress { waiting, diverged } => {
            format!("wait{}{}", digits("", waiting), digits("diverged ", diverged))
        }
        Verdict::NoQuorum { diverged, failed } => {
            format!("no quorum{}{}", digits("diverged ", diverged), digits("failed ", failed))
        }
        Verdict::AllFailed { nodes, .. } => format!("EIO{}", digits("", nodes)),
    }
}

fn assembly_text(assembly: Assembly, places: &[(usize, Role)], target: Target) -> String {
    let in_row =
        |set: NodeSet| -> NodeSet { set.iter().map(|node| NodeIndex(places[usize::from(node.0)].0 as u8)).collect() };
    let rest = |plan: &Plan, onto: NodeSet| {
        let undo = plan.nodes(|state| matches!(state, State::Undo(_)));
        let sync = plan.behind().difference(onto).difference(undo);
        [digits("sync ", in_row(sync)), digits("undo ", in_row(undo.difference(onto)))].concat()
    };
    match assembly {
        Assembly::Serve(plan) => {
            let roles = core::array::from_fn(|index| places.get(index).map(|(_, role)| *role));
            let view = View { roles, sync: plan.current(), electorate: plan.electorate, target };
            let version = version_text(plan.version);
            let (on, rest) = (digits("on ", in_row(plan.current())), rest(&plan, NodeSet::EMPTY));
            format!("{} {version}{on}{rest}", access(&view))
        }
        Assembly::RollForward { plan, onto } => {
            let version = version_text(plan.version);
            let rest = rest(&plan, onto);
            let [from, to] = [NodeSet::only(plan.source), onto].map(|set| digits("", in_row(set)));
            format!("roll {version}{from}>{}{rest}", to.trim_start())
        }
        Assembly::ReadOnlyAsOf { version, nodes } => {
            format!("RO {}{}", version_text(version), digits("on ", in_row(nodes)))
        }
        Assembly::Refuse(Refusal::NoQuorum { have, of, .. }) => format!("refuse {have}/{of}"),
        Assembly::Refuse(Refusal::NoMaster) => "refuse no master".into(),
        Assembly::Refuse(Refusal::Unreadable { .. }) => "refuse EIO".into(),
        Assembly::Alarm(Alarm::SlaveAhead { node, .. }) => format!("alarm slave {node}"),
        other => format!("{other:?}"),
    }
}

/// The result for the question before the colon.
fn answer(question: &str, votes: &str, recorded: usize, field: u8) -> String {
    let (question, votes) = match question.split_once('[') {
        Some((question, votes)) => (question.trim(), votes.trim_end_matches(']')),
        None => (question, votes),
    };
    let number = |text: &str| NodeIndex(text.parse().unwrap());
    let scene = Scene::of(votes, recorded, field);
    let mounted = |scene: &Scene, mount, target| {
        let (assembly, places) = scene.assemble(mount);
        assembly_text(assembly, &places, target)
    };
    match question.split_whitespace().collect::<Vec<_>>()[..] {
        ["mount"] => mounted(&scene, Mount::Quorum, Target::Quorum),
        ["mount", "of", count] => {
            mounted(&Scene::of(votes, count.parse().unwrap(), field), Mount::Quorum, Target::Quorum)
        }
        ["soft", node] => mounted(&scene, Mount::Soft(number(node)), Target::Soft(number(node))),
        ["as-of"] => mounted(&scene, Mount::AsOf(None), Target::AsOf),
        ["live", "soft", node] => scene.live(NodeSet::only(number(node)), Target::Soft(number(node))),
        ["live", sync] => {
            let sync = sync.chars().map(|digit| NodeIndex(digit.to_digit(10).unwrap() as u8)).collect();
            scene.live(sync, Target::Quorum)
        }
        _ => panic!("what is {question:?}?"),
    }
}

#[test]
fn the_table_of_votes() {
    let mut wrong = Vec::new();
    let mut numbers = Vec::new();
    for row in TABLE.lines().filter(|row| !row.is_empty()) {
        let [number, case, votes, masters, outcomes] = row.split('|').map(str::trim).collect::<Vec<_>>()[..] else {
            panic!("not five columns: {row}")
        };
        numbers.push(number.parse::<usize>().unwrap());
        let (recorded, field) = masters.split_once(' ').unwrap_or((masters, masters));
        let (recorded, field) = (recorded.parse().unwrap(), field.parse().unwrap());
        for outcome in outcomes.split(';').map(str::trim) {
            let (question, expected) = outcome.split_once(": ").unwrap();
            let found = answer(question, votes, recorded, field);
            if found != expected {
                wrong.push(format!("{number} ({case}) {question}: expected {expected}, found {found}"));
            }
        }
    }
    assert_eq!(numbers, (1..=55).collect::<Vec<_>>());
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}
