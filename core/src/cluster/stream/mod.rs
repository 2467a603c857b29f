//! The stream: the changes that members are to make, in one order for all (protocol 7).
//!
//! Most of the time it is empty: all members execute a modification at once. A member that can't, because a block is missing, a
//! device is slow or a header is being written, *lags*: from there on it has a *backlog*, the part of the stream that it hasn't
//! executed. It executes the backlog in order, and its answers are compared with what was agreed meanwhile. The others don't wait
//! for it. An entry is kept once for all lagging members, until the last has executed it.
//!
//! A backlog is bounded in memory and time: a member whose backlog is full, or older than the deadline, leaves.

mod backlog;
mod entry;
mod landing;
mod late;
mod marks;
mod mend;
mod recorded;
mod verdict;
mod waiting;

use core::cell::{Cell, RefCell};
use core::future::poll_fn;
use core::task::Poll;

use super::repair::Lost;
use super::vote::{MAX_NODES, NodeSet};
use super::{NodeIndex, Outcome};
use crate::io::{Instant, Wakers};
use crate::memory::{self, Box, Heap, NoMemory, Vec, boxed};
use crate::node::NodeError;

pub(super) use entry::{Entry, Verdict};
pub(super) use late::SOFT_DEADLINE;
pub(super) use marks::Raised;
pub(super) use waiting::Awaited;

/// A place in the stream, counted from its beginning.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Position(u64);

impl Position {
    fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

/// Entries that some members haven't executed, and which members those are.
pub(super) struct Stream {
    books: Box<RefCell<Books>>,
    /// Tasks that wait for an entry or a member.
    changed: Wakers,
    /// True while backlogs are executed beside the requests.
    is_kept: Cell<bool>,
    /// True while something is copied to a member: its source isn't changed.
    is_copying: Cell<bool>,
}

struct Books {
    /// The position of the first entry that is kept.
    first: Position,
    entries: Vec<Entry>,
    lanes: [Lane; MAX_NODES],
    /// Members whose backlog a task is executing.
    driven: NodeSet,
    /// Members that met a bad block, and can't go on before it is mended.
    mending: NodeSet,
    /// Members that something is copied from: they don't go on meanwhile.
    shown: NodeSet,
    /// Members with something bad cut out that isn't copied yet.
    cut: NodeSet,
}

/// A member's way through the stream.
#[derive(Default)]
struct Lane {
    /// Its position, if it lags.
    next: Option<Position>,
    /// The commit whose header is being written while the member goes on.
    landing: Option<Position>,
    /// Memory that its backlog takes.
    bytes: usize,
    /// The number of requests its devices had completed when changes were held back for it in vain.
    silent_since: Option<u64>,
    /// What was copied to it meanwhile: changes there by entries before the position are done.
    copied: heapless::Vec<(Lost, Position), COPIES>,
}

impl Lane {
    /// True when something was copied to the member that includes entries after a position.
    fn has_copied_beyond(&self, position: Position) -> bool {
        self.copied.iter().any(|(_, until)| position < *until)
    }
}

/// The number of copies that a backlog may have.
const COPIES: usize = 8;

impl Books {
    fn end(&self) -> Position {
        Position(self.first.0 + self.entries.len() as u64)
    }

    fn get(&mut self, position: Position) -> Option<&mut Entry> {
        let index = position.0.checked_sub(self.first.0)?;
        self.entries.get_mut(usize::try_from(index).ok()?)
    }

    fn lane(&self, index: NodeIndex) -> &Lane {
        &self.lanes[usize::from(index.0)]
    }

    fn lane_mut(&mut self, index: NodeIndex) -> &mut Lane {
        &mut self.lanes[usize::from(index.0)]
    }

    fn lagging(&self) -> NodeSet {
        let all = (0..).map(NodeIndex).zip(&self.lanes);
        all.filter(|(_, lane)| lane.next.is_some()).map(|(index, _)| index).collect()
    }

    /// Members that are writing a header.
    fn landing(&self) -> NodeSet {
        let all = (0..).map(NodeIndex).zip(&self.lanes);
        all.filter(|(_, lane)| lane.landing.is_some()).map(|(index, _)| index).collect()
    }

    /// Members that couldn't execute something that isn't decided yet: their content may be that of before.
    fn failed(&self) -> NodeSet {
        let open = self.entries.iter().filter(|entry| entry.verdict == Verdict::Open);
        open.flat_map(|entry| &entry.answers).filter(|(_, answer)| answer.is_err()).map(|(index, _)| *index).collect()
    }

    /// The entries that a member hasn't executed.
    fn backlog(&self, index: NodeIndex) -> &[Entry] {
        let next = self.lane(index).next.unwrap_or(self.end());
        let start = next.0.saturating_sub(self.first.0) as usize;
        self.entries.get(start..).unwrap_or(&[])
    }

    /// A lagging member's next entry.
    fn next_of(&self, index: NodeIndex) -> Option<(Position, &Entry)> {
        self.lane(index).next.zip(self.backlog(index).first())
    }

    /// Moves the next entry of the only lagging member behind the one that follows it, which the rule `in-order` forbids.
    fn disorder(&mut self, index: NodeIndex) {
        let at = self.entries.len() - self.backlog(index).len();
        let is_alone = self.lagging() == NodeSet::only(index);
        let is_settled = |entry: &Entry| matches!(entry.verdict, Verdict::Agreed(_)) && !entry.is_commit();
        if is_alone && self.entries.get(at..at + 2).is_some_and(|two| two.iter().all(is_settled)) {
            self.entries.swap(at, at + 1);
        }
    }

    fn advance(&mut self, index: NodeIndex) {
        let end = self.end();
        let executed = self.backlog(index).first().map_or(0, |entry| entry.bytes);
        let lane = self.lane_mut(index);
        lane.bytes -= executed;
        lane.next = lane.next.map(Position::next).filter(|next| *next < end);
        let next = lane.next.unwrap_or(end);
        lane.copied.retain(|(_, until)| next < *until);
        self.trim();
    }

    /// Drops entries that no member needs any more.
    fn trim(&mut self) {
        let needed = self.lanes.iter().flat_map(|lane| [lane.next, lane.landing]).flatten();
        let oldest = needed.min().unwrap_or(self.end());
        let executed = oldest.0.saturating_sub(self.first.0) as usize;
        // Entries are dropped seldom and then in bulk, because those that stay must be moved.
        if 2 * executed < self.entries.len() {
            return;
        }
        let is_done = |entry: &&Entry| !entry.is_awaited && entry.verdict != Verdict::Open;
        let done = self.entries[..executed].iter().take_while(is_done).count();
        if 2 * done >= self.entries.len() {
            self.first = Position(self.first.0 + done as u64);
            self.entries.drain(..done);
        }
    }
}

impl Stream {
    pub(super) fn new(heap: Heap) -> Result<Self, NoMemory> {
        let books = Books {
            first: Position(0),
            entries: Vec::new_in(heap),
            lanes: Default::default(),
            driven: NodeSet::EMPTY,
            mending: NodeSet::EMPTY,
            shown: NodeSet::EMPTY,
            cut: NodeSet::EMPTY,
        };
        Ok(Self {
            books: boxed(heap, RefCell::new(books))?,
            changed: Wakers::new(heap),
            is_kept: Cell::new(false),
            is_copying: Cell::new(false),
        })
    }

    /// True when no entry is kept: no member lags.
    fn is_empty(&self) -> bool {
        self.books.borrow().entries.is_empty()
    }

    /// Members that have a backlog.
    pub(super) fn lagging(&self) -> NodeSet {
        self.books.borrow().lagging()
    }

    /// Members that couldn't execute something that isn't decided yet: nothing is mended from them.
    pub(super) fn failed(&self) -> NodeSet {
        self.books.borrow().failed()
    }

    /// Members that have a backlog, or a header that isn't on the disk.
    pub(super) fn unfinished(&self) -> NodeSet {
        let books = self.books.borrow();
        books.lagging().union(books.landing())
    }

    /// Those of them that no task moves on.
    fn neglected(&self) -> NodeSet {
        self.unfinished().difference(self.books.borrow().driven)
    }

    /// Members whose content isn't what was agreed. A commit changes no content.
    pub(super) fn out_of_date(&self) -> NodeSet {
        let books = self.books.borrow();
        let is_behind = |index: &NodeIndex| books.backlog(*index).iter().any(|entry| !entry.is_commit());
        books.lagging().iter().filter(is_behind).chain(books.cut.iter()).collect()
    }

    /// Bytes of a member's backlog.
    pub(super) fn backlog_bytes(&self, index: NodeIndex) -> usize {
        self.books.borrow().lane(index).bytes
    }

    /// Entries of a member's backlog.
    pub(super) fn backlog_entries(&self, index: NodeIndex) -> usize {
        self.books.borrow().backlog(index).len()
    }

    /// When the oldest entry becomes late that a member hasn't executed, or whose header isn't on its disk; none if there is
    /// none.
    fn late_at(&self, index: NodeIndex) -> Option<Instant> {
        let mut books = self.books.borrow_mut();
        let landing = books.lane(index).landing.and_then(|position| books.get(position)).map(|entry| entry.late_at);
        let next = books.backlog(index).first().map(|entry| entry.late_at);
        landing.into_iter().chain(next).min()
    }

    /// Adds an entry that the `waiting` members haven't executed, nor any that lag already.
    fn push(&self, entry: Entry, waiting: NodeSet) -> Result<Position, NoMemory> {
        let mut books = self.books.borrow_mut();
        let (position, bytes) = (books.end(), entry.bytes);
        memory::push(&mut books.entries, entry)?;
        for index in waiting.iter() {
            books.lane_mut(index).next.get_or_insert(position);
        }
        for index in books.lagging().iter() {
            books.lane_mut(index).bytes += bytes;
        }
        drop(books);
        self.changed.wake_all();
        Ok(position)
    }

    /// True when a member's devices have completed a request since changes were [held back for it in vain](Self::note_silence).
    fn is_heard(&self, index: NodeIndex, completed: u64) -> bool {
        self.books.borrow().lane(index).silent_since != Some(completed)
    }

    /// Notes that a member's devices completed nothing while changes were held back for it.
    fn note_silence(&self, index: NodeIndex, completed: u64) {
        self.books.borrow_mut().lane_mut(index).silent_since = Some(completed);
    }

    /// Drops a member's backlog, because it left or has everything.
    pub(super) fn forget(&self, index: NodeIndex) {
        let mut books = self.books.borrow_mut();
        *books.lane_mut(index) = Lane::default();
        books.trim();
        drop(books);
        self.changed.wake_all();
    }

    fn verdict(&self, position: Position) -> Verdict {
        self.books.borrow_mut().get(position).map_or(Verdict::None, |entry| entry.verdict)
    }

    /// The positions of entries that aren't decided.
    fn open(&self) -> impl Iterator<Item = Position> {
        let (first, end) = {
            let books = self.books.borrow();
            (books.first.0, books.end().0)
        };
        (first..end).map(Position).filter(|position| self.verdict(*position) == Verdict::Open)
    }

    /// Notes a member's answer to the entry it is at, and moves it on. Returns the entry's position and its verdict so far.
    fn note_answer(&self, index: NodeIndex, answer: Result<Outcome, NodeError>) -> Option<(Position, Verdict)> {
        let mut books = self.books.borrow_mut();
        let position = books.lane(index).next?;
        let entry = books.get(position)?;
        // There are no more answers than nodes.
        let _ = entry.answers.push((index, answer));
        let verdict = entry.verdict;
        books.advance(index);
        Some((position, verdict))
    }

    /// Moves a member on without executing the entry it is at.
    fn pass(&self, index: NodeIndex) {
        self.books.borrow_mut().advance(index);
        self.changed.wake_all();
    }

    /// Members that may still answer an entry.
    fn may_answer(&self, position: Position) -> NodeSet {
        let books = self.books.borrow();
        let may = |lane: &Lane| lane.landing == Some(position) || lane.next.is_some_and(|next| next <= position);
        (0..).map(NodeIndex).zip(&books.lanes).filter(|(_, lane)| may(lane)).map(|(index, _)| index).collect()
    }

    /// Those of these members that execute nothing at the moment, because they have everything or met a bad block, and how far
    /// each has come. A member that couldn't execute something isn't included.
    fn at_rest(&self, members: NodeSet) -> heapless::Vec<(NodeIndex, Position), MAX_NODES> {
        let books = self.books.borrow();
        let place = |index: NodeIndex| match books.next_of(index) {
            None => Some((index, books.end())),
            Some((next, _)) => books.mending.contains(index).then_some((index, next)),
        };
        members.difference(books.failed()).iter().filter_map(place).collect()
    }

    /// Waits until nothing is copied from a member.
    async fn unshown(&self, index: NodeIndex) {
        self.changed.until(|| !self.books.borrow().shown.contains(index)).await;
    }

    /// Waits until something about backlogs has changed.
    async fn change(&self) {
        let mut is_first = true;
        poll_fn(|cx| {
            if !core::mem::take(&mut is_first) {
                return Poll::Ready(());
            }
            self.changed.register(cx.waker());
            Poll::Pending
        })
        .await;
    }

    /// Notes what was copied to a member: there it includes all changes by entries before `until`.
    fn note_copied(&self, index: NodeIndex, lost: Option<Lost>, until: Position) -> Result<(), NoMemory> {
        let mut books = self.books.borrow_mut();
        let lane = books.lane_mut(index);
        match lost.filter(|_| lane.next.is_some_and(|next| next < until)) {
            Some(lost) => lane.copied.push((lost, until)).map_err(|_| NoMemory),
            None => Ok(()),
        }
    }
}
