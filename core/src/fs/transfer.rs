//! A PFS as a sender reads it and a receiver writes it: inodes, entries and file blocks as stored, by their keys.
//!
//! A sender's mount changes nothing, so that what it reads was committed. A receiver makes all its changes in one operation, past
//! everything that a mount keeps in memory, and commits when it has all of them or not at all.

use super::{Error, FileSystem};
use crate::cluster::{
    Command, Elements, EntryBatch, FileBlock, GivenBlock, InodeRecord, Modification, Outcome, Reply, StoredBlock,
};
use crate::media::inode::EMBEDDED_BYTES;
use crate::media::{Dirent, Inode, InodeMeta, Inum, Key, KeyRange, Methods, ModifyTid};

/// A change that a receiver makes.
pub enum Replica<'r> {
    /// Makes an inode that doesn't exist.
    NewInode {
        /// The inode; its body is file content or empty.
        inode: &'r Inode,
        /// How its block is protected.
        methods: Methods,
    },
    /// Changes an existing inode.
    Inode {
        /// Its number.
        inum: Inum,
        /// Its metadata.
        meta: &'r InodeMeta,
        /// The file content stored in it, if any.
        content: Option<&'r [u8; EMBEDDED_BYTES]>,
    },
    /// Removes an inode.
    NoInode(Inum),
    /// Makes a directory entry.
    Entry {
        /// The directory.
        directory: Inum,
        /// Its key.
        key: Key,
        /// Its content.
        entry: Dirent,
        /// Its name.
        name: &'r [u8],
        /// How it is protected.
        methods: Methods,
    },
    /// Removes a directory entry.
    NoEntry {
        /// The directory.
        directory: Inum,
        /// Its key.
        key: Key,
    },
    /// Writes a block of a file.
    Block {
        /// The file.
        file: Inum,
        /// Its offset.
        key: Key,
        /// The block as it is stored.
        block: StoredBlock,
    },
    /// Turns a block into a hole.
    NoBlock {
        /// The file.
        file: Inum,
        /// Its offset.
        key: Key,
    },
}

impl FileSystem {
    /// The record of an inode, as stored.
    pub async fn record(&self, inum: Inum) -> Result<InodeRecord, Error> {
        let _reading = self.reading().await?;
        Ok(self.inode(inum).await?.with(|record| *record))
    }

    /// Lists what is below an inode and changed after an operation; returns the remaining keys if there is more than fits.
    pub async fn list_changes(
        &self,
        inum: Inum,
        range: KeyRange,
        since: ModifyTid,
        elements: &mut Elements,
    ) -> Result<Option<KeyRange>, Error> {
        let _reading = self.reading().await?;
        let slot = self.inode(inum).await?.slot;
        match self.cluster.execute(Command::List { slot, range, since, elements }).await? {
            Reply::Scanned(scanned) => Ok(scanned.remaining),
            _ => Ok(None),
        }
    }

    /// A block of a file, as stored.
    pub async fn stored_block(&self, file: Inum, key: Key) -> Result<FileBlock, Error> {
        let _reading = self.reading().await?;
        let file = self.inode(file).await?;
        match self.cluster.execute(Command::ReadBlock { file: file.slot, key }).await? {
            Reply::Block(block) => Ok(block),
            _ => Ok(FileBlock::Hole),
        }
    }

    /// Fills `batch` with the directory entry at one key.
    pub async fn stored_entry(&self, directory: Inum, key: Key, batch: &mut EntryBatch) -> Result<(), Error> {
        let _reading = self.reading().await?;
        let directory = self.inode(directory).await?.slot;
        batch.clear();
        self.cluster.execute(Command::Scan { directory, range: KeyRange::only(key), batch }).await?;
        batch.damaged().map_or(Ok(()), |fault| Err(Error::Io(fault)))
    }

    /// Begins the operation to which all changes of a receiver belong.
    pub fn begin_replica(&self) -> Result<ModifyTid, Error> {
        Ok(self.writing()?.tid())
    }

    /// Makes a change of a receiver. After a failure, nothing may be committed any more.
    pub async fn replicate(&self, tid: ModifyTid, replica: Replica<'_>) -> Result<(), Error> {
        let _changing = self.changing().await?;
        let (modification, gone) = match replica {
            Replica::NewInode { inode, methods } => {
                (Modification::CreateInode { pfs: self.root, inode, methods }, Some(inode.meta.inum()))
            }
            Replica::Inode { inum, meta, content } => {
                let slot = self.inode(inum).await?.slot;
                (Modification::WriteInode { slot, meta, content }, Some(inum))
            }
            Replica::NoInode(inum) => (Modification::RemoveInode { pfs: self.root, inum }, Some(inum)),
            Replica::Entry { directory, key, entry, name, methods } => {
                let directory = self.inode(directory).await?.slot;
                (Modification::AddEntry { directory, key, entry, name, methods }, None)
            }
            Replica::NoEntry { directory, key } => {
                let directory = self.inode(directory).await?.slot;
                (Modification::RemoveEntry { directory, key }, None)
            }
            Replica::Block { file, key, block } => {
                let file = self.inode(file).await?.slot;
                (Modification::WriteBlock { file, key, block: GivenBlock::Owned(block) }, None)
            }
            Replica::NoBlock { file, key } => {
                let file = self.inode(file).await?.slot;
                (Modification::RemoveBlocks { file, range: KeyRange::only(key) }, None)
            }
        };
        if self.cluster.modify(tid, modification).await? == Outcome::Exists {
            return Err(Error::Exists);
        }
        // The cache holds the inode's former state.
        if let Some(inum) = gone.filter(|inum| *inum != Inum::PFS_ROOT)
            && let Some(inode) = self.inodes.get(inum)
        {
            let slot = self.inodes.remove(inode);
            self.cluster.close(slot);
        }
        Ok(())
    }
}
