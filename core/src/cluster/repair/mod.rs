//! Repairing what one node couldn't read, from another node.
//!
//! A node with a bad block stays a member: others answer for it, and what it lost is written anew. A file block is written again
//! with all its fields unchanged; for a block of metadata, the keys behind it are copied (see `range`). Both are done before the
//! next modification, when all nodes have executed the same ones, so that the cluster's content stays the same. A node leaves
//! only for faults that concern it as a whole.

mod range;

pub(super) use range::Lost;

use core::cell::{Cell, RefCell};

use super::vote::{MAX_NODES, NodeSet};
use super::{Cluster, Command, Ejection, Modification, NodeIndex, OpError, Reply, Slot, StoredBlock};
use crate::media::{BlockName, Inum, Key, KeyRange, ModifyTid};
use crate::memory::{self, Heap, NoMemory, Vec, aside};
use crate::node::{Element, Elements, FileBlock, GivenBlock, NodeError, NodeFault};

/// How many repairs are remembered; a node that needs more leaves.
const REMEMBERED: usize = 4096;

/// Something that a node can't read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Repair {
    node: NodeIndex,
    what: Bad,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Bad {
    /// A block of a file.
    FileBlock { file: Inum, key: Key },
    /// A block of metadata, found on the way to what is below an inode.
    Metadata { holder: Inum, block: BlockName },
}

/// What is to be repaired, and what couldn't be repaired.
pub(super) struct Damage {
    repairs: RefCell<Vec<Repair>>,
    /// Blocks that no node had a good copy of.
    unrepaired: Cell<u64>,
}

impl Damage {
    pub(super) fn new(heap: Heap) -> Self {
        Self { repairs: RefCell::new(Vec::new_in(heap)), unrepaired: Cell::new(0) }
    }

    /// True when nothing is to be repaired.
    pub(super) fn is_empty(&self) -> bool {
        self.repairs.borrow().is_empty()
    }

    /// Remembers a repair; fails when there is no room for it.
    fn note(&self, repair: Repair) -> Result<(), NoMemory> {
        let mut repairs = self.repairs.borrow_mut();
        match repairs.contains(&repair) {
            true => Ok(()),
            false if repairs.len() >= REMEMBERED => Err(NoMemory),
            false => memory::push(&mut repairs, repair),
        }
    }

    /// Counts a block of which nobody has a good copy.
    fn note_unrepaired(&self) {
        self.unrepaired.set(self.unrepaired.get() + 1);
    }

    /// The number of unrepairable blocks since the last call.
    pub(super) fn take_unrepaired(&self) -> u64 {
        self.unrepaired.take()
    }
}

impl Cluster {
    /// Notes that a node couldn't answer a command that another could.
    pub(super) fn note_unreadable(&self, node: NodeIndex, command: &Command<'_>, fault: NodeFault) {
        let bad = match (command, fault.bad_block()) {
            (_, Some(block)) => self.holder_of(command).map(|holder| Bad::Metadata { holder, block }),
            (Command::ReadBlock { file, key }, None) if !fault.is_timeout() => {
                self.slots.inum(*file).map(|file| Bad::FileBlock { file, key: *key })
            }
            _ => None,
        };
        match bad {
            Some(what) => self.note_bad(Repair { node, what }, fault),
            None => self.eject(node, Ejection::Fault(fault)),
        }
    }

    /// The inode that a command looks below.
    fn holder_of(&self, command: &Command<'_>) -> Option<Inum> {
        let slot = match command {
            Command::OpenInode { .. } => return Some(Inum::PFS_ROOT),
            Command::MatchName { directory, .. } | Command::Scan { directory, .. } => directory,
            Command::ReadBlock { file, .. } | Command::NextBlock { file, .. } => file,
            Command::Stored { slot } => slot,
            _ => return None,
        };
        self.slots.inum(*slot)
    }

    /// Notes that a node can't read a file block.
    pub(super) fn to_be_repaired(&self, node: NodeIndex, file: Inum, key: Key, fault: NodeFault) {
        self.note_bad(Repair { node, what: Bad::FileBlock { file, key } }, fault);
    }

    /// Notes that a node can't read what is below an inode behind a block.
    pub(super) fn to_be_copied(&self, node: NodeIndex, holder: Inum, block: BlockName, fault: NodeFault) {
        self.note_bad(Repair { node, what: Bad::Metadata { holder, block } }, fault);
    }

    fn note_bad(&self, repair: Repair, fault: NodeFault) {
        if self.damage.note(repair).is_err() {
            self.eject(repair.node, Ejection::Fault(fault));
        }
    }

    /// Repairs the blocks that were found bad. A node that can't be repaired leaves.
    pub(super) async fn mend(&self) -> Result<(), OpError> {
        // Taken out first: others may be noted while this one is under way.
        while let Some(repair) = self.next_repair() {
            if self.member(repair.node).is_in_sync() {
                let Ok(repairing) = aside(self.heap, || self.repair(repair)) else {
                    // It was in the list a moment ago, so there is room.
                    let _ = self.damage.note(repair);
                    return Err(OpError::NoMemory);
                };
                match repairing.await {
                    Some(Ok(())) => self.member(repair.node).note_repair(),
                    Some(Err(error)) => self.eject_for(repair.node, error),
                    // No node has a good copy: it stays as it is, and reading it fails.
                    None => self.damage.note_unrepaired(),
                }
            }
        }
        Ok(())
    }

    /// Writes a bad block anew; none if no other node has all of it.
    async fn repair(&self, Repair { node, what }: Repair) -> Option<Result<(), NodeError>> {
        match what {
            Bad::FileBlock { file, key } => self.write_anew(node, file, key).await,
            Bad::Metadata { holder, block } => self.copy_anew(node, holder, block).await,
        }
    }

    /// A repair on a node that has executed all its modifications. Repairs of other nodes wait until those nodes have.
    fn next_repair(&self) -> Option<Repair> {
        let lagging = self.stream.lagging();
        let mut repairs = self.damage.repairs.borrow_mut();
        let next = repairs.iter().rposition(|repair| !lagging.contains(repair.node))?;
        Some(repairs.swap_remove(next))
    }

    /// Copies the keys behind a bad block; none if no other node has all of them.
    async fn copy_anew(&self, node: NodeIndex, holder: Inum, block: BlockName) -> Option<Result<(), NodeError>> {
        let sources = self.abreast().difference(self.stream.failed()).difference(NodeSet::only(node));
        Some(self.copy_lost(node, holder, block, sources).await?.map(drop))
    }

    /// Writes a file block anew; none if no other node has it.
    async fn write_anew(&self, node: NodeIndex, file: Inum, key: Key) -> Option<Result<(), NodeError>> {
        let (pfs, into) = (self.slots.root(), self.slots.spare());
        let (tid, block) = self.block_of_another(node, file, key, into).await?;
        let node = &self.member(node).node;
        let write = Modification::WriteBlock { file: into, key, block: GivenBlock::Owned(block) };
        let written = match node.execute(Command::Name { pfs, inum: file, into }).await {
            Ok(_) => node.modify(tid, write).await.map(drop),
            Err(error) => Err(error),
        };
        Some(written)
    }

    /// A file block as stored on another node, as returned by `stored_block`. Changes wait meanwhile, so late nodes are waited
    /// for last.
    async fn block_of_another(
        &self,
        node: NodeIndex,
        file: Inum,
        key: Key,
        into: Slot,
    ) -> Option<(ModifyTid, StoredBlock)> {
        let mut late: heapless::Vec<NodeIndex, MAX_NODES> = heapless::Vec::new();
        for source in self.source_order().filter(|source| *source != node) {
            match self.promptly(source, || self.stored_block(source, file, key, into)).await {
                Ok(Some(None)) | Err(NoMemory) => {}
                Ok(Some(found)) => return found,
                // There are no more sources than nodes.
                Ok(None) => late.push(source).unwrap_or(()),
            }
        }
        for source in late {
            if let Some(found) = self.stored_block(source, file, key, into).await {
                return Some(found);
            }
        }
        None
    }

    /// A file block as stored on a node, with the operation that wrote it; none if it can't be read. The file is opened in slot
    /// `into` for this.
    pub(super) async fn stored_block(
        &self,
        node: NodeIndex,
        file: Inum,
        key: Key,
        into: Slot,
    ) -> Option<(ModifyTid, StoredBlock)> {
        let node = &self.member(node).node;
        let (pfs, range) = (self.slots.root(), KeyRange::only(key));
        let mut elements = memory::boxed(self.heap, Elements::new()).ok()?;
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::io::testing::HEAP;

    fn of_block(key: u64) -> Repair {
        Repair { node: NodeIndex(1), what: Bad::FileBlock { file: Inum(7), key: Key(key) } }
    }

    #[test]
    fn a_repair_is_remembered_once_and_only_so_many_are() {
        let damage = Damage::new(HEAP);
        assert!(damage.is_empty());
        for key in 0..REMEMBERED as u64 {
            assert_eq!([damage.note(of_block(key)), damage.note(of_block(key))], [Ok(()); 2]);
        }
        assert!(!damage.is_empty());
        assert_eq!(damage.note(of_block(REMEMBERED as u64)), Err(NoMemory));
        assert_eq!(damage.note(of_block(0)), Ok(()));
        assert_eq!(damage.repairs.borrow().len(), REMEMBERED);
    }

    #[test]
    fn what_nobody_has_is_counted_until_it_is_told() {
        let damage = Damage::new(HEAP);
        (0..3).for_each(|_| damage.note_unrepaired());
        assert_eq!([damage.take_unrepaired(), damage.take_unrepaired()], [3, 0]);
    }
}
