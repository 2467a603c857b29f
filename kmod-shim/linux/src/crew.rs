//! The tasks that carry out requests, one after the other.
//!
//! A task takes more than 16 KiB, and a kernel that clears the memory it lends would do so for each request. So a number of tasks
//! stay when they have nothing to do.

use core::cell::RefCell;
use core::future::poll_fn;
use core::task::{Poll, Waker};

use crate::mailbox::{Begun, Call};

/// The number of tasks that stay.
const KEPT: usize = 8;

/// A request that a task carries out, with what keeps the mount from ending meanwhile.
pub(crate) struct Job<'m> {
    pub(crate) call: Call,
    pub(crate) begun: Begun<'m>,
}

/// The place where an idle task waits.
enum Place<'m> {
    Free,
    Waiting(Waker),
    Handed(Job<'m>),
}

/// Idle tasks.
pub(crate) struct Crew<'m>(RefCell<[Place<'m>; KEPT]>);

impl<'m> Crew<'m> {
    pub(crate) fn new() -> Self {
        Self(RefCell::new([const { Place::Free }; KEPT]))
    }

    /// Gives a job to an idle task; if there is none, returns it.
    pub(crate) fn hand(&self, job: Job<'m>) -> Option<Job<'m>> {
        let mut places = self.0.borrow_mut();
        let Some(place) = places.iter_mut().find(|place| matches!(place, Place::Waiting(_))) else { return Some(job) };
        if let Place::Waiting(waker) = core::mem::replace(place, Place::Handed(job)) {
            waker.wake();
        }
        None
    }

    /// Waits for the next job of an idle task; none when enough others wait for one.
    pub(crate) async fn next(&self) -> Option<Job<'m>> {
        let mut mine = None;
        poll_fn(|cx| {
            let mut places = self.0.borrow_mut();
            let Some(index) = mine.or_else(|| places.iter().position(|place| matches!(place, Place::Free))) else {
                return Poll::Ready(None);
            };
            mine = Some(index);
            match core::mem::replace(&mut places[index], Place::Free) {
                Place::Handed(job) => Poll::Ready(Some(job)),
                Place::Free | Place::Waiting(_) => {
                    places[index] = Place::Waiting(cx.waker().clone());
                    Poll::Pending
                }
            }
        })
        .await
    }
}
