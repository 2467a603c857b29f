//! Executing modifications.

use zerocopy::IntoBytes;

use super::locate::InodeName;
use super::{GivenBlock, Ingredient, Modification, Node, NodeError, NodeFault, Outcome, Slot, failed};
use crate::chain::{ChainId, Container, Inserted, Stop, Topology};
use crate::freemap::Allocator;
use crate::io::{BlockCache, Buffer};
use crate::media::blockref::BlockFlags;
use crate::media::dirent::EMBEDDED_NAME_BYTES;
use crate::media::geometry::{CHUNK_BYTES, FILE_BLOCK_BITS};
use crate::media::inode::{EMBEDDED_BYTES, InodeFlags};
use crate::media::{
    BlockKind, Blockref, CheckMethod, Compression, Corruption, DataOff, Inode, InodeMeta, Inum, Key, KeyBits, KeyRange,
    Methods, ModifyTid, PfsKind, Radix,
};
use crate::memory::Vec;

/// File blocks removed at a time.
const REMOVED_AT_ONCE: usize = 64;

impl Node {
    /// Executes a modification. When it fails, nothing was changed but the shape of the topology.
    pub async fn modify(&self, tid: ModifyTid, modification: Modification<'_>) -> Result<Outcome, NodeError> {
        self.ready().await?;
        match modification {
            Modification::CreateInode { pfs, inode, methods } => self.create_inode(tid, pfs, inode, methods).await,
            Modification::WriteInode { slot, meta, content } => self.write_inode(tid, slot, meta, content).await,
            Modification::RemoveInode { pfs, inum } => self.remove_entry(tid, self.below(pfs)?, inum.key()).await,
            Modification::AddEntry { directory, key, entry, name, methods } => {
                let bref = entry.blockref(key, name, methods);
                let block = (name.len() > EMBEDDED_NAME_BYTES).then_some(name);
                self.insert(tid, self.below(directory)?, bref, block.unwrap_or(&[]), block.map(|_| Radix::MIN)).await
            }
            Modification::RemoveEntry { directory, key } => self.remove_entry(tid, self.below(directory)?, key).await,
            Modification::WriteBlock { file, key, block } => self.write_block(tid, file, key, block).await,
            Modification::RemoveBlocks { file, range } => self.remove_blocks(tid, file, range).await,
            Modification::Stamp { slot, range } => self.stamp(tid, slot, range).await,
            Modification::CreatePfs { inode, key, origin } => self.create_pfs(tid, inode, key, origin).await,
            Modification::SetPfsRole { slot, kind, masters } => self.set_pfs_role(tid, slot, kind, masters).await,
            Modification::RemovePfs { key } => self.remove_entry(tid, Below::SuperRoot, key).await,
        }
    }

    /// Copies what another node has: as [`modify`](Self::modify), but containers are stamped with `containers` whatever
    /// they said before, so that the stamp of every inode comes out as it is on the other node.
    pub async fn replicate(
        &self,
        tid: ModifyTid,
        containers: ModifyTid,
        modification: Modification<'_>,
    ) -> Result<Outcome, NodeError> {
        let containers = self.protocol.get().has(Ingredient::Stamp).then_some(containers);
        self.topology.borrow_mut().copied_stamp = containers;
        let done = self.modify(tid, modification).await;
        self.topology.borrow_mut().copied_stamp = None;
        done
    }

    fn opened(&self, slot: Slot) -> Result<Opened, NodeError> {
        let name = self.slots.name(slot).ok_or(NodeError::Fault(NodeFault::UnknownSlot))?;
        Ok(Opened { slot, name })
    }

    fn below(&self, slot: Slot) -> Result<Below, NodeError> {
        self.opened(slot).map(Below::Inode)
    }

    /// An open inode as a modified chain.
    fn modify_open(&self, topology: &mut Topology, blocks: &BlockCache, inode: Opened) -> Result<ChainId, Stop> {
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

    /// The inode that an entry is below, as a modified chain.
    fn modify_below(&self, topology: &mut Topology, blocks: &BlockCache, below: Below) -> Result<ChainId, Stop> {
        match below {
            Below::SuperRoot => modify_super_root(topology, blocks),
            Below::Inode(inode) => self.modify_open(topology, blocks, inode),
        }
    }

    /// Does `work` on the topology, loading what is missing, and writing what is modified when there is too much of it.
    pub(super) async fn change<T>(
        &self,
        mut work: impl FnMut(&mut Topology, &mut Allocator, &BlockCache) -> Result<T, Stop>,
    ) -> Result<T, NodeError> {
        loop {
            let done = self
                .load_missing(|| {
                    let (mut topology, mut allocator) = (self.topology.borrow_mut(), self.allocator.borrow_mut());
                    match work(&mut topology, &mut allocator, &self.blocks) {
                        Err(Stop::Full) => Ok(None),
                        other => other.map(Some),
                    }
                })
                .await;
            self.topology.borrow_mut().ignore_limit = false;
            if let Some(done) = done? {
                return Ok(done);
            }
            self.write_back().await?;
            self.topology.borrow_mut().ignore_limit = true;
        }
    }

    async fn create_inode(
        &self,
        tid: ModifyTid,
        pfs: Slot,
        inode: &Inode,
        methods: Methods,
    ) -> Result<Outcome, NodeError> {
        let bref = Blockref::new(BlockKind::Inode, inode.meta.inum().key(), KeyBits(0), methods);
        self.insert(tid, self.below(pfs)?, bref, inode.as_bytes(), Some(Radix::MIN)).await
    }

    /// Inserts an entry; with a block that starts with `bytes` when it has a size.
    async fn insert(
        &self,
        tid: ModifyTid,
        below: Below,
        mut bref: Blockref,
        bytes: &[u8],
        radix: Option<Radix>,
    ) -> Result<Outcome, NodeError> {
        bref.set_modify_tid(tid);
        let mut content: Option<Vec<u8>> = None;
        let inserted = self
            .change(|topology, _, blocks| {
                let root = Container::Chain(self.modify_below(topology, blocks, below)?);
                bref.set_mirror_tid(topology.pending_tid);
                if let (None, Some(radix)) = (&content, radix) {
                    let mut block = topology.blank(radix.bytes()).map_err(|_| no_memory(&bref))?;
                    block[..bytes.len()].copy_from_slice(bytes);
                    content = Some(block);
                }
                topology.insert(blocks, root, &bref, &mut content, tid)
            })
            .await?;
        Ok(if inserted == Inserted::New { Outcome::Done } else { Outcome::Exists })
    }

    async fn write_inode(
        &self,
        tid: ModifyTid,
        slot: Slot,
        meta: &InodeMeta,
        content: Option<&[u8; EMBEDDED_BYTES]>,
    ) -> Result<Outcome, NodeError> {
        let opened = self.opened(slot)?;
        self.change(|topology, _, blocks| {
            let id = self.modify_open(topology, blocks, opened)?;
            let inode = topology.inode_mut(id);
            let was_direct = inode.meta.flags().contains(InodeFlags::DIRECTDATA);
            // What a PFS root is on this node, no other node says.
            let is_root = opened.name.inum == Inum::PFS_ROOT;
            inode.meta = if is_root { meta.with_identity_of(&inode.meta) } else { *meta };
            match content {
                Some(content) if was_direct => inode.body = *content,
                _ if was_direct && !meta.flags().contains(InodeFlags::DIRECTDATA) => inode.body = [0; EMBEDDED_BYTES],
                _ => {}
            }
            topology.touch(Container::Chain(id), tid);
            Ok(Outcome::Done)
        })
        .await
    }

    async fn set_pfs_role(&self, tid: ModifyTid, slot: Slot, kind: PfsKind, masters: u8) -> Result<Outcome, NodeError> {
        let opened = self.opened(slot)?;
        self.change(|topology, _, blocks| {
            let id = self.modify_open(topology, blocks, opened)?;
            let meta = &mut topology.inode_mut(id).meta;
            meta.set_pfs_kind(kind);
            meta.pfs_nmasters = masters;
            topology.touch(Container::Chain(id), tid);
            Ok(Outcome::Done)
        })
        .await
    }

    async fn remove_entry(&self, tid: ModifyTid, below: Below, key: Key) -> Result<Outcome, NodeError> {
        let removed = self
            .change(|topology, allocator, blocks| {
                let root = Container::Chain(self.modify_below(topology, blocks, below)?);
                remove(topology, allocator, blocks, root, key, tid)
            })
            .await?;
        Ok(if removed { Outcome::Done } else { Outcome::Absent })
    }

    async fn write_block(
        &self,
        tid: ModifyTid,
        file: Slot,
        key: Key,
        mut given: GivenBlock<'_>,
    ) -> Result<Outcome, NodeError> {
        let file = self.opened(file)?;
        let Some(block) = given.get_mut() else { return Ok(Outcome::Absent) };
        let Some(radix) = Radix::holding(block.buffer.len()) else { return Err(NodeError::NoMemory) };
        self.make_room().await?;
        let place = self.allocate(BlockKind::Data, radix, key).await?;
        let mut bref = Blockref::new(BlockKind::Data, key, KeyBits(FILE_BLOCK_BITS), block.methods);
        bref.set_data_off(place);
        bref.set_modify_tid(tid);
        bref.check = block.check;
        let stored = self
            .change(|topology, allocator, blocks| {
                bref.set_mirror_tid(topology.pending_tid);
                let id = self.modify_open(topology, blocks, file)?;
                if topology.inode(id).meta.flags().contains(InodeFlags::DIRECTDATA) {
                    return Err(failed(&bref, Corruption::DirectData(topology.inode(id).meta.size())));
                }
                let (container, index) = topology.descend(blocks, Container::Chain(id), key)?;
                let Some(index) = index else {
                    return topology.insert(blocks, Container::Chain(id), &bref, &mut None, tid).map(drop);
                };
                let old = core::mem::replace(&mut topology.entries_mut(container)[index], bref);
                topology.touch(container, tid);
                allocator.free_uncommitted(topology, &old);
                Ok(())
            })
            .await;
        if let Err(error) = stored {
            self.allocator.borrow_mut().free_uncommitted(&mut self.topology.borrow_mut(), &bref);
            return Err(error);
        }
        self.blocks.invalidate(place.offset(), radix.bytes());
        if radix.bytes() < CHUNK_BYTES as usize {
            self.writer.put(self.volumes(), BlockKind::Data, place.offset(), block.buffer.bytes());
        } else {
            let buffer = core::mem::replace(&mut block.buffer, Buffer::empty(self.heap));
            self.writer.submit(self.volumes(), place.offset(), buffer);
        }
        given.take();
        Ok(Outcome::Done)
    }

    async fn remove_blocks(&self, tid: ModifyTid, file: Slot, range: KeyRange) -> Result<Outcome, NodeError> {
        let mut rest = Some(range);
        while let Some(range) = rest {
            let mut keys: heapless::Vec<Key, REMOVED_AT_ONCE> = heapless::Vec::new();
            self.file_blocks(file, range, &mut keys).await?;
            rest = match keys.last() {
                Some(last) if keys.is_full() => range.above(*last),
                _ => None,
            };
            for key in keys {
                self.remove_entry(tid, self.below(file)?, key).await?;
            }
        }
        Ok(Outcome::Done)
    }

    async fn stamp(&self, tid: ModifyTid, slot: Slot, range: KeyRange) -> Result<Outcome, NodeError> {
        let inode = self.opened(slot)?;
        let mut rest = self.protocol.get().has(Ingredient::Stamp).then_some(range);
        while let Some(range) = rest {
            rest = self
                .change(|topology, _, blocks| {
                    let root = Container::Chain(self.modify_open(topology, blocks, inode)?);
                    topology.stamp_first(blocks, root, range, tid)
                })
                .await?;
        }
        Ok(Outcome::Done)
    }

    async fn create_pfs(
        &self,
        tid: ModifyTid,
        inode: &Inode,
        key: Key,
        origin: Option<Slot>,
    ) -> Result<Outcome, NodeError> {
        let mut root = *inode;
        let mut bref =
            Blockref::new(BlockKind::Inode, key, KeyBits(0), Methods::new(CheckMethod::XxHash64, Compression::None));
        bref.set_flags(BlockFlags::PFSROOT);
        if let Some(origin) = origin {
            // The origin's blocks are shared from here on, so none may be taken for one that no commit saw.
            debug_assert!(!self.replaceable.get(), "a snapshot is taken of what was committed, or stays");
            let (body, stats) = self.in_inode(origin, |view| Ok((view.inode.body, view.bref.stats()))).await?;
            root.body = body;
            bref.set_stats(stats);
        }
        self.insert(tid, Below::SuperRoot, bref, root.as_bytes(), Some(Radix::MIN)).await
    }

    /// Room for a block.
    pub(super) async fn allocate(&self, kind: BlockKind, radix: Radix, key: Key) -> Result<DataOff, NodeError> {
        let place =
            self.change(|topology, allocator, blocks| allocator.allocate(topology, blocks, kind, radix, key)).await?;
        place.ok_or(NodeError::NoSpace)
    }
}

fn no_memory(bref: &Blockref) -> Stop {
    Stop::Failed(crate::chain::ChainError::new(bref, crate::io::ReadError::NoMemory))
}

fn remove(
    topology: &mut Topology,
    allocator: &mut Allocator,
    blocks: &BlockCache,
    root: Container,
    key: Key,
    tid: ModifyTid,
) -> Result<bool, Stop> {
    // Collected first: the allocator needs the topology too.
    let mut dropped: heapless::Vec<Blockref, REMOVED_AT_ONCE> = heapless::Vec::new();
    let removed = topology.remove(blocks, root, key, tid, &mut |bref| {
        // More than that: the rest is bulkfree's.
        let _ = dropped.push(*bref);
    })?;
    for bref in dropped.iter().filter(|bref| bref.kind() == Ok(BlockKind::Data)) {
        allocator.free_uncommitted(topology, bref);
    }
    Ok(removed.is_some())
}

/// An open inode: its slot, and what that names.
#[derive(Clone, Copy)]
struct Opened {
    slot: Slot,
    name: InodeName,
}

/// Where an entry is: in the super-root, or below an inode of a PFS.
#[derive(Clone, Copy)]
enum Below {
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
