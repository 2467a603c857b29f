//! Taking back what was done of an operation that failed half-way.
//!
//! That may fail, too: most of all for want of memory, which is why the operation did. What is to be taken back is noted then,
//! in memory that is always there, and done before anybody else gets a turn: nobody sees half an operation, and no commit has it.

use core::cell::RefCell;

use super::gate::{Changing, Reading, Still};
use super::{Error, FileSystem};
use crate::cluster::Modification;
use crate::media::geometry::MAX_NAME_BYTES;
use crate::media::{FileKind, Inum};
use crate::memory::aside;

/// Steps that one operation may need.
const STEPS: usize = 4;

/// A name in a directory.
#[derive(Clone)]
pub(super) struct DirectoryName {
    directory: Inum,
    name: heapless::Vec<u8, MAX_NAME_BYTES>,
}

impl DirectoryName {
    pub(super) fn new(directory: Inum, name: &[u8]) -> Self {
        // Longer names were refused before anything was done.
        Self { directory, name: heapless::Vec::from_slice(name).unwrap_or_default() }
    }
}

/// Something that is to be as it was. A step that is done already does nothing.
#[derive(Clone)]
pub(super) enum Step {
    /// A name leads to an inode.
    Named(DirectoryName, Inum, FileKind),
    /// A name doesn't lead to an inode.
    Unnamed(DirectoryName, Inum),
    /// There is no such inode.
    Gone(Inum),
}

/// What is still to be taken back, in order.
#[derive(Default)]
pub(super) struct Undo(RefCell<heapless::Deque<Step, STEPS>>);

impl Undo {
    fn first(&self) -> Option<Step> {
        self.0.borrow().front().cloned()
    }
}

impl FileSystem {
    /// A turn to change things, with nothing left half done. Nothing is begun without a quorum, as it couldn't become durable;
    /// but what was begun with one is done by those that are left.
    pub(super) async fn changing(&self) -> Result<Changing<'_>, Error> {
        let turn = self.settled().await?;
        self.cluster.require_quorum()?;
        Ok(turn)
    }

    /// A turn to do what needn't be durable.
    pub(super) async fn settled(&self) -> Result<Changing<'_>, Error> {
        let turn = self.gate.change().await;
        self.settle().await?;
        Ok(turn)
    }

    /// A turn at which nothing changes and nothing is half done, though there may be no quorum. Readers come and go.
    pub(super) async fn resting(&self) -> Result<Still<'_>, Error> {
        loop {
            let turn = self.gate.still().await;
            if !self.is_half_done() {
                return Ok(turn);
            }
            drop(turn);
            drop(aside(self.heap, || self.settled())?.await?);
        }
    }

    /// The same, to make something durable or to have it changed on the nodes that readers don't see.
    pub(super) async fn still(&self) -> Result<Still<'_>, Error> {
        let turn = self.resting().await?;
        self.cluster.require_quorum()?;
        Ok(turn)
    }

    /// A turn to read.
    pub(super) async fn reading(&self) -> Result<Reading<'_>, Error> {
        loop {
            let turn = self.gate.read().await;
            // Once nothing can be changed any more, reading goes on with what there is.
            if !self.is_half_done() || self.cluster.is_lost() {
                return Ok(turn);
            }
            drop(turn);
            drop(aside(self.heap, || self.settled())?.await?);
        }
    }

    /// Takes an operation back, now or as soon as that is possible.
    pub(super) async fn take_back(&self, steps: impl IntoIterator<Item = Step>) -> Result<(), Error> {
        let undo = &self.writing()?.undo;
        for step in steps {
            // What another operation left was settled before this one began.
            let noted = undo.0.borrow_mut().push_back(step);
            debug_assert!(noted.is_ok(), "an operation has at most {STEPS} steps to take back");
        }
        // Whoever comes next tries again.
        let _ = self.settle().await;
        Ok(())
    }

    fn is_half_done(&self) -> bool {
        self.writing.as_ref().is_some_and(|writing| writing.undo.first().is_some())
    }

    async fn settle(&self) -> Result<(), Error> {
        let Some(writing) = &self.writing else { return Ok(()) };
        while let Some(step) = writing.undo.first() {
            aside(self.heap, || self.put_back(&step))?.await?;
            writing.undo.0.borrow_mut().pop_front();
        }
        Ok(())
    }

    async fn put_back(&self, step: &Step) -> Result<(), Error> {
        match step {
            Step::Named(place, inum, kind) => {
                let directory = self.directory(place.directory).await?;
                match self.find_entry(&directory, &place.name).await? {
                    Some(_) => Ok(()),
                    None => self.add_entry(&directory, &place.name, *inum, *kind).await,
                }
            }
            Step::Unnamed(place, inum) => {
                let directory = self.directory(place.directory).await?;
                match self.find_entry(&directory, &place.name).await? {
                    Some((key, entry)) if entry.inum == *inum => self.remove_entry(&directory, key).await,
                    _ => Ok(()),
                }
            }
            // In a limit, it counts already.
            Step::Gone(inum) if self.keeps_quotas() => match self.inode(*inum).await {
                Ok(file) => self.destroy(file).await,
                Err(Error::NotFound) => Ok(()),
                Err(error) => Err(error),
            },
            Step::Gone(inum) => match self.inodes.get(*inum) {
                Some(file) => self.destroy(file).await,
                None => self.modify(Modification::RemoveInode { pfs: self.root, inum: *inum }).await.map(drop),
            },
        }
    }
}
