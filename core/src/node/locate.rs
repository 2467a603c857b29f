//! Finding an inode by name (PFS, inode number) in the topology as it is now.

use super::{Halt, InodeRecord, Node, NodeError, NodeFault, Slot, failed};
use crate::chain::{ChainId, Cursor, Holder, Source, Stop, Topology, Trust, find};
use crate::media::blockref::BlockFlags;
use crate::media::inode::InodeFlags;
use crate::media::{BlockArray, BlockKind, Blockref, Corruption, Inode, Inum, Key, KeyRange, ModifyTid, PfsKind};

/// Names an inode on any node: the key of its PFS in the super-root, and its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct InodeName {
    pub(super) pfs: Key,
    pub(super) inum: Inum,
}

/// An inode that was found, with the array it leads to.
pub(super) struct InodeView<'v> {
    /// Its blockref.
    pub(super) bref: &'v Blockref,
    /// The inode.
    pub(super) inode: &'v Inode,
    /// The source for walks below it.
    pub(super) source: Source<'v>,
    topology: &'v Topology,
    /// Its chain, if it is modified.
    chain: Option<ChainId>,
    trust: Trust,
}

impl<'v> InodeView<'v> {
    /// The inode's record, with the last operation on anything below it, whether or not that is written.
    pub(super) fn record(&self) -> InodeRecord {
        let newest = self.chain.map_or(self.bref.modify_tid(), |id| self.topology.newest_in(id));
        InodeRecord { modify_tid: newest, ..InodeRecord::new(self.bref, &self.inode.meta) }
    }

    /// The array in its body; an error for an inode with file content instead.
    pub(super) fn holder(&self) -> Result<Holder<'v>, Stop> {
        let direct = || failed(self.bref, Corruption::DirectData(self.inode.meta.size()));
        let array = self.inode.block_array().ok_or_else(direct)?;
        Ok(Holder { block: self.bref.name(), array, trust: self.trust })
    }

    /// The operation that last changed what an entry below it leads to, in memory or on media.
    pub(super) fn modify_tid_of(&self, entry: &Blockref) -> ModifyTid {
        self.topology.modify_tid_of(entry)
    }

    /// Bytes of the blocks below it at present.
    pub(super) fn stored_bytes(&self) -> u64 {
        match self.chain {
            Some(id) => self.topology.stored_bytes(id),
            None => self.bref.stats().data_bytes,
        }
    }

    /// The next leaf below it.
    pub(super) fn find(&self, cursor: &mut Cursor) -> Result<Option<Blockref>, Stop> {
        find(self.source, self.holder()?, cursor)
    }
}

impl Node {
    /// Calls `work` with the inode at `bref`, which must have been found in the topology as it is now.
    fn view<T>(
        &self,
        topology: &Topology,
        bref: &Blockref,
        work: impl FnOnce(InodeView<'_>) -> Result<T, Stop>,
    ) -> Result<T, Stop> {
        let source = Source { blocks: &self.blocks, topology: Some(topology) };
        let corrupt = |corruption| failed(bref, corruption);
        if !bref.is(BlockKind::Inode) {
            return Err(corrupt(Corruption::BlockType(bref.kind_code())));
        }
        if let Some(id) = ChainId::of(bref) {
            let chain = topology.chain(id);
            let inode = Inode::in_block(&chain.content).map_err(corrupt)?;
            let (bref, trust) = (&chain.bref, Trust::Modified);
            return work(InodeView { bref, inode, source, topology, chain: Some(id), trust });
        }
        let block = self.blocks.get(bref).ok_or(Stop::Missing(*bref))?;
        let bytes = block.bytes();
        let inode = Inode::in_block(&bytes).map_err(corrupt)?;
        work(InodeView { bref, inode, source, topology, chain: None, trust: Trust::Unchecked })
    }

    /// The super-root's blockref.
    pub(super) fn super_root(&self, topology: &Topology) -> Result<Blockref, Stop> {
        let set = &topology.super_root;
        let entry = BlockArray::of(set, KeyRange::ALL).first_reaching(0, Inum::SUPER_ROOT.key());
        let bref = match entry {
            Ok(Some((_, bref))) if bref.key() == Inum::SUPER_ROOT.key() => *bref,
            Ok(_) => return Err(failed(&set[0], Corruption::NoSuperRoot)),
            Err(corruption) => return Err(failed(&set[0], corruption)),
        };
        self.view(topology, &bref, |view| {
            let meta = &view.inode.meta;
            let good = meta.pfs_kind() == PfsKind::SuperRoot && !meta.flags().contains(InodeFlags::DIRECTDATA);
            if good { Ok(bref) } else { Err(failed(&bref, Corruption::NotSuperRoot)) }
        })
    }

    /// The place of a named inode; none when it doesn't exist.
    fn locate(&self, topology: &Topology, name: InodeName) -> Result<Option<Blockref>, Stop> {
        let super_root = self.super_root(topology)?;
        let mut cursor = Cursor::new(KeyRange::only(name.pfs));
        let Some(pfs) = self.view(topology, &super_root, |view| view.find(&mut cursor))? else { return Ok(None) };
        if name.inum == Inum::PFS_ROOT {
            return Ok(Some(pfs));
        }
        let mut cursor = Cursor::new(KeyRange::only(name.inum.key()));
        self.view(topology, &pfs, |view| view.find(&mut cursor))
    }

    /// Calls `work` with a named inode; none when it doesn't exist.
    pub(super) fn in_named<T>(
        &self,
        name: InodeName,
        work: impl FnOnce(InodeView<'_>) -> Result<T, Stop>,
    ) -> Result<Option<T>, Stop> {
        let topology = &*self.topology.borrow();
        match self.locate(topology, name)? {
            Some(bref) => self.view(topology, &bref, work).map(Some),
            None => Ok(None),
        }
    }

    /// Calls `work` with an open inode.
    pub(super) fn in_inode<T>(
        &self,
        slot: Slot,
        work: impl FnOnce(InodeView<'_>) -> Result<T, Stop>,
    ) -> Result<T, Halt> {
        self.in_open(slot, work)?.ok_or(Halt::Failed(NodeError::Fault(NodeFault::UnknownSlot)))
    }

    /// Like [`in_inode`](Self::in_inode), for callers that want to know how much is lost with an error; none for a slot that
    /// names nothing.
    pub(super) fn in_open<T>(
        &self,
        slot: Slot,
        work: impl FnOnce(InodeView<'_>) -> Result<T, Stop>,
    ) -> Result<Option<T>, Stop> {
        let topology = &*self.topology.borrow();
        let bref = match self.slots.place(slot, topology) {
            Some(bref) => Some(bref),
            None => self.relocate(topology, slot)?,
        };
        let Some(bref) = bref else { return Ok(None) };
        self.view(topology, &bref, work).map(Some)
    }

    /// Finds an open inode again, because the topology has changed since it was last used.
    fn relocate(&self, topology: &Topology, slot: Slot) -> Result<Option<Blockref>, Stop> {
        let Some(name) = self.slots.name(slot) else { return Ok(None) };
        let found = self.locate(topology, name)?;
        if let Some(bref) = found {
            self.slots.remember(slot, bref, topology);
        }
        Ok(found)
    }

    /// Calls `work` with the inode of a number below the open root of its PFS; returns its place and the result. None when it
    /// doesn't exist.
    pub(super) fn in_numbered<T>(
        &self,
        pfs: Slot,
        inum: Inum,
        work: impl FnOnce(InodeView<'_>) -> Result<T, Stop>,
    ) -> Result<Option<(Blockref, T)>, Halt> {
        self.in_inode(pfs, |root| {
            let Some(bref) = root.find(&mut Cursor::new(KeyRange::only(inum.key())))? else { return Ok(None) };
            let done = self.view(root.topology, &bref, work)?;
            Ok(Some((bref, done)))
        })
    }

    /// Calls `work` with the super-root's inode.
    pub(super) fn in_super_root<T>(&self, work: impl FnOnce(InodeView<'_>) -> Result<T, Stop>) -> Result<T, Stop> {
        let topology = &*self.topology.borrow();
        let super_root = self.super_root(topology)?;
        self.view(topology, &super_root, work)
    }
}

/// Checks an inode of the inode index against its place in it.
pub(super) fn check_indexed(view: &InodeView<'_>) -> Result<(), Stop> {
    let (wanted, found) = (Inum(view.bref.key().0), view.inode.meta.inum());
    if wanted == found { Ok(()) } else { Err(failed(view.bref, Corruption::InodeNumber { wanted, found })) }
}

/// Checks that an entry of the super-root is a PFS root.
pub(super) fn check_pfs_root(view: &InodeView<'_>) -> Result<(), Stop> {
    let inode = view.inode;
    let flagged = view.bref.flags().contains(BlockFlags::PFSROOT) || inode.meta.flags().contains(InodeFlags::PFSROOT);
    if flagged && inode.block_array().is_some() { Ok(()) } else { Err(failed(view.bref, Corruption::NotPfsRoot)) }
}
