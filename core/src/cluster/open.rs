//! From disks to nodes.

use super::member::{Member, MemberState};
use super::members::Members;
use super::vote::{State, Target};
use super::{Cluster, MAX_NODES, NodeIndex, NodeOptions, OpenError, slots};
use crate::io::Disk;
use crate::memory::{Box, Heap, Vec};
use crate::node::{self, Node};

impl Cluster {
    /// Opens the cluster of one node whose volumes are `disks`, in any order.
    pub(crate) async fn open_one(heap: Heap, disks: Vec<Disk>, options: NodeOptions) -> Result<Self, OpenError> {
        let node = node::open(heap, disks, slots::with_spare(&options)).await?;
        Self::alone(heap, node, options)
    }

    /// The cluster that `node` is by itself. `options` is what the node was opened with.
    #[cfg(feature = "raw")]
    /// The cluster that consists of `node` alone. `options` are those with which the node was opened.
    pub fn of_one(heap: Heap, node: Box<Node>, options: NodeOptions) -> Result<Self, OpenError> {
        Self::alone(heap, node, options)
    }

    fn alone(heap: Heap, node: Box<Node>, options: NodeOptions) -> Result<Self, OpenError> {
        let members = Members::new();
        members.push(heap, Member::new(node))?;
        Ok(Self::of(heap, members, options)?)
    }

    /// Opens several nodes, each from the disks of its volumes, with `share` for each. Nodes that can't be opened are left out;
    /// `refused` is called with each of them and the reason. It fails only if none can be opened.
    pub(crate) async fn open(
        heap: Heap,
        nodes: Vec<Vec<Disk>>,
        share: NodeOptions,
        refused: &mut dyn FnMut(usize, &OpenError),
    ) -> Result<Self, OpenError> {
        if nodes.len() > MAX_NODES {
            return Err(OpenError::TooManyNodes);
        }
        let members = Members::new();
        let mut first_error = None;
        for (position, disks) in nodes.into_iter().enumerate() {
            match node::open(heap, disks, slots::with_spare(&share)).await {
                Ok(node) => drop(members.push(heap, Member::new(node))?),
                Err(error) => {
                    refused(position, &error);
                    first_error.get_or_insert(error);
                }
            }
        }
        if members.len() == 0 {
            return Err(first_error.unwrap_or(OpenError::NoVolumes));
        }
        Ok(Self::of(heap, members, share)?)
    }

    /// Opens one more node while the others are in use. It takes part in nothing before it is [looked at](Self::look_again).
    pub(crate) async fn open_another(&self, disks: Vec<Disk>) -> Result<NodeIndex, OpenError> {
        if !self.line.is_of_cluster() || self.assent.target() != Target::Quorum {
            return Err(OpenError::NoQuorumMount);
        }
        let node = node::open(self.heap, disks, slots::with_spare(&self.share)).await?;
        node.set_protocol(self.protocol.get());
        let member = Member::new(node);
        member.set_state(MemberState::Aside(State::Apart));
        self.members.push(self.heap, member)
    }
}
