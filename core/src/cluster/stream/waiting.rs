//! Waiting for results of executing backlogs. Where no keeper executes them, the waiting caller does.

use core::future::poll_fn;
use core::task::{Context, Poll};

use super::{Entry, Position, SOFT_DEADLINE, Stream, Verdict};
use crate::cluster::join::Together;
use crate::cluster::vote::{MAX_NODES, NodeSet};
use crate::cluster::{Cluster, OpError};
use crate::memory::NoMemory;

/// An entry whose verdict a caller waits for.
pub(in crate::cluster) struct Awaited<'s> {
    stream: &'s Stream,
    position: Position,
}

impl<'s> Awaited<'s> {
    fn new(stream: &'s Stream, position: Position) -> Self {
        if let Some(entry) = stream.books.borrow_mut().get(position) {
            entry.is_awaited = true;
        }
        Self { stream, position }
    }

    /// The cluster's decision so far.
    pub(in crate::cluster) fn verdict(&self) -> Verdict {
        self.stream.verdict(self.position)
    }

    /// Members that haven't executed it.
    pub(in crate::cluster) fn waiting(&self) -> NodeSet {
        self.stream.may_answer(self.position)
    }
}

impl Drop for Awaited<'_> {
    fn drop(&mut self) {
        let mut books = self.stream.books.borrow_mut();
        if let Some(entry) = books.get(self.position) {
            entry.is_awaited = false;
        }
        books.trim();
    }
}

impl Cluster {
    /// Adds an entry that the `waiting` members haven't executed; it is judged at once.
    pub(in crate::cluster) fn put_behind(&self, entry: Entry, waiting: NodeSet) -> Result<Awaited<'_>, NoMemory> {
        let position = self.stream.push(entry, waiting)?;
        let awaited = Awaited::new(&self.stream, position);
        self.judge(position);
        Ok(awaited)
    }

    /// Waits until there is a verdict on an entry.
    pub(in crate::cluster) async fn await_verdict(&self, awaited: &Awaited<'_>) -> Result<Verdict, OpError> {
        self.await_backlogs(|| match awaited.verdict() {
            Verdict::Open => None,
            verdict => Some(verdict),
        })
        .await
    }

    /// Waits until no member lags any more and all headers are on their disks. Late members have left by then.
    pub(crate) async fn level(&self) -> Result<(), OpError> {
        self.level_with(NodeSet::first_nodes(MAX_NODES)).await
    }

    /// Waits until none of these members lags any more.
    pub(in crate::cluster) async fn level_with(&self, nodes: NodeSet) -> Result<(), OpError> {
        let is_level = || self.stream.unfinished().intersection(nodes).is_empty();
        if is_level() {
            return Ok(());
        }
        self.await_laggards(|| is_level().then_some(())).await
    }

    /// Waits until another member becomes up to date, or until no member lags any more; returns what `is_done` gives.
    pub(in crate::cluster) async fn await_up_to_date<T: Default>(
        &self,
        caught_up: impl Fn() -> Option<T>,
    ) -> Result<T, OpError> {
        self.await_laggards(|| caught_up().or_else(|| self.stream.out_of_date().is_empty().then(T::default))).await
    }

    /// Waits for a result of lagging members. Late members leave.
    pub(in crate::cluster) async fn await_laggards<T>(&self, is_done: impl Fn() -> Option<T>) -> Result<T, OpError> {
        self.await_backlogs(|| {
            self.expel_late();
            is_done()
        })
        .await
    }

    /// Waits for a result of executing backlogs, and executes them meanwhile unless the keeper does.
    async fn await_backlogs<T>(&self, mut is_done: impl FnMut() -> Option<T>) -> Result<T, OpError> {
        loop {
            let mut lanes = Together::new(self.heap);
            if !self.stream.is_kept.get() {
                for index in self.stream.neglected().iter() {
                    lanes.add(index, || self.drive(index))?;
                }
            }
            let done = poll_fn(|cx| {
                lanes.poll_each(cx);
                if let Some(done) = is_done() {
                    return Poll::Ready(Some(done));
                }
                if !self.stream.is_kept.get() && !self.stream.neglected().is_empty() {
                    return Poll::Ready(None);
                }
                self.await_lateness(cx);
                self.stream.changed.register(cx.waker());
                Poll::Pending
            })
            .await;
            if let Some(done) = done {
                return Ok(done);
            }
        }
    }

    /// True when a modification must [wait](Self::make_way) before it begins: because something is copied to a member, because
    /// members must be moved on and no one else does it, or because a member would be overrun.
    pub(in crate::cluster) fn is_in_the_way(&self) -> bool {
        let is_left_to_us = || !self.stream.is_kept.get() && !self.stream.neglected().is_empty();
        // Mostly no entry is kept.
        let is_level = self.stream.is_empty();
        self.stream.is_copying.get() || !is_level && (is_left_to_us() || !self.hard_pressed().is_empty())
    }

    /// Waits until a modification may begin, if something [is in its way](Self::is_in_the_way).
    pub(in crate::cluster) async fn make_way(&self) {
        let is_free = || (!self.stream.is_copying.get()).then_some(());
        while self.stream.is_copying.get() && self.await_backlogs(is_free).await.is_err() {}
        self.press().await;
        self.hold_back().await;
    }

    /// Lets members catch up whose backlog grows faster than they execute it: a change waits until they have used less than half
    /// of what a backlog may take, but only for a moment. So a member that is only slow isn't overrun, and a member whose devices
    /// complete nothing in that moment doesn't hold up changes again until they do.
    async fn hold_back(&self) {
        let pressed = self.hard_pressed();
        let Some(end) = self.clock().map(|clock| clock.now().after(SOFT_DEADLINE)) else { return };
        if pressed.is_empty() {
            return;
        }
        let completed: heapless::Vec<_, MAX_NODES> = pressed.iter().map(|index| self.completed_by(index)).collect();
        let is_over = || self.clock().is_none_or(|clock| clock.now() >= end) || self.hard_pressed().is_empty();
        // Without memory nothing is waited for.
        let _ = self.await_backlogs(|| is_over().then_some(())).await;
        for (index, completed) in pressed.iter().zip(completed) {
            if self.completed_by(index) == completed {
                self.stream.note_silence(index, completed);
            }
        }
    }

    /// Lets each request execute backlogs for a moment if nobody executes them beside the requests. A member that another task
    /// drives isn't waited for.
    pub(in crate::cluster) async fn press(&self) {
        let pressed = self.stream.neglected();
        if self.stream.is_kept.get() || pressed.is_empty() {
            return;
        }
        let Some(end) = self.clock().map(|clock| clock.now().after(SOFT_DEADLINE)) else { return };
        // Without memory this is left to the next request.
        let _ = self
            .await_backlogs(|| {
                let is_over = self.clock().is_none_or(|clock| clock.now() >= end);
                (is_over || self.stream.unfinished().intersection(pressed).is_empty()).then_some(())
            })
            .await;
        self.expel_late();
    }

    /// Wakes the caller when the next member becomes late.
    fn await_lateness(&self, cx: &mut Context<'_>) {
        let Some(clock) = self.clock() else { return };
        let soon = clock.now().after(SOFT_DEADLINE);
        let next = self.stream.unfinished().iter().filter_map(|index| self.stream.late_at(index)).min();
        let _ = clock.expire(next.map_or(soon, |next| next.min(soon)), cx);
    }
}
