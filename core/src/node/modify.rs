//! Executing modifications.

use zerocopy::IntoBytes;

use super::locate::InodeName;
use super::{GivenBlock, Halt, Modification, Node, NodeError, NodeFault, Outcome, Progress, Rule, Slot, failed};
use crate::chain::{ChainId, Container, Cursor, Inserted, Manner, Stop, Topology};
use crate::io::BlockCache;
use crate::media::blockref::BlockFlags;
use crate::media::dirent::EMBEDDED_NAME_BYTES;
use crate::media::geometry::FILE_BLOCK_BITS;
use crate::media::inode::{EMBEDDED_BYTES, InodeFlags};
use crate::media::{
    BlockKind, Blockref, CheckMethod, Compression, Corruption, Dirent, Inode, InodeMeta, Inum, Key, KeyBits, KeyRange,
    Methods, ModifyTid, PfsKind, Radix,
};
use crate::memory::{Vec, push};

/// File blocks removed at a time.
const REMOVED_AT_ONCE: usize = 64;

impl Node {
    /// Executes a modification, or says why it can't be executed now. If it fails or is halted, nothing was changed except the
    /// shape of the topology and the part that the next attempt finds done.
    pub(crate) fn attempt_change(
        &self,
        tid: ModifyTid,
        modification: &mut Modification<'_>,
        progress: &mut Progress,
    ) -> Result<Outcome, Halt> {
        self.attempt_change_in(Manner::default(), tid, modification, progress)
    }

    /// Does the same in a given manner. Each modification uses only its own share of the stack.
    pub(super) fn attempt_change_in(
        &self,
        manner: Manner,
        tid: ModifyTid,
        modification: &mut Modification<'_>,
        progress: &mut Progress,
    ) -> Result<Outcome, Halt> {
        self.check_ready()?;
        let change = Change { tid, manner };
        match modification {
            Modification::CreateInode { pfs, inode, methods } => {
                self.insert(change, self.below(*pfs)?, &NewEntry::inode(inode.meta.inum(), inode.as_bytes(), *methods))
            }
            Modification::Create(creation) => self.create(change, creation),
            Modification::WriteInode { slot, meta, content } => self.write_inode(change, *slot, meta, *content),
            Modification::RemoveInode { pfs, inum } => self.remove_entry(change, self.below(*pfs)?, inum.key()),
            Modification::AddEntry { directory, key, entry, name, methods } => {
                self.insert(change, self.below(*directory)?, &NewEntry::name(entry, *key, name, *methods))
            }
            Modification::RemoveEntry { directory, key } => self.remove_entry(change, self.below(*directory)?, *key),
            Modification::WriteBlock { file, key, block } => self.write_block(change, *file, *key, block),
            Modification::RemoveBlocks { file, range } => self.remove_blocks(change, *file, *range, progress),
            Modification::CloneBlocks(sharing) => self.clone_blocks(change, *sharing, progress),
            Modification::Stamp { slot, range } => self.stamp(change, *slot, *range, progress),
            Modification::CreatePfs { inode, key, origin } => self.create_pfs(change, inode, *key, *origin),
            Modification::SetPfsRole { slot, kind, masters } => self.set_pfs_role(change, *slot, *kind, *masters),
            Modification::RemovePfs { key } => self.remove_entry(change, Below::SuperRoot, *key),
        }
    }

    /// Copies what another node has: like [`modify`](Self::modify), but containers are stamped with `containers` whatever their
    /// stamp was, so that every inode ends up with the same stamp as on the other node.
    pub async fn replicate(
        &self,
        tid: ModifyTid,
        containers: ModifyTid,
        modification: Modification<'_>,
    ) -> Result<Outcome, NodeError> {
        let containers = self.protocol.get().has(Rule::Stamp).then_some(containers);
        self.modify_in(tid, modification, containers).await
    }

    pub(super) fn opened(&self, slot: Slot) -> Result<Opened, NodeError> {
        let name = self.slots.name(slot).ok_or(NodeError::Fault(NodeFault::UnknownSlot))?;
        Ok(Opened { slot, name })
    }

    pub(super) fn below(&self, slot: Slot) -> Result<Below, NodeError> {
        self.opened(slot).map(Below::Inode)
    }

    /// An open inode as a modified chain.
    pub(super) fn modify_open(
        &self,
        topology: &mut Topology,
        blocks: &BlockCache,
        inode: Opened,
    ) -> Result<ChainId, Stop> {
        let Opened { slot, name } = inode;
        if let Some(id) = self.slots.place(slot, topology).as_ref().and_then(ChainId::of) {
            return Ok(id);
        }
        let id = modify_named(topology, blocks, name)?;
        let mut place = topology.chain(id).bref;
        id.mark(&mut place);
        self.slots.remember(slot, place, topology);
        Ok(id)
    }

    /// The inode that contains an entry, as a modified chain.
    pub(super) fn modify_below(
        &self,
        topology: &mut Topology,
        blocks: &BlockCache,
        below: Below,
    ) -> Result<ChainId, Stop> {
        match below {
            Below::SuperRoot => modify_super_root(topology, blocks),
            Below::Inode(inode) => self.modify_open(topology, blocks, inode),
        }
    }

    #[inline(never)]
    fn insert(&self, change: Change, below: Below, new: &NewEntry<'_>) -> Result<Outcome, Halt> {
        let inserted = self.change(change.manner, |topology, _, blocks| {
            let root = Container::Chain(self.modify_below(topology, blocks, below)?);
            new.insert(topology, blocks, root, change.tid)
        })?;
        Ok(if inserted == Inserted::Exists { Outcome::Exists } else { Outcome::Done })
    }

    #[inline(never)]
    fn write_inode(
        &self,
        change: Change,
        slot: Slot,
        meta: &InodeMeta,
        content: Option<&[u8; EMBEDDED_BYTES]>,
    ) -> Result<Outcome, Halt> {
        let opened = self.opened(slot)?;
        self.change(change.manner, |topology, _, blocks| {
            let id = self.modify_open(topology, blocks, opened)?;
            let inode = topology.inode_mut(id);
            let was_direct = inode.meta.flags().contains(InodeFlags::DIRECTDATA);
            // Each node has its own role of a PFS root.
            let is_root = opened.name.inum == Inum::PFS_ROOT;
            inode.meta = if is_root { meta.with_identity_of(&inode.meta) } else { *meta };
            match content {
                Some(content) if was_direct => inode.body = *content,
                _ if was_direct && !meta.flags().contains(InodeFlags::DIRECTDATA) => inode.body = [0; EMBEDDED_BYTES],
                _ => {}
            }
            topology.touch(Container::Chain(id), change.tid);
            Ok(())
        })?;
        Ok(Outcome::Done)
    }

    #[inline(never)]
    fn set_pfs_role(&self, change: Change, slot: Slot, kind: PfsKind, masters: u8) -> Result<Outcome, Halt> {
        let opened = self.opened(slot)?;
        self.change(change.manner, |topology, _, blocks| {
            let id = self.modify_open(topology, blocks, opened)?;
            let meta = &mut topology.inode_mut(id).meta;
            meta.set_pfs_kind(kind);
            meta.pfs_nmasters = masters;
            topology.touch(Container::Chain(id), change.tid);
            Ok(())
        })?;
        Ok(Outcome::Done)
    }

    #[inline(never)]
    pub(super) fn remove_entry(&self, change: Change, below: Below, key: Key) -> Result<Outcome, Halt> {
        let removed = self.change(change.manner, |topology, allocator, blocks| {
            let root = Container::Chain(self.modify_below(topology, blocks, below)?);
            let mut dropped = Vec::new_in(self.heap);
            let removed =
                topology.remove(blocks, root, key, change.tid, &mut |bref| note_dropped(&mut dropped, bref))?;
            dropped.iter().for_each(|bref| allocator.free_uncommitted(topology, bref));
            Ok(removed.is_some())
        })?;
        Ok(if removed { Outcome::Done } else { Outcome::Absent })
    }

    #[inline(never)]
    fn write_block(&self, change: Change, file: Slot, key: Key, given: &mut GivenBlock<'_>) -> Result<Outcome, Halt> {
        let file = self.opened(file)?;
        let Some(block) = given.get() else { return Ok(Outcome::Absent) };
        let Some(radix) = Radix::holding(block.buffer.len()) else { return Err(NodeError::NoMemory.into()) };
        let shared = given.share().map_err(NodeError::from)?;
        if !self.writer.has_room(self.volumes())? {
            return Err(Halt::Busy);
        }
        let place = self.change(change.manner, |topology, allocator, blocks| {
            allocator.allocate(topology, blocks, BlockKind::Data, radix, key)
        })?;
        let Some(place) = place else {
            return Err(if self.can_free_lost() { Halt::Lost } else { NodeError::NoSpace.into() });
        };
        let mut bref = Blockref::new(BlockKind::Data, key, KeyBits(FILE_BLOCK_BITS), block.methods);
        bref.set_data_off(place);
        bref.set_modify_tid(change.tid);
        bref.check = block.check;
        let stored = self.change(change.manner, |topology, allocator, blocks| {
            bref.set_mirror_tid(topology.pending_tid);
            let old = self.put_block(topology, blocks, file, &bref, change.tid)?;
            old.iter().for_each(|old| allocator.free_uncommitted(topology, old));
            Ok(())
        });
        if let Err(stop) = stored {
            // The next attempt looks for another place.
            self.allocator.borrow_mut().free_uncommitted(&mut self.topology.borrow_mut(), &bref);
            return Err(stop.into());
        }
        self.blocks.invalidate(place.offset(), radix.bytes());
        if block.is_small() {
            self.writer.put(self.volumes(), BlockKind::Data, place.offset(), block.buffer.bytes());
            drop(given.take());
        } else if let Some(buffer) = shared.or_else(|| given.take().map(|block| block.buffer)) {
            self.writer.submit(self.volumes(), place.offset(), buffer);
        }
        Ok(Outcome::Done)
    }

    /// Puts the blockref of a file block in its place. Returns the blockref that was there, if there was one.
    pub(super) fn put_block(
        &self,
        topology: &mut Topology,
        blocks: &BlockCache,
        file: Opened,
        bref: &Blockref,
        tid: ModifyTid,
    ) -> Result<Option<Blockref>, Stop> {
        let id = self.modify_open(topology, blocks, file)?;
        if topology.inode(id).is_direct() {
            return Err(failed(bref, Corruption::DirectData(topology.inode(id).meta.size())));
        }
        let (container, index) = topology.descend(blocks, Container::Chain(id), bref.key())?;
        let Some(index) = index else {
            topology.insert(blocks, Container::Chain(id), bref, &mut None, tid)?;
            return Ok(None);
        };
        let old = core::mem::replace(&mut topology.entries_mut(container)[index], *bref);
        topology.touch(container, tid);
        Ok(Some(old))
    }

    fn remove_blocks(
        &self,
        mut change: Change,
        file: Slot,
        range: KeyRange,
        progress: &mut Progress,
    ) -> Result<Outcome, Halt> {
        let (cursor, _) = progress.over(range);
        while cursor.remaining.is_some() {
            let left = *cursor;
            let mut keys: heapless::Vec<Key, REMOVED_AT_ONCE> = heapless::Vec::new();
            let gathered = self.file_blocks(file, cursor, &mut keys);
            if let (Err(halt), true) = (gathered, keys.is_empty()) {
                return Err(halt);
            }
            if gathered.is_ok() && !keys.is_full() {
                cursor.remaining = None;
            }
            for key in keys {
                if let Err(halt) = self.remove_entry(change, self.below(file)?, key) {
                    *cursor = Cursor { remaining: left.remaining.map(|rest| KeyRange { first: key, ..rest }) };
                    return Err(halt);
                }
            }
            // From here on, the amount of modified blocks is limited again.
            change.manner.over_limit = false;
        }
        Ok(Outcome::Done)
    }

    fn stamp(&self, mut change: Change, slot: Slot, range: KeyRange, progress: &mut Progress) -> Result<Outcome, Halt> {
        let inode = self.opened(slot)?;
        let (cursor, _) = progress.over(range);
        if !self.protocol.get().has(Rule::Stamp) {
            return Ok(Outcome::Done);
        }
        while let Some(range) = cursor.remaining {
            cursor.remaining = self.change(change.manner, |topology, _, blocks| {
                let root = Container::Chain(self.modify_open(topology, blocks, inode)?);
                topology.stamp_first(blocks, root, range, change.tid)
            })?;
            change.manner.over_limit = false;
        }
        Ok(Outcome::Done)
    }

    #[inline(never)]
    fn create_pfs(&self, change: Change, inode: &Inode, key: Key, origin: Option<Slot>) -> Result<Outcome, Halt> {
        let mut root = *inode;
        let mut bref =
            Blockref::new(BlockKind::Inode, key, KeyBits(0), Methods::new(CheckMethod::XxHash64, Compression::None));
        bref.set_flags(BlockFlags::PFSROOT);
        if let Some(origin) = origin {
            // The origin's blocks are shared from here on, so none may be taken for uncommitted.
            debug_assert!(!self.replaceable.get(), "a snapshot is taken of what was committed, or stays");
            let (body, stats) = self.in_inode(origin, |view| Ok((view.inode.body, view.bref.stats())))?;
            root.body = body;
            bref.set_stats(stats);
        }
        self.insert(change, Below::SuperRoot, &NewEntry { bref, block: Some(root.as_bytes()) })
    }
}

/// The stamp of a modification, and its manner.
#[derive(Clone, Copy)]
pub(super) struct Change {
    pub(super) tid: ModifyTid,
    pub(super) manner: Manner,
}

/// An entry to be inserted.
pub(super) struct NewEntry<'n> {
    /// What an array is to say, but for its stamps.
    bref: Blockref,
    /// What its block begins with, if it has one: the smallest there is.
    block: Option<&'n [u8]>,
}

impl<'n> NewEntry<'n> {
    /// An inode of the index.
    pub(super) fn inode(inum: Inum, inode: &'n [u8], methods: Methods) -> Self {
        Self { bref: Blockref::new(BlockKind::Inode, inum.key(), KeyBits(0), methods), block: Some(inode) }
    }

    /// A name in a directory.
    pub(super) fn name(entry: &Dirent, key: Key, name: &'n [u8], methods: Methods) -> Self {
        let block = (name.len() > EMBEDDED_NAME_BYTES).then_some(name);
        Self { bref: entry.blockref(key, name, methods), block }
    }

    pub(super) fn key(&self) -> Key {
        self.bref.key()
    }

    /// What the array says of it once it is a modified chain.
    pub(super) fn place(&self, chain: ChainId) -> Blockref {
        let mut place = self.bref;
        chain.mark(&mut place);
        place
    }

    /// Puts it in below `root`, stamped with `tid`.
    pub(super) fn insert(
        &self,
        topology: &mut Topology,
        blocks: &BlockCache,
        root: Container,
        tid: ModifyTid,
    ) -> Result<Inserted, Stop> {
        let mut bref = self.bref;
        bref.set_modify_tid(tid);
        bref.set_mirror_tid(topology.pending_tid);
        let mut content = match self.block {
            Some(bytes) => Some(topology.block_of(bytes, Radix::MIN.bytes()).map_err(|_| no_memory(&bref))?),
            None => None,
        };
        topology.insert(blocks, root, &bref, &mut content, tid)
    }
}

fn no_memory(bref: &Blockref) -> Stop {
    Stop::Failed(crate::chain::ChainError::new(bref, crate::io::ReadError::NoMemory))
}

/// Notes a removed file block for later, as the allocator needs the topology too. Bulkfree frees those that aren't noted.
fn note_dropped(dropped: &mut Vec<Blockref>, bref: &Blockref) {
    if bref.is(BlockKind::Data) && dropped.len() < REMOVED_AT_ONCE {
        let _ = push(dropped, *bref);
    }
}

/// An open inode: its slot, and the name of the inode.
#[derive(Clone, Copy)]
pub(super) struct Opened {
    slot: Slot,
    pub(super) name: InodeName,
}

/// Where an entry is: in the super-root, or below an inode of a PFS.
#[derive(Clone, Copy)]
pub(super) enum Below {
    SuperRoot,
    Inode(Opened),
}

fn modify_super_root(topology: &mut Topology, blocks: &BlockCache) -> Result<ChainId, Stop> {
    let set = Container::SuperRootSet;
    let index = topology.position(set, Inum::SUPER_ROOT.key());
    let missing = || failed(&topology.super_root[0], Corruption::NoSuperRoot);
    let index = index.ok_or_else(missing)?;
    topology.modify(blocks, set, index)
}

/// A named inode as a modified chain.
pub(super) fn modify_named(topology: &mut Topology, blocks: &BlockCache, name: InodeName) -> Result<ChainId, Stop> {
    let super_root = modify_super_root(topology, blocks)?;
    let gone =
        || failed(&Blockref::new(BlockKind::Inode, name.inum.key(), KeyBits(0), Methods(0)), Corruption::NoBlock);
    let pfs = topology.modify_inode(blocks, Container::Chain(super_root), name.pfs)?.ok_or_else(gone)?;
    if name.inum == Inum::PFS_ROOT {
        return Ok(pfs);
    }
    topology.modify_inode(blocks, Container::Chain(pfs), name.inum.key())?.ok_or_else(gone)
}
