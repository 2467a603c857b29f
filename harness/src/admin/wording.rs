//! Refusals as whoever gave the command understands them: with the paths that were named, and with commands to give next.

use std::fmt::{self, Write as _};

use hammer2_core::cluster::vote::{Alarm, Names, Refusal, Worded};
use hammer2_core::cluster::{MemberStatus, MembershipError, NodeIndex, OpError, ReturnError};
use hammer2_core::fs::Error;
use hammer2_core::media::Uuid;

use super::Images;

/// The nodes of a cluster: their images, and who they are as far as that is known.
pub struct Known<'k> {
    images: &'k Images,
    fsids: Vec<(NodeIndex, Uuid)>,
}

impl<'k> Known<'k> {
    /// Nodes that were opened from `images`.
    pub fn new(images: &'k Images, fsids: impl IntoIterator<Item = (NodeIndex, Uuid)>) -> Self {
        Self { images, fsids: fsids.into_iter().collect() }
    }

    /// The nodes of a mount.
    pub fn of_mount(images: &'k Images, members: impl Iterator<Item = MemberStatus>) -> Self {
        Self::new(images, members.map(|member| (member.node, member.fsid)))
    }

    /// What a node is called.
    pub fn called(&self, node: NodeIndex) -> String {
        fmt::from_fn(|f| self.node(node, f)).to_string()
    }

    /// An operation's error in words.
    pub fn op_error(&self, error: &OpError) -> String {
        match error {
            OpError::Refused(refusal) => self.refusal(refusal),
            OpError::Alarm(alarm) => self.alarm(alarm),
            other => other.to_string(),
        }
    }

    /// Why a node can't come back, in words.
    pub fn return_error(&self, error: &ReturnError) -> String {
        match error {
            ReturnError::Cluster(error) => self.op_error(error),
            other => other.to_string(),
        }
    }

    /// An error of the mounted filesystem in words.
    pub fn error(&self, error: &Error) -> String {
        match error {
            Error::Refused(refusal) => self.refusal(refusal),
            Error::Alarm(alarm) => self.alarm(alarm),
            Error::Io(fault) => self.images.fault(fault),
            Error::Membership(error) => self.membership_error(error),
            other => other.to_string(),
        }
    }

    /// Why the members can't be changed, in words.
    fn membership_error(&self, error: &MembershipError) -> String {
        let called = |fsid: &Uuid| {
            let known = self.fsids.iter().find(|(_, known)| known == fsid);
            known.map_or_else(|| format!("member {fsid}"), |(node, _)| self.images.called(*node))
        };
        let place = self.images.place();
        match error {
            MembershipError::NoMember(fsid) => {
                format!("{} is no member here: `hammer2 cluster status {place}` lists them", called(fsid))
            }
            MembershipError::IsMember(node) => format!("{} is a member already", self.images.called(*node)),
            MembershipError::LabelTaken(node) => format!(
                "{} has another PFS with the cluster's label: `hammer2 pfs-list {image}` shows it, and `hammer2 pfs-delete \
                 {image} LABEL` removes it with all in it",
                self.images.called(*node),
                image = self.images.of(*node).join(":")
            ),
            MembershipError::NoSlave(fsid) => format!("{} is no slave: it is a master already", called(fsid)),
            MembershipError::NotInSync(fsid) => {
                format!("{} isn't in step: `hammer2 cluster resync {place}` brings it there", called(fsid))
            }
            other => other.to_string(),
        }
    }

    fn refusal(&self, refusal: &Refusal) -> String {
        let mut words = Worded::new(refusal, self).to_string();
        if let Refusal::NoSuchNode { .. } = refusal {
            let separators = std::iter::once(": ").chain(std::iter::repeat(", "));
            for (node, separator) in self.images.nodes().zip(separators) {
                let _ = write!(words, "{separator}{}", self.images.called(node));
            }
        }
        words
    }

    fn alarm(&self, alarm: &Alarm) -> String {
        Worded::new(alarm, self).to_string()
    }
}

impl Names for Known<'_> {
    fn node(&self, node: NodeIndex, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.images.of(node).join(":").as_str())?;
        match self.fsids.iter().find(|(known, _)| *known == node) {
            Some((_, fsid)) => write!(f, " (node {node}, fsid {fsid})"),
            None => write!(f, " (node {node})"),
        }
    }

    fn command(&self, order: &str, about: Option<NodeIndex>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`hammer2 cluster {order} {}", self.images.place())?;
        if let Some(node) = about {
            write!(f, " {}", self.images.member(node))?;
        }
        // Which volume is the new one, only the administrator knows.
        f.write_str(if order == "replace" { " NEW`" } else { "`" })
    }
}
