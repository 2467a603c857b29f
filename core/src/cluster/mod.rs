//! N nodes as one: what the file system above knows of the disks below.
//!
//! The layer speaks to nodes in commands and makes one answer of their replies. A cluster of one takes no detour: the command
//! becomes a direct call, and the node's reply is the answer. Faults of nodes end here; [`OpError`] is what reaches the user.

mod administration;
mod error;
mod pfs;

pub(crate) use administration::Origin;
pub use administration::{NewPfs, PfsOutcome};
pub use error::OpError;
pub use pfs::{Pfs, PfsSelector};

pub use crate::node::{
    BulkfreeCounts, Command, Entry, EntryBatch, FileBlock, InodeRecord, Modification, NodeFault, NodeOptions,
    OpenError, Outcome, Reply, SLOT_BYTES, Slot, StoredBlock,
};

use core::cell::{Ref, RefCell};

use crate::io::{Buffer, Disk};
use crate::media::{Inum, Key, KeyRange, ModifyTid, VolumeHeader};
use crate::memory::{self, Heap, NoMemory, Vec};
use crate::node::{self, Node};

/// A cluster of one node.
pub struct Cluster {
    node: Node,
    free_slots: RefCell<Vec<Slot>>,
}

impl Cluster {
    /// Opens the cluster of one node whose volumes are `disks`, in any order.
    pub async fn open_one(heap: Heap, disks: Vec<Disk>, options: NodeOptions) -> Result<Self, OpenError> {
        let node = node::open(heap, disks, options).await?;
        Ok(Self::of_one(heap, node, &options)?)
    }

    /// The cluster that `node` is by itself. `options` is what the node was opened with.
    pub fn of_one(heap: Heap, node: Node, options: &NodeOptions) -> Result<Self, NoMemory> {
        let mut next = options.slots as u32;
        let free_slots = memory::filled(heap, options.slots, || {
            next -= 1;
            Slot(next)
        })?;
        Ok(Self { node, free_slots: RefCell::new(free_slots) })
    }

    /// The capacity and free space of the cluster: those of its smallest member.
    pub fn header(&self) -> Ref<'_, VolumeHeader> {
        self.node.header()
    }

    /// Executes a command on every node; the answer they agree on.
    pub async fn execute(&self, command: Command<'_>) -> Result<Reply, OpError> {
        self.node.execute(command).await.map_err(OpError::from)
    }

    /// Executes a modification on every node, in the order of calls. It is never given up half-way: it is done, or nothing is.
    pub async fn modify(&self, tid: ModifyTid, modification: Modification<'_>) -> Result<Outcome, OpError> {
        Ok(self.node.modify(tid, modification).await?)
    }

    /// Makes everything done so far durable.
    pub async fn flush(&self) -> Result<(), OpError> {
        Ok(self.node.flush().await?)
    }

    /// Gives back the buffer of a [`FileBlock`] that was read, for the next.
    pub fn give_back(&self, buffer: Buffer) {
        self.node.blocks().give_back(buffer);
    }

    /// Memory for a file block, of one that was written or given back, if there is any. What it holds means nothing.
    pub fn spare_buffer(&self) -> Option<Buffer> {
        self.node.spare_buffer()
    }

    /// What ended all writing, if anything did.
    pub fn fault(&self) -> Option<NodeFault> {
        self.node.fault()
    }

    /// Bytes that new blocks can take, what is on its way to the nodes' disks already taken off.
    pub fn free_bytes(&self) -> u64 {
        self.node.free_bytes()
    }

    /// Opens an inode by number; none if there isn't one.
    pub async fn open_inode(&self, pfs: Slot, inum: Inum) -> Result<Option<(Slot, InodeRecord)>, OpError> {
        self.open(|into| Command::OpenInode { pfs, inum, into }).await
    }

    /// Opens the root of the PFS with this label; none if there isn't one.
    pub async fn open_pfs(&self, label: &[u8]) -> Result<Option<(Slot, InodeRecord)>, OpError> {
        self.open(|into| Command::OpenPfs { label, into }).await
    }

    /// Executes a command that opens a fresh slot.
    async fn open<'a>(
        &self,
        command: impl FnOnce(Slot) -> Command<'a>,
    ) -> Result<Option<(Slot, InodeRecord)>, OpError> {
        let fresh = FreshSlot { cluster: self, slot: self.free_slots.borrow_mut().pop() };
        let Some(slot) = fresh.slot else { return Err(OpError::TooManyOpen) };
        match self.execute(command(slot)).await? {
            Reply::Inode(record) => Ok(Some((fresh.keep(slot), record))),
            _ => Ok(None),
        }
    }

    /// Closes a slot, which may then name something else.
    pub async fn close(&self, slot: Slot) -> Result<(), OpError> {
        self.execute(Command::Close { slot }).await?;
        // There is room: the list was made for all slots.
        self.free_slots.borrow_mut().push(slot);
        Ok(())
    }

    /// The first block at or after `range`'s start that isn't a hole.
    pub async fn next_block(&self, file: Slot, range: KeyRange) -> Result<Option<Key>, OpError> {
        match self.execute(Command::NextBlock { file, range }).await? {
            Reply::Key(key) => Ok(Some(key)),
            _ => Ok(None),
        }
    }
}

/// A slot that goes back to the free ones unless what it was taken for succeeds.
struct FreshSlot<'c> {
    cluster: &'c Cluster,
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
            self.cluster.free_slots.borrow_mut().push(slot);
        }
    }
}
