//! Mending what has exactly one right value, once a check has looked at all names and all content of a PFS.
//!
//! Nothing is guessed: no content is made up, and what somebody may want stays. A file that no name leads to gets a name below
//! `lost+found`: its number.

use core::fmt::Write;

use super::room::Need;
use super::{Error, FileSystem, NewFile};
use crate::media::geometry::FILE_BLOCK_BYTES;
use crate::media::{FileKind, InodeMeta, Inum, Key, KeyRange};

/// The directory for files that no name led to.
const LOST_AND_FOUND: &[u8] = b"lost+found";

/// The number of digits of the largest inode number, and one for its sign.
const MAX_FOUND_NAME_BYTES: usize = 21;

/// What is mended in an inode. It displays as a few words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Remedy {
    /// This many names lead to it.
    #[error("set its link count to {0}")]
    Links(u64),
    /// This directory contains its name.
    #[error("set its parent to inode {0}")]
    Parent(Inum),
    /// No name leads to it, although its link count says that it has some.
    #[error("give it a name below /lost+found")]
    Name,
    /// No name leads to it, and its link count says so.
    #[error("remove it: its last name was removed")]
    Remove,
    /// It has blocks beyond its end.
    #[error("remove what lies behind its end")]
    Cut,
}

impl FileSystem {
    /// Mends an inode. Its former state is lost: the caller must have looked at all names and all content.
    pub async fn mend(&self, inum: Inum, remedy: Remedy) -> Result<(), Error> {
        match remedy {
            Remedy::Links(links) => self.change_meta(inum, |meta| meta.set_nlinks(links)).await,
            Remedy::Parent(parent) => self.change_meta(inum, |meta| meta.set_iparent(parent)).await,
            Remedy::Name => self.name_lost(inum).await,
            Remedy::Remove => self.destroy_inode(inum).await,
            Remedy::Cut => self.cut_behind_end(inum).await,
        }
    }

    async fn change_meta(&self, inum: Inum, change: impl FnOnce(&mut InodeMeta)) -> Result<(), Error> {
        let mut changing = self.changing().await?;
        self.admit_small(&mut changing).await?;
        self.inode(inum).await?.change(|record| change(&mut record.meta));
        Ok(())
    }

    async fn cut_behind_end(&self, inum: Inum) -> Result<(), Error> {
        let mut changing = self.changing().await?;
        self.admit_small(&mut changing).await?;
        let file = self.inode(inum).await?;
        let size = file.with(|record| record.meta.size());
        match size.checked_next_multiple_of(FILE_BLOCK_BYTES as u64) {
            Some(end) => self.drop_blocks(&file, KeyRange { first: Key(end), last: Key(u64::MAX) }).await,
            // No block can lie beyond that.
            None => Ok(()),
        }
    }

    /// Gives an inode a name below `lost+found`.
    async fn name_lost(&self, inum: Inum) -> Result<(), Error> {
        let directory = self.lost_and_found().await?;
        let mut name = heapless::String::<MAX_FOUND_NAME_BYTES>::new();
        write!(name, "#{}", inum.0).map_err(|_| Error::NameTooLong)?;
        let mut changing = self.changing().await?;
        let directory = self.directory_to_change(directory, name.as_bytes()).await?;
        self.admit(&mut changing, Need::new_name()).await?;
        let file = self.inode(inum).await?;
        let kind = file.attributes()?.kind;
        if self.find_entry(&directory, name.as_bytes()).await?.is_some() {
            return Err(Error::Exists);
        }
        self.add_entry(&directory, name.as_bytes(), inum, kind).await?;
        file.change(|record| {
            record.meta.set_nlinks(1);
            record.meta.set_iparent(directory.inum);
        });
        Ok(())
    }

    async fn lost_and_found(&self) -> Result<Inum, Error> {
        match self.lookup(Inum::PFS_ROOT, LOST_AND_FOUND).await {
            Err(Error::NotFound) => {
                let new = NewFile::new(FileKind::Directory, 0o700);
                self.create(Inum::PFS_ROOT, LOST_AND_FOUND, &new).await
            }
            found => found,
        }
    }
}
