//! Modifications on several nodes: an answer is given when a quorum has executed the modification and agrees.
//!
//! Every node that is up to date executes a modification at once if its blocks are in memory; then nothing is kept and nothing
//! waits. For any other node it goes into a backlog (see [`stream`](super::stream)), and the node's answer is compared with the
//! agreed one when it gets there. So a slow or silent node delays nobody as long as a quorum of the others answers.
//!
//! The quorum is checked before an operation of the filesystem begins and when it is committed, not for each of its
//! modifications: an operation that has begun is done as a whole by the nodes that are left.

use super::agree::agree;
use super::join::Answers;
use super::stream::{Awaited, Entry, Verdict};
use super::vote::NodeSet;
use super::{Cluster, OpError};
use crate::media::ModifyTid;
use crate::memory::aside;
use crate::node::{Halt, Modification, NodeError, Outcome, Progress};

/// The outcome at once: an answer, or an entry to wait for.
type AtOnce<'c> = Result<Outcome, Pending<'c>>;

enum Pending<'c> {
    Failed(OpError),
    Awaited(Awaited<'c>),
}

impl Cluster {
    /// Executes a modification, in the order of calls. It is never given up half-way: it is done as a whole or not at all.
    pub(crate) async fn modify(&self, tid: ModifyTid, mut modification: Modification<'_>) -> Result<Outcome, OpError> {
        if let Some(node) = self.single() {
            let mut progress = Progress::default();
            let halt = match node.attempt_change(tid, &mut modification, &mut progress) {
                Ok(outcome) => return Ok(outcome),
                Err(Halt::Failed(error)) => return Err(error.into()),
                Err(halt) => halt,
            };
            return Ok(aside(self.heap, || node.resume_change(tid, modification, progress, halt))?.await?);
        }
        if self.is_lost() {
            return Err(OpError::Lost);
        }
        if !self.damage.is_empty() {
            aside(self.heap, || self.mend())?.await?;
        }
        if self.is_in_the_way() {
            aside(self.heap, || self.make_way())?.await;
        }
        self.line.note_tid(tid);
        let awaited = match self.modify_now(tid, &mut modification) {
            Ok(outcome) => return Ok(outcome),
            Err(Pending::Failed(error)) => return Err(error),
            Err(Pending::Awaited(awaited)) => awaited,
        };
        self.await_answer(awaited).await
    }

    /// Executes a modification on all nodes that can do so at once, and puts it into the backlogs of the others.
    fn modify_now(&self, tid: ModifyTid, modification: &mut Modification<'_>) -> AtOnce<'_> {
        let sync = self.in_sync();
        let mut waiting = self.stream.lagging().intersection(sync);
        let up_to_date = sync.difference(waiting);
        if let Modification::WriteBlock { block, .. } = modification {
            block.make_shareable(self.heap).map_err(|error| Pending::Failed(error.into()))?;
        }
        let mut answers = Answers::new();
        for index in up_to_date.iter() {
            let (node, mut progress) = (&self.member(index).node, Progress::default());
            let attempt = match modification.shown() {
                Some(mut shown) => node.attempt_change(tid, &mut shown, &mut progress),
                None => node.attempt_change(tid, modification, &mut progress),
            };
            match attempt {
                Ok(outcome) => answers.extend([(index, Ok(outcome))]),
                Err(Halt::Failed(error)) if !is_local(error) => answers.extend([(index, Err(error))]),
                // Bad blocks on the way to it are mended first.
                Err(Halt::Needs(_) | Halt::Full | Halt::Busy | Halt::Lost | Halt::Failed(_)) => waiting.insert(index),
            }
        }
        if waiting.is_empty() {
            return self.agree_on(&answers);
        }
        self.put_off(tid, modification, answers, waiting)
    }

    /// Makes one answer of all nodes' answers.
    fn agree_on(&self, answers: &Answers<Result<Outcome, NodeError>>) -> AtOnce<'static> {
        let agreed = agree(answers, &self.assent.electorate());
        self.part_with(&agreed.leave);
        agreed.answer.unwrap_or_else(|| Err(self.suspend())).map_err(Pending::Failed)
    }

    /// Puts a modification into the backlogs of nodes that can't execute it now. If a quorum of the others has executed it, its
    /// answer is returned at once.
    fn put_off(
        &self,
        tid: ModifyTid,
        modification: &mut Modification<'_>,
        mut answers: Answers<Result<Outcome, NodeError>>,
        waiting: NodeSet,
    ) -> AtOnce<'_> {
        let put = Entry::change(tid, modification, self.late_at(), self.heap).and_then(|mut entry| {
            entry.answers = answers.clone();
            self.put_behind(entry, waiting)
        });
        let Ok(awaited) = put else {
            // These nodes had no memory for it.
            answers.extend(waiting.iter().map(|index| (index, Err(NodeError::NoMemory))));
            return self.agree_on(&answers);
        };
        self.expel_late();
        match awaited.verdict() {
            Verdict::Open => Err(Pending::Awaited(awaited)),
            verdict => self.answer_of_verdict(verdict).map_err(Pending::Failed),
        }
    }

    async fn await_answer(&self, awaited: Awaited<'_>) -> Result<Outcome, OpError> {
        let verdict = self.decided(&awaited).await;
        self.answer_of_verdict(verdict)
    }

    fn answer_of_verdict(&self, verdict: Verdict) -> Result<Outcome, OpError> {
        match verdict {
            Verdict::Agreed(said) => said.answer(),
            Verdict::Unreadable(fault) => Err(OpError::AllCopiesBad(fault)),
            Verdict::Open | Verdict::None => Err(self.suspend()),
        }
    }

    /// Waits until there is a verdict on an entry.
    pub(super) async fn decided(&self, awaited: &Awaited<'_>) -> Verdict {
        loop {
            let waited = match aside(self.heap, || self.await_verdict(awaited)) {
                Ok(wait) => wait.await,
                Err(error) => Err(error.into()),
            };
            match waited {
                Ok(verdict) => return verdict,
                // For want of memory nobody executes it: nodes that haven't done so answer that.
                Err(_) => awaited.waiting().iter().for_each(|index| self.give_up(index, NodeError::NoMemory)),
            }
        }
    }
}

/// True for damage to stored data of which another node may have a good copy.
fn is_local(error: NodeError) -> bool {
    matches!(error, NodeError::Fault(fault) if fault.bad_block().is_some())
}
