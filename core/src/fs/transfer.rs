//! A PFS as a sender reads it and a receiver writes it: inodes, entries and file blocks as they are stored, by their keys.
//!
//! A sender has a mount that changes nothing, so that what it reads was committed. A receiver changes everything in one
//! operation, past all that a mount keeps in memory, and commits when it has all of it or not at all.

use super::{Error, FileSystem};
use crate::cluster::{
    Command, Elements, EntryBatch, FileBlock, GivenBlock, InodeRecord, Modification, Outcome, Reply, StoredBlock,
};
use crate::media::inode::EMBEDDED_BYTES;
use crate::media::{Dirent, Inode, InodeMeta, Inum, Key, KeyRange, Methods, ModifyTid};

/// A change that a receiver makes.
pub enum Replica<'r> {
    /// An inode that isn't there.
    NewInode {
        /// The inode; its body is file content or empty.
        inode: &'r Inode,
        /// How its block is protected.
        methods: Methods,
    },
    /// What an inode says, that is there.
    Inode {
        /// Its number.
        inum: Inum,
        /// What it says.
        meta: &'r InodeMeta,
        /// The file content in it.
        content: Option<&'r [u8; EMBEDDED_BYTES]>,
    },
    /// An inode that goes.
    NoInode(Inum),
    /// A directory entry.
    Entry {
        /// The directory.
        directory: Inum,
        /// Where.
        key: Key,
        /// What it says.
        entry: Dirent,
        /// Its name.
        name: &'r [u8],
        /// How it is protected.
        methods: Methods,
    },
    /// A directory entry that goes.
    NoEntry {
        /// The directory.
        directory: Inum,
        /// Where.
        key: Key,
    },
    /// A block of a file.
    Block {
        /// The file.
        file: Inum,
        /// Its offset.
        key: Key,
        /// As it is stored.
        block: StoredBlock,
    },
    /// A block that becomes a hole.
    NoBlock {
        /// The file.
        file: Inum,
        /// Its offset.
        key: Key,
    },
}

impl FileSystem {
    /// What is known of an inode, as it is stored.
    pub async fn record(&self, inum: Inum) -> Result<InodeRecord, Error> {
        let _reading = self.reading().await?;
        Ok(self.inode(inum).await?.with(|record| *record))
    }

    /// Lists what is below an inode and changed after an operation; the keys that are left, if there are more than fit.
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

    /// A block of a file as it is stored.
    pub async fn stored_block(&self, file: Inum, key: Key) -> Result<FileBlock, Error> {
        let _reading = self.reading().await?;
        let file = self.inode(file).await?;
        match self.cluster.execute(Command::ReadBlock { file: file.slot, key }).await? {
            Reply::Block(block) => Ok(block),
            _ => Ok(FileBlock::Hole),
        }
    }

    /// Fills `batch` with the entry of a directory at one place.
    pub async fn stored_entry(&self, directory: Inum, key: Key, batch: &mut EntryBatch) -> Result<(), Error> {
        let _reading = self.reading().await?;
        let directory = self.inode(directory).await?.slot;
        batch.clear();
        self.cluster.execute(Command::Scan { directory, range: KeyRange::only(key), batch }).await?;
        batch.damaged().map_or(Ok(()), |fault| Err(Error::Io(fault)))
    }

    /// The operation that all changes of a receiver are.
    pub fn begin_replica(&self) -> Result<ModifyTid, Error> {
        Ok(self.writing()?.tid())
    }

    /// Makes a change of a receiver. After one that failed nothing may be committed any more.
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
        // What the cache knows of an inode is what it was before.
        if let Some(inum) = gone.filter(|inum| *inum != Inum::PFS_ROOT)
            && let Some(inode) = self.inodes.get(inum)
        {
            let slot = self.inodes.remove(inode);
            self.cluster.close(slot).await?;
        }
        Ok(())
    }
}
