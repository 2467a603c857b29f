//! The states that a mount may find: none older than the last that was acknowledged.

use super::model::Model;

/// What was committed, as far as the clients know.
pub(super) struct History {
    acked: Model,
    /// What may have been committed since, the newest last.
    attempted: Vec<Model>,
    /// Every state that ever may have been committed.
    all: Vec<Model>,
}

impl History {
    pub(super) fn new(start: Model) -> Self {
        Self { acked: start.clone(), attempted: Vec::new(), all: vec![start] }
    }

    /// A commit of this state was begun, and nobody knows what became of it.
    pub(super) fn attempted(&mut self, state: &Model) {
        if self.attempted.last() != Some(state) {
            self.attempted.push(state.clone());
            self.all.push(state.clone());
        }
    }

    /// This state is durable: nothing before it may ever be found again.
    pub(super) fn acked(&mut self, state: &Model) {
        if self.acked != *state {
            self.acked = state.clone();
            self.all.push(state.clone());
        }
        self.attempted.clear();
    }

    pub(super) fn last_acked(&self) -> &Model {
        &self.acked
    }

    /// True for a state that may be found by a quorum.
    pub(super) fn may_be_served(&self, state: &Model) -> bool {
        self.acked == *state || self.attempted.contains(state)
    }

    /// True for a state that may be found on one disk.
    pub(super) fn ever_was(&self, state: &Model) -> bool {
        self.all.iter().rev().any(|known| known == state)
    }
}
