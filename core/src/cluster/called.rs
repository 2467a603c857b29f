//! What nodes are called in messages: by their disks, as whoever reads it knows these.

use core::fmt;

use super::{Cluster, NodeIndex};

/// A node by its disks, in the order of its volumes, and its number: `/dev/sdb (node 2)`.
pub struct Called<'c> {
    cluster: &'c Cluster,
    node: NodeIndex,
}

impl Cluster {
    /// What a node that was opened is called.
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
