//! A queue of jobs that aren't requests (orders, and the work of signals) for the thread that serves the mount. Posting a job
//! never waits.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};

use super::inside::{Serving, Work};

/// Something for the server to do.
pub(super) type Job = Box<dyn FnOnce(Serving) -> Work + Send>;

/// Jobs from any thread.
#[derive(Default)]
pub(super) struct Mailbox {
    state: Mutex<Posted>,
}

#[derive(Default)]
struct Posted {
    jobs: VecDeque<Job>,
    closed: bool,
    waiting: Option<Waker>,
}

impl Mailbox {
    /// Posts a job. Once the mailbox is closed, the job is dropped instead.
    pub(super) fn post(&self, job: Job) {
        let mut state = self.lock();
        if state.closed {
            return;
        }
        state.jobs.push_back(job);
        wake(state);
    }

    /// Closes the mailbox: no more jobs come.
    pub(super) fn close(&self) {
        let mut state = self.lock();
        state.closed = true;
        wake(state);
    }

    /// True when the mailbox is closed.
    pub(super) fn is_closed(&self) -> bool {
        self.lock().closed
    }

    /// The next job; none when it is closed and empty.
    pub(super) async fn next(&self) -> Option<Job> {
        poll_fn(|cx| {
            let mut state = self.lock();
            match state.jobs.pop_front() {
                Some(job) => Poll::Ready(Some(job)),
                None if state.closed => Poll::Ready(None),
                None => {
                    state.waiting = Some(cx.waker().clone());
                    Poll::Pending
                }
            }
        })
        .await
    }

    fn lock(&self) -> MutexGuard<'_, Posted> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Wakes the waiting task, after unlocking, so that it doesn't have to wait for the lock.
fn wake(mut state: MutexGuard<'_, Posted>) {
    let waiting = state.waiting.take();
    drop(state);
    waiting.into_iter().for_each(Waker::wake);
}
