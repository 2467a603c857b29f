//! Why a member isn't in step, and what can be done: in whole sentences, with commands that can be given as they stand.

use hammer2_core::cluster::vote::State;
use hammer2_core::cluster::{Ejection, MemberState, MemberStatus, NodeFault, NodeIndex};
use hammer2_core::media::Uuid;

use super::{Images, LeftOut};

impl Images {
    /// Why a node left, with the path of the disk where only that can be meant.
    pub fn why(&self, node: NodeIndex, why: Ejection) -> String {
        match (why, &self.of(node)[..]) {
            (Ejection::Fault(fault), [only]) => fault_on(&fault, only),
            (why, _) => why.to_string(),
        }
    }

    /// A fault of a filesystem, with the path of the disk if there is only one.
    pub(super) fn fault(&self, fault: &NodeFault) -> String {
        let mut images = self.nodes().flat_map(|node| self.of(node));
        match (images.next(), images.next()) {
            (Some(only), None) => fault_on(fault, &only),
            _ => fault.to_string(),
        }
    }

    /// Why a member isn't in step; none for one that is, and for what isn't a member.
    pub(super) fn why_apart(&self, member: &MemberStatus) -> Option<String> {
        let (place, image) = (self.place(), self.member(member.node));
        match (member.state, member.unreadable) {
            (MemberState::InSync | MemberState::Aside(State::Outside), _) => None,
            (MemberState::Behind(debt), _) => {
                let what = if debt.thorough { "everything" } else { "what changed" };
                Some(format!("it is behind: `hammer2 cluster resync {place}` copies {what} to it"))
            }
            (MemberState::Ejected(why), _) | (_, Some(why)) => Some(format!(
                "it can't be used: {}; once its disk is repaired, `hammer2 cluster resync {place}` copies to it, and \
                 `hammer2 cluster replace {place} {image} NEW` puts another in its place",
                self.why(member.node, why)
            )),
            (MemberState::Aside(State::Twin), _) => {
                Some("it is a copy of another member: name only one of them".into())
            }
            (MemberState::Aside(State::Damaged(corruption)), _) => {
                Some(format!("{corruption}; `hammer2 cluster replace {place} {image} NEW` puts another in its place"))
            }
            (MemberState::Aside(_), _) => None,
        }
    }

    /// What there is to say of a node that isn't in step, member or not; nothing of one that is.
    pub(super) fn remark(&self, member: &MemberStatus) -> String {
        let mut note = self.why_apart(member).unwrap_or_else(|| match member.state {
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

    /// What can be done when a PFS isn't a cluster's.
    pub fn no_cluster(&self) -> String {
        format!("this PFS is no cluster's: `hammer2 cluster add {} NEW` makes it one", self.place())
    }

    /// The disks of a missing member, of so many, if they were named and couldn't be opened.
    pub(crate) fn missing_disk(&self, missing: usize) -> Option<String> {
        let images = self.unopened(missing)?.images;
        Some(images.iter().map(|image| image.to_string_lossy()).collect::<Vec<_>>().join(":"))
    }

    /// The node that a missing member, of so many, must be: one that was named and couldn't be opened.
    pub(super) fn unopened(&self, missing: usize) -> Option<LeftOut> {
        let mut left_out = self.left_out();
        if missing == 1 && left_out.len() == 1 { left_out.pop() } else { None }
    }

    /// What can be done about a member that isn't there, where so many aren't.
    pub(crate) fn about_missing(&self, fsid: Uuid, missing: usize) -> String {
        let place = self.place();
        if let Some(LeftOut { images, why }) = self.unopened(missing) {
            let image = images.first().map_or_else(Default::default, |image| image.display().to_string());
            return format!(
                "member {fsid} is missing: {why}; once it can be opened, `hammer2 cluster resync {place}` brings it in step, \
                 and `hammer2 cluster replace {place} {image} NEW` puts another in its place"
            );
        }
        let remove = format!("`hammer2 cluster remove {place} {fsid}` does without it");
        match &self.left_out()[..] {
            [] if self.are_mounted() => {
                format!("member {fsid} is missing; `hammer2 cluster add {place} IMAGE` brings it back, and {remove}")
            }
            [] => format!("member {fsid} is missing: name its disk, too, or `hammer2 cluster remove {place} {fsid}`"),
            several => {
                let why = several.iter().map(|node| node.why.as_str()).collect::<Vec<_>>().join("; ");
                format!(
                    "member {fsid} is missing, and couldn't be opened: {why}; once it can, `hammer2 cluster resync {place}` \
                     brings it in step; {remove}"
                )
            }
        }
    }
}

/// A fault of a node that has only this image.
fn fault_on(fault: &NodeFault, image: &str) -> String {
    match fault {
        NodeFault::Device { block, error, .. } => format!("{block}: {image}: {error}"),
        other => other.to_string(),
    }
}
