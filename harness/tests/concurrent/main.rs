//! Many at once on one filesystem: readers in order and at random, writers, cutters, syncs, on devices that complete requests in
//! any order, hold few at a time, and sometimes don't answer for long. Time is virtual, and tasks run only when something woke
//! them: a request that nobody looks at, or a wake that is lost, is a run that never ends.
//!
//! `H2_SEED` chooses the first of the runs and `H2_RUNS` how many there are; `HAMMER2_FULL` makes them many more; `H2_MINUTES`
//! goes on with further seeds for that long.

mod content;
mod load;

use std::env;
use std::time::{Duration, Instant};

use load::Run;

fn number(name: &str) -> Option<u64> {
    env::var(name).ok().and_then(|value| value.parse().ok())
}

#[test]
fn many_at_once_on_devices_that_answer_in_any_order() {
    let first = number("H2_SEED").unwrap_or(1);
    let usual = if env::var_os("HAMMER2_FULL").is_some() { 3000 } else { 150 };
    let runs = number("H2_RUNS").unwrap_or(usual);
    let until = number("H2_MINUTES").map(|minutes| Instant::now() + Duration::from_secs(60 * minutes));
    let mut seed = first;
    while until.map_or(seed < first + runs, |until| Instant::now() < until) {
        Run::new(seed).perform();
        seed += 1;
    }
    println!("seeds {first} to {}", seed - 1);
}
