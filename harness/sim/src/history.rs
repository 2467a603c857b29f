//! The states that a mount may find: none older than the last acknowledged one.
//! A sync may share the commit of another, and return after more changes have been made. It is certain only that everything done
//! before it was called is durable; so every state from there on may be found.

use hammer2_model::Model;

use crate::reading::difference;

/// The states that may be found.
pub(crate) struct History {
    /// The last state that is certainly durable, and those since.
    states: Vec<Model>,
    /// How many states there were before.
    forgotten: usize,
    /// The possible states in place of the last if a failed change was done in part.
    in_part: Vec<Model>,
}

/// A moment in a history.
#[derive(Clone, Copy)]
pub(crate) struct Moment(usize);

impl History {
    pub(crate) fn new(start: Model) -> Self {
        Self { states: vec![start], forgotten: 0, in_part: Vec::new() }
    }

    /// Notes a change.
    pub(crate) fn changed(&mut self, state: &Model) {
        self.states.push(state.clone());
    }

    /// Notes a failed change that may have been done in part: this is the state in that case.
    pub(crate) fn changed_in_part(&mut self, state: Model) {
        self.in_part.push(state);
    }

    /// The present moment.
    pub(crate) fn now(&self) -> Moment {
        Moment(self.forgotten + self.states.len() - 1)
    }

    /// Notes that everything up to a moment is durable: no earlier state may ever be found again.
    pub(crate) fn acked(&mut self, moment: Moment) {
        let before = moment.0.saturating_sub(self.forgotten);
        self.states.drain(..before);
        self.forgotten += before;
    }

    /// Notes that this state was found and is durable: all others are impossible now.
    pub(crate) fn found(&mut self, state: &Model) {
        self.forgotten += self.states.len();
        self.states = vec![state.clone()];
        self.in_part.clear();
    }

    pub(crate) fn last_acked(&self) -> &Model {
        &self.states[0]
    }

    /// Tells how something differs from every state that may be found.
    pub(crate) fn tell_differences(&self, what: &str, found: &Model) {
        for (number, state) in self.states.iter().enumerate() {
            log::info!("{what}, beside state {number}: {}", difference(found, state));
        }
    }

    /// True for a state that may be found by a quorum.
    pub(crate) fn may_be_served(&self, state: &Model) -> bool {
        self.states.contains(state) || self.in_part.contains(state)
    }
}
