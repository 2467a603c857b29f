//! What nodes are called in messages: they are named by their disks, which the reader knows.

use core::fmt;

use super::{Cluster, NodeIndex};

/// Formats a node as its disks, in the order of its volumes, and its number: `/dev/sdb (node 2)`.
pub struct Called<'c> {
    cluster: &'c Cluster,
    node: NodeIndex,
}

impl Cluster {
    /// The name of an opened node in messages.
    pub fn called(&self, node: NodeIndex) -> Called<'_> {
        Called { cluster: self, node }
    }
}

impl fmt::Display for Called<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, volume) in self.cluster.member(self.node).node.volumes().iter().enumerate() {
            let separator = if index > 0 { ":" } else { "" };
            write!(f, "{separator}{}", volume.disk.info().name)?;
        }
        write!(f, " (node {})", self.node.0)
    }
}
