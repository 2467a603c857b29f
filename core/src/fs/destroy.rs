//! Removing what can't be removed otherwise because of damage.

use super::{Error, FileSystem};
use crate::cluster::{Modification, Outcome};
use crate::media::{FileKind, Inum, Key};

/// What was done to the inode whose name was removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Destroyed {
    /// The inode is sound: it has one name less, or was removed with its last.
    Unlinked,
    /// The inode can't be used, and was left in place.
    NameOnly(Inum),
}

impl FileSystem {
    /// Removes a name, whatever the state of its inode. A sound directory must be empty.
    pub async fn destroy_name(&self, directory: Inum, name: &[u8]) -> Result<Destroyed, Error> {
        let (inum, kind) = {
            let _reading = self.reading().await?;
            let holder = self.directory(directory).await?;
            let (_, entry) = self.find_entry(&holder, name).await?.ok_or(Error::NotFound)?;
            (entry.inum, entry.kind)
        };
        let is_as_named = self.attributes(inum).await.map(|attributes| attributes.kind == kind);
        let removed = match (is_as_named, kind) {
            (Ok(true), FileKind::Directory) => self.remove_directory(directory, name).await,
            (Ok(true), _) => self.unlink(directory, name).await,
            (Ok(false), _) => Err(Error::NotFound),
            (Err(error), _) => Err(error),
        };
        match removed {
            Ok(()) => Ok(Destroyed::Unlinked),
            // These errors mean that it can be removed otherwise, or that nothing can be removed.
            Err(Error::NotEmpty) if !self.is_damaged_directory(inum).await? => Err(Error::NotEmpty),
            Err(Error::NotFound | Error::NotEmpty | Error::Io(_) | Error::Corrupt { .. }) => {
                self.remove_name_only(directory, name).await?;
                Ok(Destroyed::NameOnly(inum))
            }
            Err(error) => Err(error),
        }
    }

    async fn is_damaged_directory(&self, directory: Inum) -> Result<bool, Error> {
        let mut batch = crate::cluster::EntryBatch::new(self.heap, 0)?;
        let listing = self.read_directory(directory, super::Cookie::START, &mut batch).await?;
        Ok(batch.is_empty() && listing.damaged.is_some())
    }

    async fn remove_name_only(&self, directory: Inum, name: &[u8]) -> Result<(), Error> {
        let mut changing = self.changing().await?;
        self.admit_removal(&mut changing).await?;
        let directory = self.directory_to_change(directory, name).await?;
        let (key, _) = self.find_entry(&directory, name).await?.ok_or(Error::NotFound)?;
        self.remove_entry(&directory, key).await
    }

    /// Removes an inode from the index, whatever its state. Names that it has stay and lead nowhere. What is below a directory
    /// can't be reached any more.
    pub async fn destroy_inode(&self, inum: Inum) -> Result<(), Error> {
        if inum <= Inum::PFS_ROOT || inum.key().is_visible() {
            return Err(Error::NotFound);
        }
        let mut changing = self.changing().await?;
        self.admit_removal(&mut changing).await?;
        if let Ok(file) = self.inode(inum).await {
            return self.destroy(file).await;
        }
        self.files.forget(inum, Key(0));
        match self.modify(Modification::RemoveInode { pfs: self.root, inum }).await? {
            Outcome::Absent => Err(Error::NotFound),
            _ => Ok(()),
        }
    }
}
