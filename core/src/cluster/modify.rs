//! Modifications on several nodes: an answer is given when a quorum has executed and says the same.
//!
//! All that are up to date execute a modification at once, when it finds its blocks in memory; then nothing is kept and nothing
//! waits. Who can't has it put into its backlog (see [`stream`](super::stream)) and is compared with what was agreed when it gets
//! there. So a slow or silent node delays nobody as long as a quorum of others answers.
//!
//! Whether there is a quorum is asked before an operation of the filesystem is begun and when it is committed, not for each of
//! its modifications: what was begun is done as a whole, by those that are left.

use super::agree::agree;
use super::join::Answers;
use super::stream::{Awaited, Entry, Verdict};
use super::vote::NodeSet;
use super::{Cluster, OpError};
use crate::media::ModifyTid;
use crate::memory::aside;
use crate::node::{Halt, Modification, NodeError, Outcome, Progress};

/// What came of it at once: an answer, or an entry that is waited for.
type AtOnce<'c> = Result<Outcome, Pending<'c>>;

enum Pending<'c> {
    Failed(OpError),
    Awaited(Awaited<'c>),
}

impl Cluster {
    /// Executes a modification, in the order of calls. It is never given up half-way: it is done, or nothing is.
    pub async fn modify(&self, tid: ModifyTid, mut modification: Modification<'_>) -> Result<Outcome, OpError> {
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

    /// Executes a modification on all that can do so at once, and puts it behind what the others lag by.
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
                // What is bad on the way to it is mended first.
                Err(Halt::Needs(_) | Halt::Full | Halt::Busy | Halt::Lost | Halt::Failed(_)) => waiting.insert(index),
            }
        }
        if waiting.is_empty() {
            return self.agree_on(&answers);
        }
        self.put_off(tid, modification, answers, waiting)
    }

    /// Makes one answer of those of all.
    fn agree_on(&self, answers: &Answers<Result<Outcome, NodeError>>) -> AtOnce<'static> {
        let agreed = agree(answers, &self.assent.electorate());
        self.part_with(&agreed.leave);
        agreed.answer.unwrap_or_else(|| Err(self.suspend())).map_err(Pending::Failed)
    }

    /// Puts a modification into the backlogs of those that can't execute it now. If a quorum of the others has, that is the
    /// answer.
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
            // They had no memory for it.
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
                // Nobody executes it, for want of memory: those that haven't say so.
                Err(_) => awaited.waiting().iter().for_each(|index| self.give_up(index, NodeError::NoMemory)),
            }
        }
    }
}

/// True for damage to what is stored, of which another node may have a good copy.
fn is_local(error: NodeError) -> bool {
    matches!(error, NodeError::Fault(fault) if fault.bad_block().is_some())
}
