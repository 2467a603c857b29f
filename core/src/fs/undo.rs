//! Taking back the steps of an operation that failed half-way.
//!
//! Taking back may fail too, mostly for want of memory, which made the operation fail in the first place. The steps to be taken
//! back are then noted in memory that is always there, and done before any other task gets a turn: nobody sees half an operation,
//! and no commit includes one.

use core::cell::RefCell;

use super::gate::{Changing, Reading, Still};
use super::{Error, FileSystem};
use crate::cluster::Modification;
use crate::media::geometry::MAX_NAME_BYTES;
use crate::media::{FileKind, Inum};
use crate::memory::aside;

/// The most steps of one operation.
const STEPS: usize = 4;

/// A name in a directory.
#[derive(Clone)]
pub(super) struct DirectoryName {
    directory: Inum,
    name: heapless::Vec<u8, MAX_NAME_BYTES>,
}

impl DirectoryName {
    pub(super) fn new(directory: Inum, name: &[u8]) -> Self {
        // Names that are too long were refused before anything was done.
        Self { directory, name: heapless::Vec::from_slice(name).unwrap_or_default() }
    }
}

/// A state to be restored. A step that is already done does nothing.
#[derive(Clone)]
pub(super) enum Step {
    /// A name shall lead to an inode.
    Named(DirectoryName, Inum, FileKind),
    /// A name shall not lead to an inode.
    Unnamed(DirectoryName, Inum),
    /// An inode shall not exist.
    Gone(Inum),
}

/// The steps still to be taken back, in order.
#[derive(Default)]
pub(super) struct Undo(RefCell<heapless::Deque<Step, STEPS>>);

impl Undo {
    fn first(&self) -> Option<Step> {
        self.0.borrow().front().cloned()
    }
}

impl FileSystem {
    /// A turn to change things, with nothing left half done. Nothing is begun without a quorum, as it couldn't become durable;
    /// but what was begun with one is completed by the nodes that are left.
    pub(super) async fn changing(&self) -> Result<Changing<'_>, Error> {
        let turn = self.settled().await?;
        self.cluster.require_quorum()?;
        Ok(turn)
    }

    /// A turn for changes that needn't be durable.
    pub(super) async fn settled(&self) -> Result<Changing<'_>, Error> {
        let turn = self.gate.change().await;
        self.settle().await?;
        Ok(turn)
    }

    /// A turn during which nothing changes and nothing is half done, even without a quorum. Readers are let in.
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

    /// A turn of that kind for making something durable, or for changes on the nodes that readers don't see.
    pub(super) async fn still(&self) -> Result<Still<'_>, Error> {
        let turn = self.resting().await?;
        self.cluster.require_quorum()?;
        Ok(turn)
    }

    /// A turn to read.
    pub(super) async fn reading(&self) -> Result<Reading<'_>, Error> {
        loop {
            let turn = self.gate.read().await;
            // Once nothing can be changed any more, readers see what there is.
            if !self.is_half_done() || self.cluster.is_lost() {
                return Ok(turn);
            }
            drop(turn);
            drop(aside(self.heap, || self.settled())?.await?);
        }
    }

    /// Takes an operation back, now or as soon as possible.
    pub(super) async fn take_back(&self, steps: impl IntoIterator<Item = Step>) -> Result<(), Error> {
        let undo = &self.writing()?.undo;
        for step in steps {
            // What another operation left behind was settled before this one began.
            let noted = undo.0.borrow_mut().push_back(step);
            debug_assert!(noted.is_ok(), "an operation has at most {STEPS} steps to take back");
        }
        // If this fails, the next task tries again.
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
            // It counts in limits already.
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
