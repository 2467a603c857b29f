//! Asking nodes until one answers, without waiting for one that is slow.
//!
//! When a node hasn't answered within the *soft deadline*, it may go on, and the next node is asked too; the first verified
//! answer wins. A node that was outrun is asked last for a while. The keeper finds out whether its device is late for good.

use core::cell::RefCell;
use core::future::{Future, poll_fn};
use core::task::Poll;

use super::join::Together;
use super::stream::SOFT_DEADLINE;
use super::vote::NodeSet;
use super::{Cluster, Command, NodeIndex, Reply, Rule};
use crate::io::Duration;
use crate::memory::{NoMemory, aside};
use crate::node::{Driver, Halt, NodeError, Progress};

/// How long a node that was outrun is asked last.
const SLOW_FOR: Duration = Duration::from_secs(1);

/// A command that several nodes try to answer. Only an attempt fills its buffers, and a node whose work another node has
/// overwritten meanwhile starts again.
pub(super) struct Question<'c> {
    command: Command<'c>,
    progress: Progress,
    /// The node whose attempt `progress` describes.
    by: Option<NodeIndex>,
    /// What halted a node that began before it was asked.
    halted: Option<(NodeIndex, Halt)>,
}

impl<'c> Question<'c> {
    pub(super) fn new(command: Command<'c>) -> Self {
        Self { command, progress: Progress::default(), by: None, halted: None }
    }

    pub(super) fn command(&self) -> &Command<'c> {
        &self.command
    }

    /// Notes how far a node has come with the command; this node will be asked first.
    pub(super) fn begun_by(&mut self, node: NodeIndex, progress: Progress, halt: Halt) {
        (self.progress, self.by, self.halted) = (progress, Some(node), Some((node, halt)));
    }

    /// What halted this node, if it began before it was asked.
    fn take_halt(&mut self, node: NodeIndex) -> Option<Halt> {
        self.halted.take_if(|(by, _)| *by == node).map(|(_, halt)| halt)
    }

    /// Lets a node continue the command, or start it.
    fn turn_to(&mut self, node: NodeIndex) -> (&mut Command<'c>, &mut Progress) {
        if self.by.replace(node) != Some(node) {
            self.progress = Progress::default();
        }
        (&mut self.command, &mut self.progress)
    }

    /// Lets the next node start afresh, unless a node has begun that wasn't asked yet.
    fn begin(&mut self) {
        if self.halted.is_none() {
            self.by = None;
        }
    }
}

impl Cluster {
    /// Asks one node after another, each when those before it are slow. Returns the node that answered first, and its answer.
    /// `next` gets the nodes already asked and returns the next one, which it may come to know only later; the result is none if
    /// it knows of no node from the start.
    pub(super) async fn ask(
        &self,
        question: &RefCell<Question<'_>>,
        next: impl Fn(NodeSet) -> Option<NodeIndex>,
    ) -> Result<Option<(NodeIndex, Result<Reply, NodeError>)>, NoMemory> {
        let (mut together, mut asked) = (Together::new(self.heap), NodeSet::EMPTY);
        question.borrow_mut().begin();
        loop {
            if let Some(index) = next(asked) {
                together.add(index, || self.answer_of(index, question))?;
                asked.insert(index);
            } else if asked.is_empty() {
                return Ok(None);
            }
            let soft_deadline = self.clock().map(|clock| (clock, clock.now().after(SOFT_DEADLINE)));
            // The first answer wins with what it has filled in; a node that got on after it would fill that anew.
            let answer = poll_fn(|cx| match (together.poll_first(cx), soft_deadline) {
                (Poll::Ready(answer), _) => Poll::Ready(Some(answer)),
                (Poll::Pending, Some((clock, end))) => clock.expire(end, cx).map(|_| None),
                (Poll::Pending, None) => Poll::Pending,
            })
            .await;
            if let Some((who, answer)) = answer {
                asked.difference(NodeSet::only(who)).iter().for_each(|slow| self.note_slow(slow));
                return Ok(Some((who, answer)));
            }
        }
    }

    async fn answer_of(&self, index: NodeIndex, question: &RefCell<Question<'_>>) -> Result<Reply, NodeError> {
        let node = &self.member(index).node;
        let mut driver = Driver::new(node);
        let mut halted = question.borrow_mut().take_halt(index);
        loop {
            let halt = match halted.take() {
                Some(halt) => halt,
                None => {
                    let mut question = question.borrow_mut();
                    let (command, progress) = question.turn_to(index);
                    match node.attempt(command, progress) {
                        Ok(reply) => return Ok(reply),
                        Err(halt) => halt,
                    }
                }
            };
            if let Err(blocked) = driver.clear(halt).await {
                let mut question = question.borrow_mut();
                let (command, progress) = question.turn_to(index);
                blocked.pass(command, progress)?;
            }
        }
    }

    /// Returns a node's answer if it comes within the soft deadline; otherwise notes that the node is late and returns none.
    pub(super) async fn promptly<F: Future>(
        &self,
        index: NodeIndex,
        ask: impl FnOnce() -> F,
    ) -> Result<Option<F::Output>, NoMemory> {
        let mut answer = aside(self.heap, ask)?;
        let Some(clock) = self.clock() else { return Ok(Some(answer.await)) };
        let end = clock.now().after(SOFT_DEADLINE);
        let prompt = poll_fn(|cx| match answer.as_mut().poll(cx) {
            Poll::Ready(answer) => Poll::Ready(Some(answer)),
            Poll::Pending => clock.expire(end, cx).map(|_| None),
        });
        let answer = prompt.await;
        if answer.is_none() {
            self.note_slow(index);
        }
        Ok(answer)
    }

    /// Notes that a node was outrun.
    fn note_slow(&self, index: NodeIndex) {
        let until = self.clock().map(|clock| clock.now().after(SLOW_FOR));
        self.member(index).slow_until.set(until);
    }

    /// True for a node that has a backlog, or was outrun a moment ago.
    pub(super) fn is_slow(&self, index: NodeIndex) -> bool {
        if self.has(Rule::UpToDate) && self.stream.lagging().contains(index) {
            return true;
        }
        let until = self.member(index).slow_until.get();
        until.is_some_and(|until| self.clock().is_some_and(|clock| clock.now() < until))
    }
}
