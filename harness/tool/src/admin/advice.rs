//! Why a member isn't in step, and what can be done: in whole sentences, with commands that can be given as they stand.

use hammer2_core::cluster::vote::State;
use hammer2_core::cluster::{Ejection, Health, MemberState, MemberStatus, NodeFault, NodeIndex};
use hammer2_core::fs::FileSystem;
use hammer2_core::media::Uuid;

use super::{Images, LeftOut};

impl Images {
    /// Why a node left, with the path of its disk if that is certain.
    pub fn why(&self, node: NodeIndex, why: Ejection) -> String {
        match (why, &self.of(node)[..]) {
            (Ejection::Fault(fault), [only]) => fault_on(&fault, only),
            (why, _) => why.to_string(),
        }
    }

    /// A fault of a filesystem, with the path of the disk if there is only one. With several disks, none had a good copy.
    pub(super) fn fault(&self, fault: &NodeFault) -> String {
        let mut images = self.nodes().flat_map(|node| self.of(node));
        match (images.next(), images.next(), fault) {
            (Some(only), None, _) => fault_on(fault, &only),
            (_, _, NodeFault::Corrupt { .. }) => format!("{fault}; no disk of {} has it good", self.place()),
            _ => fault.to_string(),
        }
    }

    /// Why a member isn't in step; none for a member that is, and for a node that isn't a member.
    pub(super) fn why_apart(&self, member: &MemberStatus, health: Health) -> Option<String> {
        let place = self.place();
        match (member.state, member.unreadable) {
            (MemberState::InSync | MemberState::Aside(State::Outside), _) => None,
            (MemberState::Behind(debt), _) => {
                let what = if debt.thorough { "everything" } else { "what changed" };
                Some(format!("it is behind: `hammer2 cluster resync {place}` copies {what} to it"))
            }
            (MemberState::Ejected(why), _) | (_, Some(why)) => {
                Some(self.unusable(member.node, &self.why(member.node, why), health))
            }
            (MemberState::Aside(State::Twin), _) => {
                Some("it is a copy of another member: name only one of them".into())
            }
            (MemberState::Aside(State::Damaged(corruption)), _) => {
                let replace = self.replace(&self.member(member.node));
                Some(format!("{corruption}{}", if_changeable(health, format!("; {replace}"))))
            }
            (MemberState::Aside(_), _) => None,
        }
    }

    /// A message that a member can't be used, and what can be done.
    pub(super) fn unusable(&self, node: NodeIndex, why: &str, health: Health) -> String {
        let replace = if_changeable(health, format!(", and {}", self.replace(&self.member(node))));
        let place = self.place();
        format!(
            "it can't be used: {why}; once its disk is repaired, `hammer2 cluster resync {place}` copies to it{replace}"
        )
    }

    /// The remark on a node that isn't in step, member or not; empty for one that is.
    pub(super) fn remark(&self, member: &MemberStatus, health: Health) -> String {
        let mut note = self.why_apart(member, health).unwrap_or_else(|| match member.state {
            MemberState::Aside(State::Outside) => {
                let (place, image) = (self.place(), self.member(member.node));
                format!("no member (any more): `hammer2 cluster add {place} {image}` makes it one")
            }
            MemberState::Aside(_) => "has nothing of this PFS, or is no part of the mount".into(),
            _ => String::new(),
        });
        if member.is_distrusted {
            note += "; it held something wrong";
        } else if member.has_left {
            note += "; it left while it was in use";
        } else if member.backlog > 0 {
            note += &format!("; it lags by {} commands", member.backlog);
        }
        note.trim_start_matches("; ").to_owned()
    }

    /// What can be done when a PFS doesn't belong to a cluster.
    pub fn no_cluster(&self) -> String {
        format!("this PFS is no cluster's: `hammer2 cluster add {} NEW` makes it one", self.place())
    }

    /// The disks of a missing member, if they were named and couldn't be opened; `missing` is how many members are missing.
    pub(crate) fn missing_disk(&self, missing: usize) -> Option<String> {
        let images = self.unopened(missing)?.images;
        Some(images.iter().map(|image| image.to_string_lossy()).collect::<Vec<_>>().join(":"))
    }

    /// The node that a missing member must be: one that was named and couldn't be opened; `missing` is how many members are
    /// missing.
    pub(super) fn unopened(&self, missing: usize) -> Option<LeftOut> {
        let mut left_out = self.left_out();
        if missing == 1 && left_out.len() == 1 { left_out.pop() } else { None }
    }

    /// What can be done about a member that isn't there, if `missing` members aren't.
    pub(crate) fn about_missing(&self, fsid: Uuid, missing: usize, health: Health) -> String {
        let place = self.place();
        if let Some(LeftOut { images, why }) = self.unopened(missing) {
            let image = images.first().map_or_else(Default::default, |image| image.display().to_string());
            let replace = if_changeable(health, format!(", and {}", self.replace(&image)));
            return format!(
                "member {fsid} is missing: {why}; once it can be opened, `hammer2 cluster resync {place}` brings it in \
                 step{replace}"
            );
        }
        let remove = format!("`hammer2 cluster remove {place} {fsid}` does without it");
        match &self.left_out()[..] {
            [] if self.are_mounted() => {
                let remove = if_changeable(health, format!(", and {remove}"));
                format!("member {fsid} is missing; `hammer2 cluster add {place} IMAGE` brings it back{remove}")
            }
            [] => {
                let remove = if_changeable(health, format!(", or {remove}"));
                format!("member {fsid} is missing: name its disk, too{remove}")
            }
            several => {
                let why = several.iter().map(|node| node.why.as_str()).collect::<Vec<_>>().join("; ");
                let remove = if_changeable(health, format!("; {remove}"));
                format!(
                    "member {fsid} is missing, and couldn't be opened: {why}; once it can, `hammer2 cluster resync {place}` \
                     brings it in step{remove}"
                )
            }
        }
    }

    fn replace(&self, image: &str) -> String {
        format!("`hammer2 cluster replace {} {image} NEW` puts another in its place", self.place())
    }

    /// The nodes that aren't in step, and the members that aren't there.
    pub(crate) fn away(&self, fs: &FileSystem) -> Vec<String> {
        let apart = fs.member_statuses().filter(|member| member.state != MemberState::InSync);
        let nodes = apart.map(|member| self.called(member.node));
        let missing = fs.missing_members();
        let disk = self.missing_disk(missing.len());
        let absent =
            |fsid| disk.as_ref().map_or_else(|| format!("member {fsid}"), |disk| format!("{disk} (member {fsid})"));
        nodes.chain(missing.iter().map(|member| absent(member.fsid))).collect()
    }
}

/// The health of a mount's cluster.
pub(crate) fn health_of(fs: &FileSystem) -> Health {
    fs.cluster_status().map_or(Health::Healthy, |status| status.health)
}

/// The advice, if a quorum is left to change the members.
fn if_changeable(health: Health, advice: String) -> String {
    if health == Health::Stopped { String::new() } else { advice }
}

/// A fault of a node that has only this image.
fn fault_on(fault: &NodeFault, image: &str) -> String {
    match fault {
        NodeFault::Device { block, error, .. } => format!("{block}: {image}: {error}"),
        NodeFault::Corrupt { block, corruption } => format!("{block}: {image}: {corruption}"),
        other => other.to_string(),
    }
}
