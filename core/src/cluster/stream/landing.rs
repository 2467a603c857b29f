//! Commits of members: the header is fixed in the order of the stream, and is written while the member goes on.
//!
//! So a barrier blocks no changes. A header is written when a quorum of the voters has everything before it durable: a header
//! that no quorum can follow would only be in the way. A member that reaches the next commit waits until its previous header is
//! written.

use core::convert::Infallible;

use super::entry::Work;
use super::{Entry, Position, Stream, Verdict};
use crate::cluster::vote::NodeSet;
use crate::cluster::{Cluster, Ejection, NodeIndex, Outcome};
use crate::memory::boxed;
use crate::node::NodeError;

impl Stream {
    /// Moves a member past the commit it is at; the header is written meanwhile.
    fn begin_landing(&self, index: NodeIndex) {
        let mut books = self.books.borrow_mut();
        let lane = books.lane_mut(index);
        lane.landing = lane.next;
        books.advance(index);
        drop(books);
        self.changed.wake_all();
    }

    /// Notes that a member's header is on its disk, or that there will be none; returns what is known of the commit so far.
    fn end_landing(&self, index: NodeIndex, answer: Option<Result<Outcome, NodeError>>) -> Option<(Position, Verdict)> {
        let mut books = self.books.borrow_mut();
        let position = books.lane_mut(index).landing.take()?;
        let verdict = books.get(position).map(|entry| {
            // There are no more answers than nodes.
            entry.answers.extend(answer.map(|answer| (index, answer)));
            entry.verdict
        });
        books.trim();
        drop(books);
        self.changed.wake_all();
        verdict.map(|verdict| (position, verdict))
    }

    /// The commit whose header a member is writing.
    pub(super) fn landing_of(&self, index: NodeIndex) -> Option<Position> {
        self.books.borrow().lane(index).landing
    }

    /// Waits until a member is writing no header.
    pub(super) async fn landed(&self, index: NodeIndex) {
        self.changed.until(|| self.landing_of(index).is_none()).await;
    }

    /// Notes that everything before a commit is durable on a member.
    fn note_staged(&self, index: NodeIndex, position: Position) {
        if let Some(entry) = self.books.borrow_mut().get(position) {
            entry.staged.insert(index);
        }
        self.changed.wake_all();
    }

    /// The verdict on a commit so far, and the nodes on which everything before it is durable.
    fn staged(&self, position: Position) -> (Verdict, NodeSet) {
        let mut books = self.books.borrow_mut();
        books.get(position).map_or((Verdict::None, NodeSet::EMPTY), |entry| (entry.verdict, entry.staged))
    }
}

impl Cluster {
    /// Fixes the header of the commit that a member is at: everything it has executed is on its way to the disk.
    pub(super) async fn fix_on(&self, index: NodeIndex) -> Result<(), Ejection> {
        let record = {
            let books = self.stream.books.borrow();
            let Some((_, Entry { work: Work::Commit(record), .. })) = books.next_of(index) else { return Ok(()) };
            record.as_deref().map(|record| boxed(self.heap, record.clone())).transpose()?
        };
        self.fix_header_of(index, record.as_deref()).await?;
        self.stream.begin_landing(index);
        Ok(())
    }

    /// Writes the headers that a member fixes to its disk.
    pub(super) async fn land_all(&self, index: NodeIndex) -> Infallible {
        loop {
            let Some(position) = self.stream.landing_of(index) else {
                self.stream.change().await;
                continue;
            };
            match self.member(index).node.land_if(async || self.may_land(index, position).await).await {
                Ok(is_durable) => {
                    let answer = is_durable.then_some(Ok(Outcome::Done));
                    if let Some((position, Verdict::Open)) = self.stream.end_landing(index, answer) {
                        self.judge(position);
                    }
                }
                Err(error) => {
                    self.eject(index, Ejection::of(error));
                    self.stream.forget(index);
                    self.judge_all();
                }
            }
        }
    }

    /// Waits until everything before a commit is durable on a quorum of the voters; false if it never will be. A member without a
    /// vote waits until the commit is acknowledged: it is never ahead of that.
    async fn may_land(&self, index: NodeIndex, position: Position) -> bool {
        let votes = self.voters().contains(index);
        self.stream.note_staged(index, position);
        let may_follow = |staged| votes && self.assent.has_quorum(staged);
        let is_due = || {
            let (verdict, staged) = self.stream.staged(position);
            verdict != Verdict::Open || may_follow(staged)
        };
        self.stream.changed.until(is_due).await;
        self.stream.verdict(position) != Verdict::None
    }
}
