//! The tasks that do what is asked, one request after the other.
//!
//! A task takes more than 16 KiB, and a kernel that clears what it lends would do that for each request. So tasks stay when they
//! have nothing to do, up to a number.

use core::cell::RefCell;
use core::future::poll_fn;
use core::task::{Poll, Waker};

use crate::mailbox::{Begun, Call};

/// Tasks that stay.
const KEPT: usize = 8;

/// A request that a task has, with what keeps the mount from ending meanwhile.
pub(crate) struct Job<'m> {
    pub(crate) call: Call,
    pub(crate) begun: Begun<'m>,
}

/// Where an idle task waits.
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

    /// Gives a job to an idle task; without one, gives it back.
    pub(crate) fn hand(&self, job: Job<'m>) -> Option<Job<'m>> {
        let mut places = self.0.borrow_mut();
        let Some(place) = places.iter_mut().find(|place| matches!(place, Place::Waiting(_))) else { return Some(job) };
        if let Place::Waiting(waker) = core::mem::replace(place, Place::Handed(job)) {
            waker.wake();
        }
        None
    }

    /// The next job of a task that has nothing to do; none when enough others wait for one.
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
