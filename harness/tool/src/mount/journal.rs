//! The events of a mount, for questions, for followers, and for programs that are run for each event.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::sync::mpsc::Sender;

use hammer2_core::fs::TimeSource as _;
use hammer2_host::time_source::HostTime;

use super::hooks::Hooks;
use crate::admin::wire::Answer;
use crate::admin::{Event, EventKind};

/// Events that are remembered.
const REMEMBERED: usize = 1000;

/// The events of a mount.
pub(super) struct Journal {
    directory: String,
    label: String,
    past: RefCell<VecDeque<Event>>,
    count: Cell<u64>,
    followers: RefCell<Vec<Sender<Answer>>>,
    hooks: Option<Hooks>,
}

/// What an event is about.
#[derive(Default)]
pub(super) struct About {
    pub(super) disk: Option<String>,
    pub(super) fsid: Option<String>,
}

impl Journal {
    pub(super) fn new(directory: String, label: String, hooks: Option<Hooks>) -> Self {
        let (past, count, followers) = Default::default();
        Self { directory, label, past, count, followers, hooks }
    }

    /// The label of the PFS.
    pub(super) fn label(&self) -> &str {
        &self.label
    }

    /// Notes an event.
    pub(super) fn note(&self, kind: EventKind, About { disk, fsid }: About, text: impl ToString) {
        self.count.set(self.count.get() + 1);
        let event = Event {
            number: self.count.get(),
            time_us: HostTime.now().microseconds,
            kind,
            directory: self.directory.clone(),
            label: self.label.clone(),
            disk,
            fsid,
            text: text.to_string(),
        };
        self.followers.borrow_mut().retain(|follower| follower.send(Answer::Event(event.clone())).is_ok());
        if let Some(hooks) = &self.hooks {
            hooks.run(event.clone());
        }
        let mut past = self.past.borrow_mut();
        if past.len() == REMEMBERED {
            past.pop_front();
        }
        past.push_back(event);
    }

    /// Sends the remembered events, and those from here on.
    pub(super) fn tell(&self, past: bool, future: bool, sender: Sender<Answer>) {
        for event in self.past.borrow().iter().filter(|_| past) {
            // The follower may be gone.
            let _ = sender.send(Answer::Event(event.clone()));
        }
        if future {
            self.followers.borrow_mut().push(sender);
        } else {
            let _ = sender.send(Answer::told());
        }
    }

    /// Ends the journal: there are no more events.
    pub(super) fn end(&self) {
        for follower in self.followers.borrow_mut().drain(..) {
            let _ = follower.send(Answer::told());
        }
    }
}
