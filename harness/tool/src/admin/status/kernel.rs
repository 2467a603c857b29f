//! The state of a cluster that the kernel itself has mounted, made from what its mount reports.

use std::path::PathBuf;

use hammer2_core::cluster::{Health, NodeIndex};
use hammer2_core::media::Uuid;
use hammer2_kmod_shim::administration::{ClusterFacts, MemberFacts, MissingFacts, Text, health, state};
use zerocopy::FromBytes;

use super::{CatchingUp, Errors, Missing, Node, Status, name_disks};
use crate::admin::{Images, LastScrub};

/// What a mount of the kernel's reports about itself.
pub(in crate::admin) struct KernelFacts {
    pub(in crate::admin) cluster: ClusterFacts,
    pub(in crate::admin) members: Vec<MemberFacts>,
    missing: Vec<MissingFacts>,
}

pub(in crate::admin) fn words<const N: usize>(text: &Text<N>) -> String {
    String::from_utf8_lossy(text.bytes()).into_owned()
}

/// Takes `count` structures from the beginning of some bytes; returns them, and the bytes behind them.
pub(in crate::admin) fn several<T: FromBytes>(mut bytes: &[u8], count: u32) -> Option<(Vec<T>, &[u8])> {
    let mut all = Vec::new();
    for _ in 0..count {
        let (one, rest) = T::read_from_prefix(bytes).ok()?;
        all.push(one);
        bytes = rest;
    }
    Some((all, bytes))
}

impl KernelFacts {
    /// Parses the bytes of the mount; none if they make no sense.
    pub(in crate::admin) fn of(bytes: &[u8]) -> Option<Self> {
        let (cluster, rest) = ClusterFacts::read_from_prefix(bytes).ok()?;
        let (members, rest) = several(rest, cluster.members)?;
        let (missing, rest) = several(rest, cluster.missing)?;
        rest.is_empty().then_some(Self { cluster, members, missing })
    }

    /// The disks of the nodes, mounted on a directory.
    pub(in crate::admin) fn images(&self, directory: &str) -> Images {
        let nodes: Vec<(Vec<PathBuf>, NodeIndex)> =
            { self.members.iter() }.map(|member| (disks(member), NodeIndex(member.node as u8))).collect();
        Images::new(nodes.iter().map(|(disks, node)| (disks, Ok(*node)))).mounted_on(directory)
    }

    /// The fsids of members that aren't there.
    pub(in crate::admin) fn missing_fsids(&self) -> impl Iterator<Item = [u8; 16]> {
        self.missing.iter().map(|member| member.fsid)
    }

    /// What can be done about members that aren't there.
    pub(in crate::admin) fn about_missing(&self, directory: &str) -> Vec<String> {
        self.missing.iter().map(|member| about_missing(Uuid(member.fsid), directory)).collect()
    }

    /// The cluster's status; none if the filesystem isn't a cluster.
    pub(in crate::admin) fn status(&self, directory: &str) -> Option<Status> {
        let Self { cluster, members, missing } = self;
        if cluster.is_cluster == 0 {
            return None;
        }
        let health = match cluster.health {
            health::HEALTHY => Health::Healthy,
            health::DEGRADED => Health::Degraded,
            _ => Health::Stopped,
        };
        let images = self.images(directory);
        let mut nodes: Vec<Node> = members.iter().map(|member| node(member, cluster, &images)).collect();
        let mut absent: Vec<Missing> = { missing.iter() }
            .map(|member| Missing {
                fsid: Uuid(member.fsid).to_string(),
                images: Vec::new(),
                name: String::new(),
                role: words(&member.role),
                version: words(&member.commit),
                note: about_missing(Uuid(member.fsid), directory),
            })
            .collect();
        name_disks(&mut nodes, &mut absent);
        Some(Status {
            health: health.name().into(),
            label: words(&cluster.label),
            clid: Uuid(cluster.clid).to_string(),
            version: words(&cluster.commit),
            tid: cluster.tid,
            masters: cluster.masters as usize,
            masters_in_sync: cluster.masters_in_sync as usize,
            quorum: cluster.masters as usize / 2 + 1,
            changing_members: cluster.is_changing != 0,
            refused: Some(words(&cluster.refused)).filter(|why| !why.is_empty()),
            nodes,
            missing: absent,
            last_scrub: LastScrub::read(Uuid(cluster.clid)),
            paused_scrub: None,
        })
    }
}

/// The disks of a member.
fn disks(member: &MemberFacts) -> Vec<PathBuf> {
    words(&member.devices).split(':').map(PathBuf::from).collect()
}

fn about_missing(fsid: Uuid, directory: &str) -> String {
    format!(
        "member {fsid} is missing: unmount it, and mount it again with its disk, too, or \
         `hammer2 cluster remove {directory} {fsid}` does without it"
    )
}

fn node(member: &MemberFacts, cluster: &ClusterFacts, images: &Images) -> Node {
    let has_version = member.has_version != 0;
    let time_left = (member.seconds_left != u64::MAX).then_some(member.seconds_left);
    let catching_up =
        CatchingUp { seen_bytes: member.seen_bytes, expected_bytes: member.expected_bytes, seconds_left: time_left };
    Node {
        node: member.node as u8,
        images: images.of(NodeIndex(member.node as u8)),
        name: String::new(),
        fsid: Uuid(member.fsid).to_string(),
        role: words(&member.role),
        state: state_name(member.state).into(),
        since: None,
        note: note(member, images),
        version: has_version.then(|| words(&member.commit)),
        tid: member.tid,
        behind_tids: cluster.tid.saturating_sub(member.tid),
        behind_epochs: has_version.then_some(member.behind_epochs),
        behind_commits: has_version.then_some(member.behind_commits),
        catching_up: (member.expected_bytes > 0).then_some(catching_up),
        backlog: member.backlog as usize,
        errors: Errors {
            read: member.read_errors,
            write: member.write_errors,
            check: member.bad_blocks,
            repaired: member.repaired_blocks,
        },
        has_left: member.has_left != 0,
        is_distrusted: member.is_distrusted != 0,
        total_bytes: member.total_bytes,
        free_bytes: member.free_bytes,
        held_by: None,
    }
}

fn state_name(of: u32) -> &'static str {
    match of {
        state::IN_SYNC => super::IN_SYNC,
        state::BEHIND => "behind",
        state::EJECTED => "ejected",
        state::UNREAD => "unread",
        _ => "aside",
    }
}

/// The remark on a member that isn't in step.
fn note(member: &MemberFacts, images: &Images) -> String {
    let why = words(&member.why);
    let mut note = match member.state {
        state::IN_SYNC => String::new(),
        // The kernel tries again by itself. Another disk can't be put in the place of this one while it is mounted.
        state::EJECTED | state::UNREAD => images.unusable(NodeIndex(member.node as u8), &why, Health::Stopped),
        state::BEHIND => format!("it is behind: {why}, by itself or with `hammer2 cluster resync {}`", images.place()),
        _ => why,
    };
    if member.is_distrusted != 0 {
        note += "; it held something wrong";
    } else if member.has_left != 0 {
        note += "; it left while it was in use";
    } else if member.backlog > 0 {
        note += &format!("; it lags by {} commands", member.backlog);
    }
    note.trim_start_matches("; ").to_owned()
}

#[cfg(test)]
mod tests {
    use zerocopy::{FromZeros as _, IntoBytes as _};

    use super::*;

    fn told() -> Vec<u8> {
        let cluster = ClusterFacts {
            is_cluster: 1,
            health: health::DEGRADED,
            masters: 3,
            masters_in_sync: 2,
            members: 2,
            missing: 1,
            label: Text::of_bytes(b"WORK"),
            ..ClusterFacts::new_zeroed()
        };
        let member = |node, state, devices: &[u8], why: &[u8]| MemberFacts {
            node,
            state,
            seconds_left: u64::MAX,
            role: Text::of_bytes(b"MASTER"),
            devices: Text::of_bytes(devices),
            why: Text::of_bytes(why),
            ..MemberFacts::new_zeroed()
        };
        let members = [
            member(0, state::IN_SYNC, b"/dev/sda:/dev/sdb", b""),
            member(1, state::EJECTED, b"/dev/sdc", b"it answers nothing"),
        ];
        let missing = MissingFacts { fsid: [7; 16], role: Text::of_bytes(b"MASTER"), ..MissingFacts::new_zeroed() };
        [cluster.as_bytes(), members.as_bytes(), missing.as_bytes()].concat()
    }

    #[test]
    fn what_the_kernel_tells_is_told_as_of_any_mount() {
        let facts = KernelFacts::of(&told()).unwrap();
        let status = facts.status("/mnt").unwrap();
        assert_eq!((status.health(), status.masters()), (Health::Degraded, 3));
        assert_eq!(
            status.apart(),
            ["/dev/sdc (node 1): it can't be used: it answers nothing; once its disk is repaired, \
                 `hammer2 cluster resync /mnt` copies to it"]
        );
        let text = status.to_string();
        for words in ["WORK: degraded, 2 of 3 masters in sync", "sda", "ejected", "is missing: unmount it"] {
            assert!(text.contains(words), "no {words:?} in\n{text}");
        }
        let json = serde_json::to_value(&status).unwrap();
        assert_eq!(json["nodes"][0]["images"], serde_json::json!(["/dev/sda", "/dev/sdb"]));
        assert_eq!(facts.missing_fsids().collect::<Vec<_>>(), [[7; 16]]);
    }

    #[test]
    fn what_is_too_short_or_too_long_makes_no_sense() {
        let mut bytes = told();
        for length in 0..bytes.len() {
            assert!(KernelFacts::of(&bytes[..length]).is_none(), "{length} bytes");
        }
        bytes.push(0);
        assert!(KernelFacts::of(&bytes).is_none());
        bytes.fill(0xff);
        assert!(KernelFacts::of(&bytes).is_none());
    }
}
