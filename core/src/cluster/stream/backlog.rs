//! Executing a member's backlog, entry by entry, in order.

use core::convert::Infallible;
use core::future::{Future, poll_fn};
use core::pin::pin;
use core::task::Poll;

use super::entry::Work;
use super::marks::Marked;
use super::recorded::{Done, InPart, Part, Ranges};
use super::{Entry, Verdict};
use crate::cluster::agree::Said;
use crate::cluster::repair::Lost;
use crate::cluster::{Cluster, Command, NodeIndex, Outcome, Rule};
use crate::media::ModifyTid;
use crate::memory::{NoMemory, answer_of};
use crate::node::{Driver, Halt, NodeError, Progress};

/// What a member does next.
enum Step {
    /// Does the rest of a modification of file blocks that a copy has partly done.
    Rest(ModifyTid, InPart, Ranges),
    /// Has keys copied that the member can't bring about by itself any more.
    Copy(Lost),
    /// Gives the answer of another node: the copy from that node has done this modification.
    Same(Result<Outcome, NodeError>),
    /// A modification, or the part of it that no copy has done.
    Change(Part),
    /// A command for the member's tables.
    Table(Command<'static>),
    /// A header.
    Commit,
    /// Nothing: the cluster hasn't executed this entry.
    Nothing,
}

impl Cluster {
    /// The member's next step; none if it has no backlog, or is no longer a member in sync.
    fn next_step(&self, index: NodeIndex) -> Result<Option<Step>, NoMemory> {
        if !self.member(index).is_in_sync() {
            return Ok(None);
        }
        if !self.has(Rule::InOrder) {
            self.stream.books.borrow_mut().disorder(index);
        }
        let books = self.stream.books.borrow();
        let Some((position, entry)) = books.next_of(index) else { return Ok(None) };
        let is_followed = || books.backlog(index).iter().skip(1).any(Entry::is_commit);
        Ok(Some(match (&entry.work, entry.verdict) {
            (_, Verdict::None | Verdict::Unreadable(_)) => Step::Nothing,
            (_, Verdict::Agreed(Said::NoMemory | Said::NoSpace)) => Step::Nothing,
            (Work::Change(tid, recorded), _) => {
                let node = &self.member(index).node;
                let said = || entry.answers.iter().find(|(_, answer)| answer.is_ok()).map(|(_, answer)| *answer);
                match (recorded.done_by(&books.lane(index).copied, |slot| node.inum(slot)), said()) {
                    (Done::Nothing, _) => Step::Change(Part::Whole),
                    (Done::But(part, rest), _) => Step::Rest(*tid, part, rest),
                    (Done::From(lost), _) => Step::Copy(lost),
                    (Done::ButHalf(half), Some(Ok(Outcome::Done))) => Step::Change(half),
                    (Done::All | Done::ButHalf(_), said) => said.map_or(Step::Nothing, Step::Same),
                }
            }
            (Work::Name { pfs, inum, into }, _) => Step::Table(Command::Name { pfs: *pfs, inum: *inum, into: *into }),
            (Work::Close(slot), _) => Step::Table(Command::Close { slot: *slot }),
            // A later commit includes everything that this one would.
            (Work::Commit(_), Verdict::Agreed(_)) if is_followed() => Step::Nothing,
            // No commit before the copy's position has the content that was copied.
            (Work::Commit(_), _) if books.lane(index).has_copied_beyond(position) => Step::Nothing,
            (Work::Commit(_), _) => Step::Commit,
        }))
    }

    /// Executes a member's backlog and writes its headers, until nothing is left or the member leaves.
    pub(super) async fn drive(&self, index: NodeIndex) {
        let Some(_driving) = Marked::claim(&self.stream, index, |books| &mut books.driven) else { return };
        let member = self.member(index);
        let departures = member.departures();
        let (mut work, mut landing) = (pin!(self.execute_backlog(index)), pin!(self.land_all(index)));
        poll_fn(|cx| {
            // A member that has left may be reopened and copied to, so nothing half done from before may be completed.
            if !member.is_in_sync() || member.departures() != departures {
                return Poll::Ready(());
            }
            let _: Poll<Infallible> = landing.as_mut().poll(cx);
            work.as_mut().poll(cx)
        })
        .await;
    }

    async fn execute_backlog(&self, index: NodeIndex) {
        // The fault that was mended. If it is still there, no copy will help.
        let mut mended = None;
        loop {
            self.stream.unshown(index).await;
            let answer = match self.next_step(index) {
                Ok(None) if self.stream.landing_of(index).is_some() && self.member(index).is_in_sync() => {
                    self.stream.change().await;
                    continue;
                }
                Ok(None) => return,
                Ok(Some(Step::Nothing)) => {
                    self.stream.pass(index);
                    // A caller may wait for this member's part in it.
                    self.judge_all();
                    continue;
                }
                Ok(Some(Step::Same(answer))) => {
                    self.open_copied(index, answer);
                    answer
                }
                Ok(Some(Step::Rest(tid, part, rest))) => {
                    answer_of(self.heap, || self.finish_on(index, tid, part, rest)).await
                }
                Ok(Some(Step::Copy(lost))) => match answer_of(self.heap, || self.copy_on(index, lost)).await {
                    Ok(()) => continue,
                    Err(error) => Err(error),
                },
                Ok(Some(Step::Change(part))) => match answer_of(self.heap, || self.change_on(index, part)).await {
                    Err(NodeError::Fault(fault)) if fault.bad_block().is_some() && mended != Some(fault) => {
                        match answer_of(self.heap, || self.mend_on(index, fault)).await {
                            Ok(()) => {
                                mended = Some(fault);
                                continue;
                            }
                            Err(error) => Err(error),
                        }
                    }
                    Ok(Some(outcome)) => {
                        if part != Part::Whole {
                            self.open_copied(index, Ok(outcome));
                        }
                        Ok(outcome)
                    }
                    Ok(None) => continue,
                    Err(error) => Err(error),
                },
                Ok(Some(Step::Table(command))) => {
                    let executed = answer_of(self.heap, || self.member(index).node.execute(command));
                    executed.await.map(|_| Outcome::Done)
                }
                Ok(Some(Step::Commit)) => {
                    self.stream.landed(index).await;
                    match answer_of(self.heap, || self.fix_on(index)).await {
                        Ok(()) => continue,
                        Err(why) => {
                            self.eject(index, why);
                            self.stream.forget(index);
                            return self.judge_all();
                        }
                    }
                }
                Err(error) => Err(error.into()),
            };
            self.note_answer(index, answer);
        }
    }

    /// Opens a new file that a copy has made, at least in part, on a lagging member: a copy doesn't.
    fn open_copied(&self, index: NodeIndex, answer: Result<Outcome, NodeError>) {
        let books = self.stream.books.borrow();
        let Some((_, Entry { work: Work::Change(_, recorded), .. })) = books.next_of(index) else { return };
        if let (Some(mut name), Ok(Outcome::Done)) = (recorded.opens(), answer) {
            // A member without such a slot will fail when the slot is used.
            let _ = self.member(index).node.attempt(&mut name, &mut Progress::default());
        }
    }

    /// Executes a modification on a lagging member; none if the modification was called off meanwhile.
    async fn change_on(&self, index: NodeIndex, part: Part) -> Result<Option<Outcome>, NodeError> {
        let node = &self.member(index).node;
        let (mut driver, mut progress) = (Driver::new(node), Progress::default());
        loop {
            let halt = match self.attempt_next(index, part, &mut progress, &driver) {
                Some(Ok(outcome)) => return Ok(Some(outcome)),
                Some(Err(halt)) => halt,
                None => return Ok(None),
            };
            driver.clear(halt).await?;
        }
    }

    /// Does the part of a modification of file blocks that a copy hasn't done.
    async fn finish_on(
        &self,
        index: NodeIndex,
        tid: ModifyTid,
        part: InPart,
        rest: Ranges,
    ) -> Result<Outcome, NodeError> {
        for range in rest {
            self.member(index).node.modify(tid, part.within(range)).await?;
        }
        Ok(Outcome::Done)
    }

    fn attempt_next(
        &self,
        index: NodeIndex,
        part: Part,
        progress: &mut Progress,
        driver: &Driver<'_>,
    ) -> Option<Result<Outcome, Halt>> {
        let books = self.stream.books.borrow();
        let (_, entry) = books.next_of(index).filter(|_| self.member(index).is_in_sync())?;
        match (&entry.work, entry.verdict) {
            (Work::Change(tid, recorded), Verdict::Open | Verdict::Agreed(Said::Value(_))) => {
                Some(driver.attempt_change(*tid, &mut recorded.modification(part), progress))
            }
            _ => None,
        }
    }

    /// Executes one member's backlog for as long as it is polled.
    pub(in crate::cluster) async fn keep_backlog(&self, index: NodeIndex) -> Infallible {
        loop {
            self.stream.changed.until(|| self.stream.neglected().contains(index)).await;
            self.drive(index).await;
        }
    }
}
