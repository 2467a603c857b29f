//! Slots: names for inodes that are valid on every node, chosen here.

use core::cell::{Cell, RefCell};

use super::stream::Entry;
use super::{
    Cluster, Command, Creation, InodeRecord, MAX_NODES, Modification, NodeIndex, NodeOptions, OpError, Outcome, Reply,
    Slot,
};
use crate::media::{Inum, ModifyTid};
use crate::memory::{self, Box, Heap, NoMemory, Vec};

/// The slots of a cluster.
pub(super) struct Slots {
    free: RefCell<Vec<Slot>>,
    /// What each slot names, for nodes that come in later.
    names: RefCell<Vec<Option<Inum>>>,
    /// The root of the PFS in use.
    root: Cell<Slot>,
    /// A slot that is only ever open for a moment, on one node; after it there are two for each node that is copied to.
    spare: Slot,
}

/// Adds the spare slots to the options of a node.
pub(super) fn with_spare(options: &NodeOptions) -> NodeOptions {
    NodeOptions { slots: options.slots + 1 + 2 * MAX_NODES, ..*options }
}

impl Slots {
    pub(super) fn new(heap: Heap, count: usize) -> Result<Self, NoMemory> {
        let free = memory::free_places(heap, count, Slot)?;
        let names = memory::filled(heap, count, || None)?;
        Ok(Self {
            free: RefCell::new(free),
            names: RefCell::new(names),
            root: Cell::new(Slot(0)),
            spare: Slot(count as u32),
        })
    }

    /// How many there are.
    pub(super) fn count(&self) -> usize {
        self.names.borrow().len()
    }

    /// The inode a slot names.
    pub(super) fn inum(&self, slot: Slot) -> Option<Inum> {
        self.names.borrow().get(slot.0 as usize).copied().flatten()
    }

    /// The root of the PFS in use.
    pub(super) fn root(&self) -> Slot {
        self.root.get()
    }

    /// The slot that is only open for a moment.
    pub(super) fn spare(&self) -> Slot {
        self.spare
    }

    /// The slot, on any node, for the inode that is being copied to `target`.
    pub(super) fn copied_to(&self, target: NodeIndex) -> Slot {
        Slot(self.spare.0 + 1 + u32::from(target.0))
    }

    /// The slot, on any node, for the snapshot that is being copied to `target`.
    pub(super) fn snapshot_of(&self, target: NodeIndex) -> Slot {
        Slot(self.copied_to(target).0 + MAX_NODES as u32)
    }

    /// All open slots but the root's, with their inodes.
    pub(super) fn open(&self) -> impl Iterator<Item = (Slot, Inum)> {
        let count = self.names.borrow().len() as u32;
        let root = self.root();
        (0..count).map(Slot).filter(move |slot| *slot != root).filter_map(|slot| Some((slot, self.inum(slot)?)))
    }

    fn set(&self, slot: Slot, inum: Option<Inum>) {
        if let Some(name) = self.names.borrow_mut().get_mut(slot.0 as usize) {
            *name = inum;
        }
    }
}

impl Cluster {
    /// Opens an inode by number; none if there isn't one.
    pub(crate) async fn open_inode(&self, pfs: Slot, inum: Inum) -> Result<Option<(Slot, Box<InodeRecord>)>, OpError> {
        self.open_slot(inum, |into| Command::OpenInode { pfs, inum, into }).await
    }

    /// Opens the root of the PFS with this label; none if there isn't one.
    pub(crate) async fn open_pfs(&self, label: &[u8]) -> Result<Option<(Slot, Box<InodeRecord>)>, OpError> {
        let opened = self.open_slot(Inum::PFS_ROOT, |into| Command::OpenPfs { label, into }).await?;
        if let Some((slot, _)) = opened {
            self.slots.root.set(slot);
        }
        Ok(opened)
    }

    /// Makes a file and opens it, unless no slot is left. Returns the outcome and the slot.
    pub async fn create_file(
        &self,
        tid: ModifyTid,
        mut creation: Creation<'_>,
    ) -> Result<(Outcome, Option<Slot>), OpError> {
        let fresh = FreshSlot { slots: &self.slots, slot: self.slots.free.borrow_mut().pop() };
        creation.places.into = fresh.slot;
        let outcome = self.modify(tid, Modification::Create(creation)).await?;
        match (outcome, fresh.slot) {
            (Outcome::Done, Some(slot)) => {
                self.slots.set(slot, Some(creation.inode.meta.inum()));
                Ok((outcome, Some(fresh.keep(slot))))
            }
            _ => Ok((outcome, None)),
        }
    }

    /// Opens a fresh slot by means of a command.
    async fn open_slot<'a>(
        &self,
        inum: Inum,
        command: impl FnOnce(Slot) -> Command<'a>,
    ) -> Result<Option<(Slot, Box<InodeRecord>)>, OpError> {
        let fresh = FreshSlot { slots: &self.slots, slot: self.slots.free.borrow_mut().pop() };
        let Some(slot) = fresh.slot else { return Err(OpError::TooManyOpen) };
        match self.execute(command(slot)).await? {
            Reply::Inode(record) => {
                self.slots.set(slot, Some(inum));
                Ok(Some((fresh.keep(slot), record)))
            }
            _ => Ok(None),
        }
    }

    /// Closes a slot. It may then name something else.
    pub(crate) fn close(&self, slot: Slot) {
        self.on_tables(|| Command::Close { slot }, |late_at| Entry::close(slot, late_at));
        self.slots.set(slot, None);
        // The list was made with room for all slots.
        self.slots.free.borrow_mut().push(slot);
    }
}

/// A slot that becomes free again unless what it was taken for succeeds.
struct FreshSlot<'c> {
    slots: &'c Slots,
    slot: Option<Slot>,
}

impl FreshSlot<'_> {
    fn keep(mut self, slot: Slot) -> Slot {
        self.slot = None;
        slot
    }
}

impl Drop for FreshSlot<'_> {
    fn drop(&mut self) {
        if let Some(slot) = self.slot.take() {
            self.slots.free.borrow_mut().push(slot);
        }
    }
}
