//! Writing what is modified, and committing it (format 7.2).
//!
//! Blocks are written bottom-up, each to a new place, and their check codes and places are noted in their containers, until only
//! the header's two sets are modified. This commits nothing yet, and is done whenever memory is short (*write-back*). A *flush*
//! writes the freemap too, waits until everything is durable, and only then writes a header.

use super::writer::WriteError;
use super::{Node, NodeError, NodeFault, Rule};
use crate::chain::{ChainId, Container, ModifiedPath};
use crate::io::Volume;
use crate::media::blockref::BlockStats;
use crate::media::freemap::{place, rotation};
use crate::media::{BlockKind, Blockref, CheckMethod, DataOff, MirrorTid, Radix, VolumeHeader};
use crate::memory::{Vec, aside};

impl Node {
    /// Writes everything that is modified, except the freemap, and frees its memory.
    pub(super) async fn write_back(&self) -> Result<(), NodeError> {
        // This also holds if the write-back is given up half-way.
        self.uncommitted.set(true);
        self.replaceable.set(true);
        let written = self.write_below(Container::SuperRootSet).await;
        let settled = self.settle().await;
        written.and(settled)
    }

    /// Writes everything that is modified, except the freemap, and from then on keeps it in place as if it were committed, so
    /// that a PFS which shares it may be made. This commits nothing.
    pub(crate) async fn keep_what_was_written(&self) -> Result<(), NodeError> {
        self.write_back().await?;
        self.skip_mirror_tids(1);
        self.replaceable.set(false);
        Ok(())
    }

    /// Makes everything durable: when this returns, all earlier modifications are committed on media.
    pub async fn flush(&self) -> Result<(), NodeError> {
        if self.fix().await? { self.land().await.map(drop) } else { Ok(()) }
    }

    /// Sends everything that is modified to the devices, including the freemap, so that a header can be
    /// [fixed](Self::fix_header). Nothing may be changed meanwhile, and no earlier commit may be half done.
    pub(crate) async fn gather(&self) -> Result<(), NodeError> {
        self.uncommitted.set(true);
        self.replaceable.set(true);
        self.write_below(Container::SuperRootSet).await?;
        self.write_below(Container::FreemapSet).await?;
        self.writer.send_all(self.volumes()).await.map_err(|fault| self.write_failed(fault.into()))
    }

    /// Makes all blocks durable, including the freemap, but writes no header: nothing is committed. Returns false if there was
    /// nothing to do since the last commit.
    pub async fn stage(&self) -> Result<bool, NodeError> {
        self.alone().await?;
        if !self.has_changes() {
            return Ok(false);
        }
        let gathered = self.gather().await;
        self.settle().await?;
        gathered?;
        self.flush_devices().await?;
        Ok(true)
    }

    /// True when there is a change that is in no header, nor in one that is on its way to the disk.
    pub fn has_changes(&self) -> bool {
        !self.topology.borrow().arena.is_empty() || self.uncommitted.get() || self.has_idle_header()
    }

    /// Commits what was [staged](Self::stage) by writing a header; `edit` changes its other fields. Once the writing of a header
    /// has begun, it is completed before anything else is changed, even if this call fails.
    pub async fn commit(&self, edit: &mut dyn FnMut(&mut VolumeHeader)) -> Result<(), NodeError> {
        self.alone().await?;
        self.fix_header(edit)?;
        self.land().await.map(drop)
    }

    /// Increases the next header's number by `steps`, so that a header of an earlier session that lands late ties with none.
    pub fn skip_mirror_tids(&self, steps: u64) {
        let next = MirrorTid(self.topology.borrow().pending_tid.0.saturating_add(steps));
        self.topology.borrow_mut().pending_tid = next;
        self.keep_all_written();
    }

    /// Waits for all writes. If one has failed, nothing is written any more.
    pub(super) async fn settle(&self) -> Result<(), NodeError> {
        self.writer.settle(self.volumes()).await.map_err(|fault| self.write_failed(fault.into()))
    }

    /// Makes room for writing the next block, before anything is changed for it.
    pub(super) async fn make_room(&self) -> Result<(), NodeError> {
        self.writer.make_room(self.volumes()).await.map_err(|error| self.write_failed(error))
    }

    pub(super) fn write_failed(&self, error: WriteError) -> NodeError {
        if let WriteError::Fault(fault) = error
            && fault.is_timeout()
        {
            self.note_stall(fault);
        }
        error.into()
    }

    /// Issues a barrier on all volumes.
    pub(super) async fn flush_devices(&self) -> Result<(), NodeError> {
        for Volume { disk, .. } in self.blocks.volumes().iter() {
            disk.flush().await.map_err(|error| self.device_failed(disk, error))?;
        }
        Ok(())
    }

    /// Writes all modified chains below a set, children first.
    async fn write_below(&self, set: Container) -> Result<(), NodeError> {
        let mut path = ModifiedPath::new();
        let _ = path.push((set, 0));
        while let Some((container, next)) = path.last_mut() {
            let found = self.topology.borrow().next_modified(*container, *next);
            match found {
                Some((index, id)) => {
                    *next = index + 1;
                    // The path is longer than any tree is deep: walking this one would have failed before.
                    let _ = path.push((Container::Chain(id), 0));
                }
                None => {
                    let (container, _) = path.pop().unwrap_or((set, 0));
                    if let Container::Chain(id) = container {
                        self.write_chain(id).await?;
                    }
                }
            }
        }
        Ok(())
    }

    /// Writes one chain, below which nothing is modified.
    async fn write_chain(&self, id: ChainId) -> Result<(), NodeError> {
        let (bref, len) = {
            let topology = self.topology.borrow();
            (topology.chain(id).bref, topology.chain(id).content.len())
        };
        let kind = bref.kind().unwrap_or(BlockKind::Indirect);
        let is_freemap = matches!(kind, BlockKind::FreemapLeaf | BlockKind::FreemapNode);
        // Once the chain is out of the arena, only its write has its content, so nothing may fail after that.
        self.make_room().await?;
        let place = if is_freemap { self.freemap_place(&bref)? } else { self.place_for(&bref, kind, len).await? };
        if let Some((bref, block)) = self.seal(id, kind, place) {
            self.blocks.invalidate(place.offset(), block.len());
            self.writer.put(self.volumes(), kind, place.offset(), &block);
            self.blocks.keep_written(&bref, block);
        }
        Ok(())
    }

    /// Takes a chain out of the arena and notes in its container where it will be and what it holds; returns its blockref and its
    /// block.
    fn seal(&self, id: ChainId, kind: BlockKind, place: DataOff) -> Option<(Blockref, Vec<u8>)> {
        let topology = &mut *self.topology.borrow_mut();
        let chain = topology.arena.remove(id)?;
        self.moves.set(self.moves.get() + 1);
        let mut bref = chain.bref;
        let method = bref.methods.check().unwrap_or(CheckMethod::XxHash64);
        let computed = method.compute(&chain.content);
        // In a freemap leaf, the hints after the check code stay.
        bref.check[..method.code_bytes()].copy_from_slice(&computed[..method.code_bytes()]);
        bref.set_data_off(place);
        bref.set_mirror_tid(topology.pending_tid);
        if matches!(kind, BlockKind::Inode | BlockKind::Indirect) {
            let (stats, leaves) = sum(chain.entries());
            bref.set_stats(stats);
            bref.set_leaf_count(leaves);
        }
        let index = topology.position(chain.container, bref.key());
        if let Some(index) = index {
            topology.entries_mut(chain.container)[index] = bref;
        }
        topology.raise(chain.container, bref.modify_tid());
        Some((bref, chain.content))
    }

    async fn place_for(&self, bref: &Blockref, kind: BlockKind, len: usize) -> Result<DataOff, NodeError> {
        let radix = Radix::holding(len).unwrap_or(Radix::MAX);
        let place = self.allocate_for_flush(kind, radix, bref).await?;
        // The block's former place is free again, unless a commit refers to it.
        self.allocator.borrow_mut().free_uncommitted(&mut self.topology.borrow_mut(), bref);
        Ok(place)
    }

    async fn allocate_for_flush(&self, kind: BlockKind, radix: Radix, bref: &Blockref) -> Result<DataOff, NodeError> {
        let key = bref.key();
        loop {
            let place =
                self.with_freemap(|topology, allocator, blocks| allocator.allocate(topology, blocks, kind, radix, key));
            match place.await? {
                Some(place) => return Ok(place),
                None if aside(self.heap, || self.free_lost())?.await? => {}
                None => return Err(NodeError::NoSpace),
            }
        }
    }

    /// The next place of a freemap block: in the rotation after the committed one. A place that a failed flush has written is
    /// used again: otherwise a few failed flushes would come round to the committed one.
    fn freemap_place(&self, bref: &Blockref) -> Result<DataOff, NodeError> {
        let step = u64::from(self.protocol.get().has(Rule::Rotation));
        let next = match bref.data_off() {
            DataOff::NONE => Ok(0),
            uncommitted if self.topology.borrow().is_uncommitted(bref) => return Ok(uncommitted),
            committed => rotation(bref.key(), bref.keybits(), committed).map(|rotation| rotation + step),
        };
        let placed = next.and_then(|rotation| place(bref.key(), bref.keybits(), rotation));
        placed.map_err(|corruption| NodeError::Fault(NodeFault::Corrupt { block: bref.name(), corruption }))
    }
}

/// The sum of the entries below a container, which it records (format 2.4).
fn sum(entries: &[Blockref]) -> (BlockStats, u16) {
    let mut stats = BlockStats::default();
    let mut leaves = 0u32;
    for entry in entries.iter().filter(|entry| !entry.is_empty()) {
        let bytes = entry.data_off().radix().ok().flatten().map_or(0, |radix| radix.bytes() as u64);
        stats.data_bytes = stats.data_bytes.saturating_add(bytes);
        match entry.kind() {
            Ok(BlockKind::Inode) => {
                stats.data_bytes = stats.data_bytes.saturating_add(entry.stats().data_bytes);
                stats.inodes = stats.inodes.saturating_add(entry.stats().inodes).saturating_add(1);
                leaves += 1;
            }
            Ok(BlockKind::Indirect) => {
                stats.data_bytes = stats.data_bytes.saturating_add(entry.stats().data_bytes);
                stats.inodes = stats.inodes.saturating_add(entry.stats().inodes);
                leaves += u32::from(entry.leaf_count());
            }
            _ => leaves += 1,
        }
    }
    (stats, leaves.min(u16::MAX.into()) as u16)
}
