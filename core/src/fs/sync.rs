//! Making things durable: one commit serves all who wait for it.
//!
//! A commit takes everything along, so whoever comes while one is under way needs the next, and so do all others who come
//! meanwhile: the first of them keeps things still while that is begun, and the rest wait for what it gets done. What is changed
//! while a commit lands belongs to the next.

use core::cell::{Cell, RefCell};
use core::future::poll_fn;
use core::task::Poll;

use super::{Error, FileSystem};
use crate::cluster::{CommitTurn, CommitUnderWay};
use crate::io::Wakers;
use crate::media::Inum;
use crate::memory::Heap;

/// Files of which it is remembered that content couldn't be stored; with more, all that follows fails.
const MOST_UNSTORED: usize = 16;

/// The commits of a mount, numbered from 1.
pub(super) struct Commits {
    begun: Cell<u64>,
    /// The last that worked.
    succeeded: Cell<u64>,
    /// The last that didn't, and why.
    failed: Cell<Option<(u64, Error)>>,
    /// Somebody is on the way to the next.
    led: Cell<bool>,
    /// What was only in memory went without becoming durable; every commit says so from then on.
    lost: Cell<Option<Error>>,
    /// The same of files whose blocks are bad on media, and can be written anew: the commit that finds out says so, and then the
    /// next `fsync` of each of these files.
    failure: Cell<Option<Error>>,
    unstored: RefCell<heapless::Vec<(Inum, Error), MOST_UNSTORED>>,
    changed: Wakers,
}

/// Leads to the next commit; another may, when this goes.
struct Leading<'c>(&'c Commits);

/// A commit under way. One that is given up counts as not begun.
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
            // Nobody's `fsync` may pass for one of it.
            self.note_loss(error);
        }
    }

    /// Why content of a file was given up, once; or nobody needs to be told any more, as the file goes.
    pub(super) fn take_unstored(&self, file: Inum) -> Option<Error> {
        let unstored = &mut *self.unstored.borrow_mut();
        let place = unstored.iter().position(|(other, _)| *other == file)?;
        Some(unstored.swap_remove(place).1)
    }

    /// What a commit tells that went well: whether everything is durable that was written before.
    fn everything_kept(&self) -> Result<(), Error> {
        self.failure.take().or(self.lost.get()).map_or(Ok(()), Err)
    }

    /// How a commit ended, or what says the same: a later one that worked has made durable what it should have.
    fn outcome(&self, number: u64) -> Option<Result<(), Error>> {
        if self.succeeded.get() >= number {
            return Some(Ok(()));
        }
        self.failed.get().filter(|(failed, _)| *failed >= number).map(|(_, error)| Err(error))
    }

    /// Waits until a commit has ended, or somebody must lead to it.
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
                    // Changes go on while an earlier one lands.
                    self.cluster.committed().await;
                    let still = self.still().await?;
                    // Who comes from here on waits for the next; an operation that ran out of room may have committed meanwhile.
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

    /// Makes a file durable: its content, what is known of it, and its names. Today that is a [`sync`](Self::sync).
    pub async fn fsync(&self, file: Inum) -> Result<(), Error> {
        {
            let _reading = self.reading().await?;
            self.inode(file).await?;
        }
        let Some(writing) = &self.writing else { return Ok(()) };
        let synced = self.sync().await;
        writing.commits.take_unstored(file).map_or(synced, Err)
    }

    /// Fails when something written before can't become durable any more: what `close` should tell.
    pub fn check_writes(&self) -> Result<(), Error> {
        let Some(writing) = &self.writing else { return Ok(()) };
        self.cluster.require_quorum()?;
        writing.commits.lost.get().map_or(Ok(()), Err)
    }

    /// Commits, for who keeps things still.
    pub(super) async fn sync_inside(&self) -> Result<(), Error> {
        while !self.begin_commit().await?.end().await? {}
        Ok(())
    }

    /// Begins a commit, for who keeps things still until it is begun.
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
    /// Waits until it is durable; false if it is to be begun anew.
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
