//! Repairing what one node couldn't read, from another node.
//!
//! A file block that is bad on one node is written anew there, with everything it says unchanged: the content of the cluster
//! stays the same. It is done before the next modification, so that what was found bad is still what there is. Anything
//! else that can't be read makes a node's knowledge incomplete: it leaves, and resynchronization brings it back.

use super::{Cluster, Command, Ejection, Modification, NodeIndex, OpError, Reply, Slot, StoredBlock};
use crate::media::{Inum, Key, KeyRange, ModifyTid};
use crate::memory::{self, Vec};
use crate::node::{Element, Elements, FileBlock, GivenBlock, NodeError, NodeFault};

/// Repairs remembered; a node that needs more leaves.
const REMEMBERED: usize = 4096;

/// A file block to be written anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Repair {
    node: NodeIndex,
    file: Inum,
    key: Key,
}

/// What is to be repaired.
pub(super) type Repairs = Vec<Repair>;

impl Cluster {
    /// Takes note that a node couldn't answer where another could.
    pub(super) fn note_unreadable(&self, node: NodeIndex, command: &Command<'_>, fault: NodeFault) {
        let file = match command {
            Command::ReadBlock { file, key } if !fault.is_timeout() => self.slots.inum(*file).map(|file| (file, *key)),
            _ => None,
        };
        match file {
            Some((file, key)) => self.to_be_repaired(node, file, key, fault),
            None => self.eject(node, Ejection::Fault(fault)),
        }
    }

    /// Takes note that a node can't read a file block.
    pub(super) fn to_be_repaired(&self, node: NodeIndex, file: Inum, key: Key, fault: NodeFault) {
        let repair = Repair { node, file, key };
        let mut repairs = self.repairs.borrow_mut();
        let is_full = repairs.len() >= REMEMBERED;
        if !repairs.contains(&repair) && (is_full || memory::push(&mut repairs, repair).is_err()) {
            self.eject(node, Ejection::Fault(fault));
        }
    }

    /// Repairs what was found bad. A node that can't be repaired leaves.
    pub(super) async fn mend(&self) -> Result<(), OpError> {
        loop {
            // Taken out first: others may be noted while this one is under way.
            let Some(repair) = self.repairs.borrow_mut().pop() else { return Ok(()) };
            if self.member(repair.node).is_in_sync() {
                match self.write_anew(repair).await {
                    Some(Ok(())) => self.member(repair.node).note_repair(),
                    Some(Err(error)) => self.eject_for(repair.node, error),
                    // Nobody has it: it stays as it is, and says so when it is read.
                    None => self.unrepaired.set(self.unrepaired.get() + 1),
                }
            }
        }
    }

    /// Writes a block anew; none if no other node has it.
    async fn write_anew(&self, repair: Repair) -> Option<Result<(), NodeError>> {
        for source in self.read_order().filter(|source| *source != repair.node) {
            let (pfs, into) = (self.slots.root(), self.slots.spare());
            let Some((tid, block)) = self.stored_block(source, repair.file, repair.key, into).await else { continue };
            let node = &self.member(repair.node).node;
            let write = Modification::WriteBlock { file: into, key: repair.key, block: GivenBlock::Owned(block) };
            let written = match node.execute(Command::Name { pfs, inum: repair.file, into }).await {
                Ok(_) => node.modify(tid, write).await.map(drop),
                Err(error) => Err(error),
            };
            return Some(written);
        }
        None
    }

    /// A file block as a node has it stored, with the operation that wrote it; none if it can't be had. The file is opened as
    /// `into` for that.
    pub(super) async fn stored_block(
        &self,
        node: NodeIndex,
        file: Inum,
        key: Key,
        into: Slot,
    ) -> Option<(ModifyTid, StoredBlock)> {
        let node = &self.member(node).node;
        let (pfs, range) = (self.slots.root(), KeyRange::only(key));
        let mut elements = Elements::new();
        node.execute(Command::Name { pfs, inum: file, into }).await.ok()?;
        let list = Command::List { slot: into, range, since: ModifyTid(0), elements: &mut elements };
        node.execute(list).await.ok()?;
        let Some(Element::Leaf(leaf)) = elements.first() else { return None };
        match node.execute(Command::ReadBlock { file: into, key }).await {
            Ok(Reply::Block(FileBlock::Stored { buffer, .. })) => {
                Some((leaf.modify_tid, StoredBlock { buffer, methods: leaf.methods, check: leaf.check }))
            }
            _ => None,
        }
    }
}
