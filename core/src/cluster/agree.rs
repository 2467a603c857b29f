//! Making one answer of several: what a quorum of the voters said, and which nodes said otherwise.
//!
//! Nodes in sync execute the same commands on the same content, so an answer that differs is a fault of the node that gives it,
//! never an opinion to be weighed (protocol 2.4). When a quorum fails in the middle of a command, the nodes that are left and
//! agree have executed it: it is done there, and can be committed once others have come back and caught up.

use super::join::Answers;
use super::member::Ejection;
use super::vote::{Electorate, NodeSet};
use super::{MAX_NODES, NodeIndex, OpError};
use crate::node::NodeError;

/// What became of a command on several nodes.
pub(super) struct Agreed<T> {
    /// What a quorum answered or, when too many failed, what all remaining nodes answered; none if they contradict each other.
    pub(super) answer: Option<Result<T, OpError>>,
    /// The same answer, in the form that later answers are compared with.
    pub(super) said: Option<Said<T>>,
    /// True when a quorum has said it: it holds, whatever other nodes say.
    pub(super) is_by_quorum: bool,
    /// The nodes that must leave, and why.
    pub(super) leave: heapless::Vec<(NodeIndex, Ejection), MAX_NODES>,
}

/// An answer as it is compared. A fault is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Said<T> {
    Value(T),
    NoMemory,
    NoSpace,
}

impl<T: Copy> Said<T> {
    fn of(answer: Result<T, NodeError>) -> Option<Self> {
        match answer {
            Ok(value) => Some(Self::Value(value)),
            Err(NodeError::NoMemory) => Some(Self::NoMemory),
            Err(NodeError::NoSpace) => Some(Self::NoSpace),
            Err(NodeError::Fault(_)) => None,
        }
    }

    /// Turns it into the answer for the caller.
    pub(super) fn answer(self) -> Result<T, OpError> {
        match self {
            Self::Value(value) => Ok(value),
            Self::NoMemory => Err(OpError::NoMemory),
            Self::NoSpace => Err(OpError::NoSpace),
        }
    }
}

/// Makes one answer of the answers of all nodes in sync. Only those of voters count.
pub(super) fn agree<T: Copy + PartialEq>(
    answers: &Answers<Result<T, NodeError>>,
    electorate: &Electorate,
) -> Agreed<T> {
    let saying = |candidate: Said<T>| -> NodeSet {
        let same = answers.iter().filter(|(_, answer)| Said::of(*answer) == Some(candidate));
        same.map(|(index, _)| *index).collect()
    };
    let mut candidates = answers.iter().filter_map(|(_, answer)| Said::of(*answer));
    let by_quorum = candidates.find(|candidate| electorate.has_quorum(saying(*candidate)));
    let winner = by_quorum.or_else(|| remaining(answers, electorate));
    let leave = answers.iter().filter_map(|(index, answer)| Some((*index, reason(answer, winner)?))).collect();
    Agreed { answer: winner.map(Said::answer), said: winner, is_by_quorum: by_quorum.is_some(), leave }
}

/// The answer on which all remaining nodes agree though they are no quorum. A node without room or memory has executed nothing,
/// so its answer isn't counted; nodes without a vote count only when no voter remains.
fn remaining<T: Copy + PartialEq>(answers: &Answers<Result<T, NodeError>>, electorate: &Electorate) -> Option<Said<T>> {
    let votes = |index: &NodeIndex| electorate.nodes().contains(*index);
    let are_voters_left = answers.iter().any(|(index, answer)| votes(index) && answer.is_ok());
    let counts = |index: &NodeIndex| votes(index) || !are_voters_left;
    let mut values = answers.iter().filter(|(index, answer)| counts(index) && answer.is_ok());
    let first = Said::of(values.next()?.1)?;
    values.all(|(_, answer)| Said::of(*answer) == Some(first)).then_some(first)
}

/// Why a node that gave this answer must leave; none if it may stay.
pub(super) fn reason<T: Copy + PartialEq>(answer: &Result<T, NodeError>, winner: Option<Said<T>>) -> Option<Ejection> {
    match (answer, winner) {
        (Err(NodeError::Fault(fault)), _) => Some(Ejection::Fault(*fault)),
        (answer, Some(winner)) if Said::of(*answer) == Some(winner) => None,
        (_, None) => None,
        (Err(NodeError::NoMemory), _) => Some(Ejection::NoMemory),
        (Err(NodeError::NoSpace), _) => Some(Ejection::NoSpace),
        (Ok(_), _) => Some(Ejection::Dissent),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::node::{NodeFault, Outcome};

    const DONE: Result<Outcome, NodeError> = Ok(Outcome::Done);
    const EXISTS: Result<Outcome, NodeError> = Ok(Outcome::Exists);
    const FAULT: Result<Outcome, NodeError> = Err(NodeError::Fault(NodeFault::UnknownSlot));

    fn of_three(answers: [Result<Outcome, NodeError>; 3]) -> Agreed<Outcome> {
        let answers = answers.into_iter().enumerate().map(|(index, answer)| (NodeIndex(index as u8), answer)).collect();
        agree(&answers, &Electorate::of(NodeSet::first_nodes(3), 3))
    }

    #[test]
    fn a_minority_leaves() {
        let cases = [
            ([DONE, DONE, DONE], Some(Ok(Outcome::Done)), None),
            ([DONE, FAULT, DONE], Some(Ok(Outcome::Done)), Some((1, Ejection::Fault(NodeFault::UnknownSlot)))),
            ([EXISTS, DONE, DONE], Some(Ok(Outcome::Done)), Some((0, Ejection::Dissent))),
            ([DONE, DONE, Err(NodeError::NoSpace)], Some(Ok(Outcome::Done)), Some((2, Ejection::NoSpace))),
            ([Err(NodeError::NoMemory), DONE, DONE], Some(Ok(Outcome::Done)), Some((0, Ejection::NoMemory))),
            (
                [Err(NodeError::NoSpace), DONE, Err(NodeError::NoSpace)],
                Some(Err(OpError::NoSpace)),
                Some((1, Ejection::Dissent)),
            ),
            ([DONE, FAULT, EXISTS], None, Some((1, Ejection::Fault(NodeFault::UnknownSlot)))),
            // The remaining node has done it.
            ([FAULT, EXISTS, FAULT], Some(Ok(Outcome::Exists)), Some((0, Ejection::Fault(NodeFault::UnknownSlot)))),
            ([DONE, Err(NodeError::NoMemory), FAULT], Some(Ok(Outcome::Done)), Some((1, Ejection::NoMemory))),
            ([FAULT, FAULT, FAULT], None, Some((0, Ejection::Fault(NodeFault::UnknownSlot)))),
        ];
        for (answers, expected, leaves) in cases {
            let agreed = of_three(answers);
            assert_eq!(agreed.answer, expected, "{answers:?}");
            let leave = agreed.leave.first().map(|(index, why)| (index.0, *why));
            assert_eq!(leave, leaves, "{answers:?}");
        }
    }

    #[test]
    fn who_does_not_vote_does_not_count() {
        let answers = [DONE, EXISTS, EXISTS].into_iter().enumerate().map(|(i, answer)| (NodeIndex(i as u8), answer));
        let agreed = agree(&answers.collect(), &Electorate::of(NodeSet::first_nodes(1), 1));
        assert_eq!(agreed.answer, Some(Ok(Outcome::Done)));
        assert_eq!(agreed.leave.len(), 2, "slaves that answered otherwise leave");
        let answers = [FAULT, EXISTS, EXISTS].into_iter().enumerate().map(|(i, answer)| (NodeIndex(i as u8), answer));
        let agreed = agree(&answers.collect(), &Electorate::of(NodeSet::first_nodes(1), 1));
        assert_eq!(agreed.answer, Some(Ok(Outcome::Exists)), "slaves alone are left");
    }
}
