//! Finding the path of an inode when a finding is about it.

use super::{Checker, Subject};
use crate::chain::{ChainError, Cursor, Holder, Source, Stop, Trust, find, load_missing};
use crate::io::BlockCache;
use crate::media::{BlockKind, Blockref, Corruption, Dirent, Inode, Inum, Key, KeyRange};

/// The most directories in a path; of a longer path, only the end is shown.
const MAX_COMPONENTS: usize = 32;
/// Bytes of a path that are shown.
const MAX_PATH_BYTES: usize = 1024;

/// The last path found.
pub(super) struct PathBuffer {
    inode: Option<(u32, Inum)>,
    /// It is filled from its end: names are put before those that they lead to.
    bytes: [u8; MAX_PATH_BYTES],
    start: usize,
}

impl PathBuffer {
    pub(super) fn new() -> Self {
        Self { inode: None, bytes: [0; MAX_PATH_BYTES], start: MAX_PATH_BYTES }
    }

    /// The path, if one is known.
    pub(super) fn get(&self) -> Option<&[u8]> {
        let path = &self.bytes[self.start..];
        (!path.is_empty()).then_some(path)
    }

    fn clear(&mut self) {
        self.inode = None;
        self.start = MAX_PATH_BYTES;
    }

    /// Puts `bytes` before the present content; false when there is no room.
    fn prepend(&mut self, bytes: &[u8]) -> bool {
        let Some(start) = self.start.checked_sub(bytes.len()) else { return false };
        self.bytes[start..self.start].copy_from_slice(bytes);
        self.start = start;
        true
    }
}

/// The entry with this key in the tree of the inode at `holder`; none when there is none.
pub(super) async fn entry_of(blocks: &BlockCache, holder: &Blockref, key: Key) -> Result<Option<Blockref>, ChainError> {
    let mut cursor = Cursor::new(KeyRange::only(key));
    in_inode(blocks, holder, |_, source, array| find(source, array()?, &mut cursor)).await
}

/// Calls `work` with an inode and the array in it, if it has one.
pub(super) async fn in_inode<T>(
    blocks: &BlockCache,
    bref: &Blockref,
    mut work: impl for<'a> FnMut(&'a Inode, Source<'a>, &dyn Fn() -> Result<Holder<'a>, Stop>) -> Result<T, Stop>,
) -> Result<T, ChainError> {
    load_missing(blocks, || {
        let block = blocks.get(bref).ok_or(Stop::Missing(*bref))?;
        let bytes = block.bytes();
        let failed = |corruption| Stop::Failed(ChainError::corrupt(bref, corruption));
        let inode = Inode::in_block(&bytes).map_err(failed)?;
        work(inode, Source::on_media(blocks), &|| {
            let array = inode.block_array().ok_or_else(|| failed(Corruption::DirectData(inode.meta.size())))?;
            Ok(Holder { block: bref.name(), array, trust: Trust::Unchecked })
        })
    })
    .await
}

/// The blockref of an inode of the PFS at `root`.
pub(super) async fn inode_of(blocks: &BlockCache, root: &Blockref, inum: Inum) -> Result<Option<Blockref>, ChainError> {
    if inum == Inum::PFS_ROOT {
        return Ok(Some(*root));
    }
    let found = entry_of(blocks, root, inum.key()).await?;
    Ok(found.filter(|bref| bref.is(BlockKind::Inode)))
}

impl Checker<'_, '_> {
    /// Finds a path of the subject's inode, as far as the way up can be read.
    pub(super) async fn resolve_path(&mut self, subject: Subject<'_>) {
        let (Some(pfs), Some(inum), Some(table)) = (subject.pfs, subject.inode, subject.table) else {
            return self.path.clear();
        };
        if self.reports.is_older() {
            return self.path.clear();
        }
        if self.path.inode == Some((self.owner.0, inum)) {
            return;
        }
        self.path.clear();
        let mut at = inum;
        if at == Inum::PFS_ROOT {
            self.path.prepend(b"/");
        }
        for _ in 0..MAX_COMPONENTS {
            if at == Inum::PFS_ROOT {
                // Only whole paths are kept for later findings.
                self.path.inode = Some((self.owner.0, inum));
                return;
            }
            let Some((directory, key)) = table.first_name(at) else { break };
            if !self.prepend_name(pfs.bref(), directory, key).await {
                break;
            }
            at = directory;
        }
        if self.path.get().is_some() {
            self.path.prepend(b"...");
        }
    }

    /// Puts `/` and the name at `key` of a directory before the path.
    async fn prepend_name(&mut self, root: &Blockref, directory: Inum, key: Key) -> bool {
        let Ok(Some(holder)) = inode_of(self.blocks, root, directory).await else { return false };
        let Ok(Some(bref)) = entry_of(self.blocks, &holder, key).await else { return false };
        let Ok(entry) = Dirent::read(&bref) else { return false };
        let path = &mut self.path;
        if bref.data_off().radix() == Ok(None) {
            return entry.name(&bref, None).is_ok_and(|name| path.prepend(name) && path.prepend(b"/"));
        }
        let Ok(block) = self.blocks.load(&bref).await else { return false };
        let bytes = block.bytes();
        entry.name(&bref, Some(&bytes)).is_ok_and(|name| path.prepend(name) && path.prepend(b"/"))
    }
}
