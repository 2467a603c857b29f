//! States of nodes, in words.

use std::fmt;

use hammer2_core::cluster::MemberState;
use hammer2_core::fs::FileSystem;

/// The state of a node, as part of a sentence.
pub(super) struct InWords(pub(super) MemberState);

impl fmt::Display for InWords {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            MemberState::InSync => write!(f, "is in sync"),
            MemberState::Behind(_) => write!(f, "is behind"),
            MemberState::Aside(_) => write!(f, "is no part of this mount"),
            MemberState::Ejected(why) => write!(f, "left the cluster: {why}"),
        }
    }
}

/// A cluster and its nodes in a line, for the output of the counters.
pub(super) struct ClusterLine<'f>(pub(super) &'f FileSystem);

impl fmt::Display for ClusterLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(status) = self.0.cluster_status() else { return Ok(()) };
        write!(f, "; cluster {}, version {}", status.health.name(), status.version)?;
        for member in self.0.member_statuses() {
            write!(f, ", node {} {}", member.node.0, InWords(member.state))?;
        }
        let missing = self.0.missing_members().len();
        if missing > 0 { write!(f, ", {missing} missing") } else { Ok(()) }
    }
}
