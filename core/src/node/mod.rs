//! One member: a volume set with its super-root and PFSs, executing commands.
//!
//! A node owns its topology: only it touches its blocks, and what it is told and answers ([`Command`], [`Reply`]) names no
//! place on a device. It knows nothing of clusters.

mod command;
mod directory;
mod entry_batch;
mod fault;
mod file;
mod header;
mod open;
mod slots;

pub use command::{Command, FileBlock, InodeRecord, Reply, Scanned, Slot};
pub use entry_batch::{Entry, EntryBatch};
pub use fault::{NodeError, NodeFault, NodeIndex};
pub use header::HeaderImage;
pub(crate) use header::copy_fits;
pub use open::{DeviceName, OpenError, open};

use crate::chain::{ChainError, Cursor, Holder, Stop, find, load_missing};
use crate::io::{BlockCache, Volumes};
use crate::media::blockref::BlockFlags;
use crate::media::inode::InodeFlags;
use crate::media::{
    BlockArray, BlockKind, Blockref, Corruption, Inode, Inum, KeyRange, PfsKind, VolumeHeader, directory_hash,
};
use crate::memory::{Heap, NoMemory};
use slots::Slots;

/// How much memory a node may take.
#[derive(Clone, Copy, Debug)]
pub struct NodeOptions {
    /// Bytes of blocks kept in memory.
    pub cache_bytes: usize,
    /// Inodes open at a time.
    pub slots: usize,
}

impl Default for NodeOptions {
    fn default() -> Self {
        Self { cache_bytes: 8 << 20, slots: 1024 }
    }
}

/// A member of a cluster, or the only one.
pub struct Node {
    header: HeaderImage,
    header_copy: usize,
    blocks: BlockCache,
    slots: Slots,
}

impl Node {
    fn new(
        heap: Heap,
        volumes: Volumes,
        header: HeaderImage,
        header_copy: usize,
        options: NodeOptions,
    ) -> Result<Self, NoMemory> {
        Ok(Self {
            header,
            header_copy,
            blocks: BlockCache::new(heap, volumes, options.cache_bytes)?,
            slots: Slots::new(heap, options.slots)?,
        })
    }

    /// The header the node was opened by.
    pub fn header(&self) -> &VolumeHeader {
        self.header.get()
    }

    /// Which copy of the header that was.
    pub fn header_copy(&self) -> usize {
        self.header_copy
    }

    /// The volumes.
    pub fn volumes(&self) -> &Volumes {
        self.blocks.volumes()
    }

    /// The node's blocks, for those who look at the topology itself.
    pub fn blocks(&self) -> &BlockCache {
        &self.blocks
    }

    /// Executes a command.
    pub async fn execute(&self, command: Command<'_>) -> Result<Reply, NodeError> {
        match command {
            Command::OpenPfs { label, into } => self.open_pfs(label, into).await,
            Command::NextPfs { range } => self.next_pfs(range).await,
            Command::OpenInode { pfs, inum, into } => self.open_inode(pfs, inum, into).await,
            Command::MatchName { directory, name } => self.match_name(directory, name).await,
            Command::Scan { directory, range, batch } => self.scan(directory, range, batch).await,
            Command::ReadBlock { file, key } => self.read_block(file, key).await,
            Command::Prefetch { file, range } => self.prefetch(file, range),
            Command::NextBlock { file, range } => self.next_block(file, range).await,
            Command::Close { slot } => {
                self.slots.close(slot);
                Ok(Reply::Done)
            }
        }
    }

    async fn open_pfs(&self, label: &[u8], into: Slot) -> Result<Reply, NodeError> {
        let mut cursor = Cursor::new(directory_hash(label));
        while let Some((bref, record)) = self.pfs_root(&mut cursor).await? {
            if record.meta.label() == Ok(label) {
                self.slots.open(into, bref)?;
                return Ok(Reply::Inode(record));
            }
        }
        Ok(Reply::Absent)
    }

    async fn next_pfs(&self, range: KeyRange) -> Result<Reply, NodeError> {
        let found = self.pfs_root(&mut Cursor::new(range)).await?;
        Ok(found.map_or(Reply::Absent, |(_, record)| Reply::Inode(record)))
    }

    async fn open_inode(&self, pfs: Slot, inum: Inum, into: Slot) -> Result<Reply, NodeError> {
        let root = self.slots.get(pfs)?;
        if inum == Inum::PFS_ROOT {
            let record = self.in_inode(&root, |inode| Ok(InodeRecord::new(&root, &inode.meta))).await?;
            self.slots.open(into, root)?;
            return Ok(Reply::Inode(record));
        }
        if inum.key().is_visible() || inum == Inum::SUPER_ROOT {
            return Ok(Reply::Absent);
        }
        let mut cursor = Cursor::new(KeyRange::only(inum.key()));
        let found = self.in_inode(&root, |inode| find(&self.blocks, holder(&root, inode)?, &mut cursor)).await?;
        let Some(bref) = found else { return Ok(Reply::Absent) };
        let record = self.in_inode(&bref, |inode| check_indexed(&bref, inode)).await?;
        self.slots.open(into, bref)?;
        Ok(Reply::Inode(record))
    }

    /// The next PFS root of the super-root, and what it says.
    async fn pfs_root(&self, cursor: &mut Cursor) -> Result<Option<(Blockref, InodeRecord)>, ChainError> {
        let super_root = self.super_root().await?;
        let found = self.in_inode(&super_root, |inode| find(&self.blocks, holder(&super_root, inode)?, cursor)).await?;
        let Some(bref) = found else { return Ok(None) };
        let record = self.in_inode(&bref, |inode| check_pfs_root(&bref, inode)).await?;
        Ok(Some((bref, record)))
    }

    /// The super-root's blockref. Its inode is known to be one.
    async fn super_root(&self) -> Result<Blockref, ChainError> {
        let set = &self.header().sroot_blockset;
        let entry = BlockArray::of(set, KeyRange::ALL).first_reaching(0, Inum::SUPER_ROOT.key());
        let bref = match entry {
            Ok(Some((_, bref))) if bref.kind() == Ok(BlockKind::Inode) && bref.key() == Inum::SUPER_ROOT.key() => *bref,
            Ok(_) => return Err(ChainError::corrupt(&set[0], Corruption::NoSuperRoot)),
            Err(corruption) => return Err(ChainError::corrupt(&set[0], corruption)),
        };
        self.in_inode(&bref, |inode| {
            let meta = &inode.meta;
            let good = meta.pfs_kind() == PfsKind::SuperRoot && !meta.flags().contains(InodeFlags::DIRECTDATA);
            if good { Ok(bref) } else { Err(failed(&bref, Corruption::NotSuperRoot)) }
        })
        .await
    }

    /// Does `work` on an inode, loading what is missing.
    async fn in_inode<T>(
        &self,
        bref: &Blockref,
        mut work: impl FnMut(&Inode) -> Result<T, Stop>,
    ) -> Result<T, ChainError> {
        load_missing(&self.blocks, || {
            let block = self.blocks.get(bref).ok_or(Stop::Missing(*bref))?;
            let bytes = block.bytes();
            work(Inode::in_block(&bytes).map_err(|corruption| failed(bref, corruption))?)
        })
        .await
    }
}

fn failed(bref: &Blockref, corruption: Corruption) -> Stop {
    Stop::Failed(ChainError::corrupt(bref, corruption))
}

/// The array in an inode's body; an error for an inode that holds file content instead.
fn holder<'i>(bref: &Blockref, inode: &'i Inode) -> Result<Holder<'i>, Stop> {
    let direct = || failed(bref, Corruption::DirectData(inode.meta.size()));
    let array = inode.block_array().ok_or_else(direct)?;
    Ok(Holder { block: bref.name(), array, sound: false })
}

/// Checks an inode of the inode index against its place in it.
fn check_indexed(bref: &Blockref, inode: &Inode) -> Result<InodeRecord, Stop> {
    if bref.kind() != Ok(BlockKind::Inode) {
        return Err(failed(bref, Corruption::BlockType(bref.kind_code())));
    }
    let (wanted, found) = (Inum(bref.key().0), inode.meta.inum());
    if wanted != found {
        return Err(failed(bref, Corruption::InodeNumber { wanted, found }));
    }
    Ok(InodeRecord::new(bref, &inode.meta))
}

/// Checks that an entry of the super-root is a PFS root.
fn check_pfs_root(bref: &Blockref, inode: &Inode) -> Result<InodeRecord, Stop> {
    let flagged = bref.flags().contains(BlockFlags::PFSROOT) || inode.meta.flags().contains(InodeFlags::PFSROOT);
    let good = bref.kind() == Ok(BlockKind::Inode) && flagged && inode.block_array().is_some();
    if good { Ok(InodeRecord::new(bref, &inode.meta)) } else { Err(failed(bref, Corruption::NotPfsRoot)) }
}
