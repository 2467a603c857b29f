//! From disks to nodes.

use super::member::Member;
use super::{Cluster, MAX_NODES, NodeOptions, OpenError, slots};
use crate::io::Disk;
use crate::memory::{self, Heap, NoMemory, Vec};
use crate::node::{self, Node};

impl Cluster {
    /// Opens the cluster of one node whose volumes are `disks`, in any order.
    pub async fn open_one(heap: Heap, disks: Vec<Disk>, options: NodeOptions) -> Result<Self, OpenError> {
        let node = node::open(heap, disks, slots::with_spare(&options)).await?;
        Ok(Self::of_one(heap, node, &options)?)
    }

    /// The cluster that `node` is by itself. `options` is what the node was opened with.
    pub fn of_one(heap: Heap, node: Node, options: &NodeOptions) -> Result<Self, NoMemory> {
        let mut members = Vec::new_in(heap);
        memory::push(&mut members, Member::new(node))?;
        Self::of(heap, members, options)
    }

    /// Opens several nodes, each of which is the disks of its volumes. Those that can't be opened are left out; `refused` is
    /// told which and why. An error only if none can be opened.
    pub async fn open(
        heap: Heap,
        nodes: Vec<Vec<Disk>>,
        options: NodeOptions,
        refused: &mut dyn FnMut(usize, &OpenError),
    ) -> Result<Self, OpenError> {
        let count = nodes.len().max(1);
        if count > MAX_NODES {
            return Err(OpenError::TooManyNodes);
        }
        let share = NodeOptions {
            cache_bytes: options.cache_bytes / count,
            modified_bytes: options.modified_bytes / count,
            slots: options.slots,
        };
        let mut members = Vec::new_in(heap);
        let mut first_error = OpenError::NoVolumes;
        for (position, disks) in nodes.into_iter().enumerate() {
            match node::open(heap, disks, slots::with_spare(&share)).await {
                Ok(node) => memory::push(&mut members, Member::new(node))?,
                Err(error) => {
                    refused(position, &error);
                    first_error = if position == 0 { error } else { first_error };
                }
            }
        }
        if members.is_empty() {
            return Err(first_error);
        }
        Ok(Self::of(heap, members, &options)?)
    }
}
