//! Files without a name that somebody has open (format 3.8).
//!
//! They are still in the inode index, so a crash would leave them there for good. The format has no place that lists them, and
//! going through the whole index after a crash would read every inode. So they form a list: the root of the PFS names the first,
//! and each file the next, in a reserved field that other systems leave alone. The next mount that is made writable removes them.

use super::inode_cache::InodeRef;
use super::{Error, FileSystem};
use crate::media::Inum;

/// The end of the list.
const NONE: Inum = Inum(0);

impl FileSystem {
    /// Puts a file that loses its last name at the head of the list.
    pub(super) async fn list_orphan(&self, file: &InodeRef<'_>) -> Result<(), Error> {
        let root = self.inode(Inum::PFS_ROOT).await?;
        let next = root.with(|record| record.meta.next_orphan());
        file.change(|record| record.meta.set_next_orphan(next));
        root.change(|record| record.meta.set_next_orphan(file.inum));
        // Room to remove it is kept back.
        let orphans = &self.writing()?.orphans;
        orphans.set(orphans.get() + 1);
        Ok(())
    }

    /// Removes a listed file that nobody has open any more.
    pub(super) async fn destroy_orphan(&self, file: InodeRef<'_>) -> Result<(), Error> {
        let inum = file.inum;
        let next = file.with(|record| record.meta.next_orphan());
        // The file before it in the list is open as well, and so in the cache.
        self.inode(Inum::PFS_ROOT).await?;
        let before = match self.inodes.search(|record| record.meta.next_orphan() == inum) {
            Some(before) => Some(self.inode(before).await?),
            None => None,
        };
        self.destroy(file).await?;
        let orphans = &self.writing()?.orphans;
        orphans.set(orphans.get().saturating_sub(1));
        if let Some(before) = before {
            before.change(|record| record.meta.set_next_orphan(next));
        }
        Ok(())
    }

    /// Removes all listed files, which a former mount had open.
    pub(super) async fn reclaim_orphans(&self) -> Result<(), Error> {
        let root = self.inode(Inum::PFS_ROOT).await?;
        loop {
            let first = root.with(|record| record.meta.next_orphan());
            if first < Inum::FIRST_DYNAMIC {
                return Ok(());
            }
            let next = match self.inode(first).await {
                // A file with names isn't one of ours: the list isn't valid.
                Ok(file) if file.with(|record| record.meta.nlinks()) > 0 => NONE,
                Ok(file) => {
                    let next = file.with(|record| record.meta.next_orphan());
                    self.destroy(file).await?;
                    next
                }
                Err(Error::NotFound) => NONE,
                Err(error) => return Err(error),
            };
            root.change(|record| record.meta.set_next_orphan(next));
        }
    }
}
