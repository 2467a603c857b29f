//! Seeds, run on several threads.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::num::NonZero;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc;
use std::thread;

use hammer2_sim::{Entry, Run, Settings};

thread_local! {
    /// The seed that this thread is running.
    static SEED: Cell<u64> = const { Cell::new(0) };
}

/// The seed that this thread is running.
pub(crate) fn current() -> u64 {
    SEED.get()
}

/// One run at a time for each CPU.
pub(crate) fn usual_jobs() -> NonZero<usize> {
    thread::available_parallelism().unwrap_or(NonZero::<usize>::MIN)
}

/// Runs one seed, and returns its events, too.
pub(crate) fn run_told(seed: u64, settings: &Settings) -> (Run, Vec<Entry>) {
    SEED.set(seed);
    hammer2_sim::run_told(seed, settings)
}

/// Runs so many seeds and passes the results on in the seeds' order, until `take` has enough.
pub(crate) fn run_each(
    start: u64,
    seeds: u64,
    jobs: NonZero<usize>,
    settings: &Settings,
    mut take: impl FnMut(u64, Run) -> bool,
) {
    let (next, stop) = (AtomicU64::new(0), AtomicBool::new(false));
    let (sender, results) = mpsc::sync_channel::<(u64, Run)>(jobs.get() * 4);
    thread::scope(|scope| {
        for _ in 0..jobs.get() {
            let sender = sender.clone();
            let (next, stop) = (&next, &stop);
            scope.spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= seeds {
                        return;
                    }
                    let seed = start.wrapping_add(number);
                    SEED.set(seed);
                    let run = hammer2_sim::run(seed, settings);
                    if sender.send((number, run)).is_err() {
                        return;
                    }
                }
            });
        }
        drop(sender);
        let mut waiting = BTreeMap::new();
        let mut wanted = 0;
        'all: for (number, run) in results {
            waiting.insert(number, run);
            while let Some(run) = waiting.remove(&wanted) {
                let goes_on = take(start.wrapping_add(wanted), run);
                wanted += 1;
                if !goes_on {
                    stop.store(true, Ordering::Relaxed);
                    break 'all;
                }
            }
        }
    });
}
