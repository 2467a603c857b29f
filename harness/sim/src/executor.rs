//! Running futures in virtual time.
//! A future is polled until nothing wakes it any more; then time goes on to the next alarm. Nothing depends on the machine that
//! runs the simulation, so the same seed is always the same run.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use crate::host::Host;

/// Why a future wasn't run to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stopped {
    /// The power went.
    PowerCut,
    /// Nothing can happen any more, or the run has taken too long.
    Hung,
}

/// The longest virtual time of a session.
const LIMIT_NANOSECONDS: u64 = 3_600_000_000_000;
/// The most polls without progress of time.
const MAX_POLLS_AT_ONCE: u32 = 1_000_000;

#[derive(Default)]
struct Flag(AtomicBool);

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Runs a future to its end, or until the power goes.
pub(crate) fn run<T>(host: &Host, future: impl Future<Output = T>) -> Result<T, Stopped> {
    let mut future = pin!(future);
    let woken = Arc::new(Flag::default());
    let waker = Waker::from(Arc::clone(&woken));
    let mut cx = Context::from_waker(&waker);
    let limit = host.nanoseconds().saturating_add(LIMIT_NANOSECONDS);
    let mut polls = 0;
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut cx) {
            return Ok(output);
        }
        if !host.has_power() {
            return Err(Stopped::PowerCut);
        }
        polls += 1;
        if woken.0.swap(false, Ordering::Relaxed) && polls < MAX_POLLS_AT_ONCE {
            continue;
        }
        polls = 0;
        if !host.advance() || host.nanoseconds() > limit {
            log::info!("hung at {} s", host.nanoseconds() / 1_000_000_000);
            return Err(Stopped::Hung);
        }
    }
}

/// Waits for so many nanoseconds.
pub(crate) async fn sleep(host: &Host, nanoseconds: u64) {
    let until = host.nanoseconds() + nanoseconds;
    poll_fn(|_| {
        if host.nanoseconds() >= until {
            return Poll::Ready(());
        }
        host.alarm(until);
        Poll::Pending
    })
    .await;
}

/// Runs futures beside each other until all are done.
pub(crate) async fn all(mut futures: Vec<Pin<Box<dyn Future<Output = ()> + '_>>>) {
    poll_fn(|cx| {
        futures.retain_mut(|future| future.as_mut().poll(cx).is_pending());
        if futures.is_empty() { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
}
