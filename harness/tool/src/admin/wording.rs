//! Refusals in the user's terms: with the paths that the user named, and with commands to give next.

use std::fmt::{self, Write as _};

use hammer2_core::cluster::vote::{Alarm, Names, Refusal, Worded};
use hammer2_core::cluster::{MembershipError, NodeIndex, OpError, ReturnError};
use hammer2_core::fs::{Error, FileSystem};
use hammer2_core::media::Uuid;

use super::Images;

/// The nodes of a cluster: their images, and their ids as far as these are known.
pub struct Known<'k> {
    images: &'k Images,
    fsids: Vec<(NodeIndex, Uuid)>,
    /// Members that aren't in step, or aren't there.
    away: Vec<String>,
    /// The mount is over, so that no command reaches them by the directory.
    is_over: bool,
}

impl<'k> Known<'k> {
    /// Nodes that were opened from `images`.
    pub fn new(images: &'k Images, fsids: impl IntoIterator<Item = (NodeIndex, Uuid)>) -> Self {
        Self { images, fsids: fsids.into_iter().collect(), away: Vec::new(), is_over: false }
    }

    /// The nodes of a mount.
    pub fn of_mount(images: &'k Images, fs: &FileSystem) -> Self {
        let fsids = fs.member_statuses().map(|member| (member.node, member.fsid));
        Self::new(images, fsids).without(images.away(fs))
    }

    /// The same, for a mount that is over.
    pub fn at_the_end(self) -> Self {
        Self { is_over: true, ..self }
    }

    /// The same, without these members.
    pub fn without(self, away: Vec<String>) -> Self {
        Self { away, ..self }
    }

    /// The name of a node.
    pub fn called(&self, node: NodeIndex) -> String {
        fmt::from_fn(|f| self.node(node, f)).to_string()
    }

    /// An operation's error in words.
    pub fn op_error(&self, error: &OpError) -> String {
        match error {
            OpError::Refused(refusal) => self.refusal(refusal),
            OpError::Alarm(alarm) => self.alarm(alarm),
            OpError::NoQuorum { .. } => self.no_quorum(error),
            OpError::AllCopiesBad(fault) => self.images.fault(fault),
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
            Error::NoQuorum { .. } => self.no_quorum(error),
            other => other.to_string(),
        }
    }

    /// Too few members of a mount are left: names those that aren't.
    fn no_quorum(&self, error: &dyn fmt::Display) -> String {
        let words = format!("{error}: {}", self.away.join(", "));
        let place = self.images.place();
        if self.is_over { words } else { format!("{words}; `hammer2 cluster resync {place}` then brings them in step") }
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
        match refusal {
            Refusal::NoSuchNode { .. } => {
                let separators = std::iter::once(": ").chain(std::iter::repeat(", "));
                for (node, separator) in self.images.nodes().zip(separators) {
                    let _ = write!(words, "{separator}{}", self.images.called(node));
                }
            }
            Refusal::NoQuorum { .. } => words += &self.without_quorum(),
            _ => {}
        }
        words
    }

    /// Which members of a cluster that can't be mounted are missing, and what can be done if they never come back.
    fn without_quorum(&self) -> String {
        let mut words = String::new();
        for (place, away) in self.away.iter().enumerate() {
            let _ = write!(words, "{}{away}", if place == 0 { "; away: " } else { ", " });
        }
        // A mount may be in use by somebody else.
        if !self.images.are_mounted() {
            for (place, (node, _)) in self.fsids.iter().enumerate() {
                let force = fmt::from_fn(|f| self.command("force", Some(*node), f));
                let before = if place == 0 { "; if those are lost for good, " } else { ", or " };
                let _ = write!(words, "{before}{force} goes on with what {} has", self.images.member(*node));
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
        // Only the administrator knows which volume is the new one.
        f.write_str(if order == "replace" { " NEW`" } else { "`" })
    }
}
