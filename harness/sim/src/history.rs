//! The states that a mount may find: none older than what was acknowledged.
//!
//! A sync may share the commit of another, and be told of it when more has been done already. What is certain is that everything
//! done before it was called is durable; so every state from there on may be found.

use crate::model::Model;
use crate::reading::difference;

/// What was done, as far as it may be found.
pub(crate) struct History {
    /// The states since the last that is certainly durable, and that one.
    states: Vec<Model>,
    /// How many there were before.
    forgotten: usize,
    /// What there is instead of the last if a change that failed was done in part.
    in_part: Vec<Model>,
}

/// A moment in a history.
#[derive(Clone, Copy)]
pub(crate) struct Moment(usize);

impl History {
    pub(crate) fn new(start: Model) -> Self {
        Self { states: vec![start], forgotten: 0, in_part: Vec::new() }
    }

    /// Something was changed.
    pub(crate) fn changed(&mut self, state: &Model) {
        self.states.push(state.clone());
    }

    /// A change failed that may have been done in part: this is what is there then.
    pub(crate) fn changed_in_part(&mut self, state: Model) {
        self.in_part.push(state);
    }

    /// What has been done up to now.
    pub(crate) fn now(&self) -> Moment {
        Moment(self.forgotten + self.states.len() - 1)
    }

    /// What had been done up to a moment is durable: no earlier state may ever be found again.
    pub(crate) fn acked(&mut self, moment: Moment) {
        let before = moment.0.saturating_sub(self.forgotten);
        self.states.drain(..before);
        self.forgotten += before;
    }

    /// This state was found and is durable: all others are over.
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
