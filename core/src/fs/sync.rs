//! Making things durable: one commit serves all callers that wait for it.
//!
//! A commit includes everything done before it, so a caller that comes while one is under way needs the next, and so do all
//! others that come meanwhile: the first of them keeps things still while that commit is begun, and the rest wait for its result.
//! Changes that are made while a commit is written belong to the next one.

use core::cell::{Cell, RefCell};
use core::future::poll_fn;
use core::task::Poll;

use super::{Error, FileSystem};
use crate::cluster::{CommitTurn, CommitUnderWay};
use crate::io::Wakers;
use crate::media::Inum;
use crate::memory::Heap;

/// The number of files remembered whose content couldn't be stored; with more, every later `fsync` fails.
const MOST_UNSTORED: usize = 16;

/// The commits of a mount, numbered from 1.
pub(super) struct Commits {
    begun: Cell<u64>,
    /// The last commit that succeeded.
    succeeded: Cell<u64>,
    /// The last commit that failed, and why.
    failed: Cell<Option<(u64, Error)>>,
    /// True while a caller is on the way to the next commit.
    led: Cell<bool>,
    /// Something that was only in memory was lost before it was durable; every commit reports this from then on.
    lost: Cell<Option<Error>>,
    /// The same for files whose blocks are bad on media and can be written anew: it is reported by the commit that finds out, and
    /// then by the next `fsync` of each of these files.
    failure: Cell<Option<Error>>,
    unstored: RefCell<heapless::Vec<(Inum, Error), MOST_UNSTORED>>,
    changed: Wakers,
}

/// The right to begin the next commit; when this is dropped, another caller gets it.
struct Leading<'c>(&'c Commits);

/// A commit under way. A commit that is given up counts as not begun.
struct UnderWay<'c> {
    commits: &'c Commits,
    number: u64,
}

impl Commits {
    pub(super) fn new(heap: Heap) -> Self {
        Self {
            begun: Cell::new(0),
            succeeded: Cell::new(0),
            failed: Cell::new(None),
            led: Cell::new(false),
            lost: Cell::new(None),
            failure: Cell::new(None),
            unstored: RefCell::default(),
            changed: Wakers::new(heap),
        }
    }

    fn begin(&self) -> UnderWay<'_> {
        let number = self.begun.get() + 1;
        self.begun.set(number);
        UnderWay { commits: self, number }
    }

    /// Notes that something will never be durable.
    pub(super) fn note_loss(&self, error: Error) {
        self.lost.set(self.lost.get().or(Some(error)));
    }

    /// Notes that content of a file was given up that was only in memory.
    pub(super) fn note_unstored(&self, file: Inum, error: Error) {
        self.failure.set(self.failure.get().or(Some(error)));
        let unstored = &mut *self.unstored.borrow_mut();
        if !unstored.iter().any(|(other, _)| *other == file) && unstored.push((file, error)).is_err() {
            // No caller's `fsync` of this file may succeed from now on.
            self.note_loss(error);
        }
    }

    /// Why content of a file was given up. It is returned once, or taken because the file is removed and nobody needs to know.
    pub(super) fn take_unstored(&self, file: Inum) -> Option<Error> {
        let unstored = &mut *self.unstored.borrow_mut();
        let place = unstored.iter().position(|(other, _)| *other == file)?;
        Some(unstored.swap_remove(place).1)
    }

    /// The result of a commit that succeeded: whether everything written before is durable.
    fn everything_kept(&self) -> Result<(), Error> {
        self.failure.take().or(self.lost.get()).map_or(Ok(()), Err)
    }

    /// The result of a commit. A later commit that succeeded has also made durable what this one should have.
    fn outcome(&self, number: u64) -> Option<Result<(), Error>> {
        if self.succeeded.get() >= number {
            return Some(Ok(()));
        }
        self.failed.get().filter(|(failed, _)| *failed >= number).map(|(_, error)| Err(error))
    }

    /// Waits until a commit has ended, or until this caller must begin it.
    async fn ended_or_leading(&self, number: u64) -> Result<Result<(), Error>, Leading<'_>> {
        poll_fn(|cx| {
            if let Some(outcome) = self.outcome(number) {
                return Poll::Ready(Ok(outcome));
            }
            if self.begun.get() < number && !self.led.replace(true) {
                return Poll::Ready(Err(Leading(self)));
            }
            self.changed.register(cx.waker());
            Poll::Pending
        })
        .await
    }
}

impl Drop for Leading<'_> {
    fn drop(&mut self) {
        self.0.led.set(false);
        self.0.changed.wake_all();
    }
}

impl UnderWay<'_> {
    fn end(self, outcome: Result<(), Error>) {
        match outcome {
            Ok(()) => self.commits.succeeded.set(self.number),
            Err(error) => self.commits.failed.set(Some((self.number, error))),
        }
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        if self.commits.outcome(self.number).is_none() {
            self.commits.begun.set(self.number - 1);
        }
        self.commits.changed.wake_all();
    }
}

impl FileSystem {
    /// Makes everything done so far durable. Callers that wait at the same time share a commit.
    pub async fn sync(&self) -> Result<(), Error> {
        let commits = &self.writing()?.commits;
        let wanted = commits.begun.get() + 1;
        loop {
            match commits.ended_or_leading(wanted).await {
                Ok(outcome) => return outcome,
                Err(leading) => {
                    // Changes go on while an earlier commit is written.
                    self.cluster.committed().await;
                    let still = self.still().await?;
                    // Callers from here on wait for the next commit. An operation that ran out of room may have committed
                    // meanwhile.
                    drop(leading);
                    if commits.outcome(wanted).is_none() {
                        let begun = self.begin_commit().await?;
                        drop(still);
                        begun.end().await?;
                    }
                }
            }
        }
    }

    /// Makes a file durable: its content, attributes and names. At present this is a [`sync`](Self::sync).
    pub async fn fsync(&self, file: Inum) -> Result<(), Error> {
        {
            let _reading = self.reading().await?;
            self.inode(file).await?;
        }
        let Some(writing) = &self.writing else { return Ok(()) };
        let synced = self.sync().await;
        writing.commits.take_unstored(file).map_or(synced, Err)
    }

    /// Fails when something written before can't become durable any more: the error that `close` should return.
    pub fn check_writes(&self) -> Result<(), Error> {
        let Some(writing) = &self.writing else { return Ok(()) };
        self.cluster.require_quorum()?;
        writing.commits.lost.get().map_or(Ok(()), Err)
    }

    /// Commits for a caller that keeps things still.
    pub(super) async fn sync_inside(&self) -> Result<(), Error> {
        while !self.begin_commit().await?.end().await? {}
        Ok(())
    }

    /// Begins a commit for a caller that keeps things still until it has begun.
    async fn begin_commit(&self) -> Result<Begun<'_>, Error> {
        let commits = &self.writing()?.commits;
        let turn = self.cluster.commit_turn().await;
        let under_way = commits.begin();
        match self.gather(turn).await {
            Ok(commit) => Ok(Begun { under_way, commit }),
            Err(error) => {
                under_way.end(Err(error));
                Err(error)
            }
        }
    }

    async fn gather<'f>(&'f self, turn: CommitTurn<'f>) -> Result<CommitUnderWay<'f>, Error> {
        self.write_all().await?;
        Ok(self.cluster.begin_commit(turn).await?)
    }
}

/// A commit that was begun.
struct Begun<'f> {
    under_way: UnderWay<'f>,
    commit: CommitUnderWay<'f>,
}

impl Begun<'_> {
    /// Waits until the commit is durable; false if it must be begun anew.
    async fn end(self) -> Result<bool, Error> {
        let Self { under_way, commit } = self;
        let ended = commit.end().await.map_err(Error::from);
        if ended == Ok(false) {
            return Ok(false);
        }
        let outcome = ended.map(drop).and_then(|()| under_way.commits.everything_kept());
        under_way.end(outcome);
        outcome.map(|()| true)
    }
}
