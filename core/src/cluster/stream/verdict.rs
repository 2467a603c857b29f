//! The cluster's decisions: judging entries by the answers of members.

use super::{Position, Verdict};
use crate::cluster::agree::{Said, agree, reason};
use crate::cluster::join::Answers;
use crate::cluster::vote::NodeSet;
use crate::cluster::{Cluster, NodeFault, NodeIndex, Outcome, Rule};
use crate::node::NodeError;

impl Cluster {
    /// Decides on an entry, if enough members have answered or no other will.
    pub(super) fn judge(&self, position: Position) {
        let (answers, is_commit) = {
            let mut books = self.stream.books.borrow_mut();
            let Some(entry) = books.get(position).filter(|entry| entry.verdict == Verdict::Open) else { return };
            (entry.answers.clone(), entry.is_commit())
        };
        let electorate = self.assent.electorate();
        let verdict = if is_commit {
            let durable: NodeSet =
                answers.iter().filter(|(_, answer)| answer.is_ok()).map(|(index, _)| *index).collect();
            let may_be = durable.union(self.stream.may_answer(position).intersection(self.in_sync()));
            let is_enough = electorate.has_quorum(durable) || !self.has(Rule::Quorum) && !durable.is_empty();
            match (is_enough, electorate.has_quorum(may_be)) {
                (true, _) => Verdict::Agreed(Said::Value(Outcome::Done)),
                (false, false) => Verdict::None,
                (false, true) => return,
            }
        } else {
            let agreed = agree(&answers, &electorate);
            if let (Some(fault), true) = (unreadable(&answers), self.stream.may_answer(position).is_empty()) {
                return self.settle_on(position, Verdict::Unreadable(fault));
            }
            let is_enough = agreed.is_by_quorum || !self.has(Rule::Quorum) && !answers.is_empty();
            if !is_enough && !self.stream.may_answer(position).is_empty() {
                return;
            }
            self.part_with(&agreed.leave);
            agreed.said.map_or(Verdict::None, Verdict::Agreed)
        };
        self.settle_on(position, verdict);
    }

    fn settle_on(&self, position: Position, verdict: Verdict) {
        if let Some(entry) = self.stream.books.borrow_mut().get(position) {
            entry.verdict = verdict;
        }
        self.stream.books.borrow_mut().trim();
        self.stream.changed.wake_all();
    }

    /// Judges all open entries again after a member left, which may decide them.
    pub(in crate::cluster) fn judge_all(&self) {
        for position in self.stream.open() {
            self.judge(position);
        }
    }

    /// Notes a lagging member's answer and compares it with what was agreed.
    pub(super) fn note_answer(&self, index: NodeIndex, answer: Result<Outcome, NodeError>) {
        match self.stream.note_answer(index, answer) {
            Some((position, Verdict::Open)) => self.judge(position),
            Some((_, Verdict::Agreed(said))) => {
                if let Some(why) = reason(&answer, Some(said)) {
                    self.part_with(&[(index, why)]);
                }
            }
            Some((_, Verdict::Unreadable(_) | Verdict::None)) | None => {}
        }
        self.stream.changed.wake_all();
    }
}

/// The fault that all members met that should have executed something, if none has executed it.
fn unreadable(answers: &Answers<Result<Outcome, NodeError>>) -> Option<NodeFault> {
    let mut faults = answers.iter().map(|(_, answer)| match answer {
        Err(NodeError::Fault(fault)) => fault.bad_block().map(|_| *fault),
        _ => None,
    });
    let first = faults.next()??;
    faults.all(|fault| fault.is_some()).then_some(first)
}
