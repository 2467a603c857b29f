//! The runs of a generator, as set by the environment.

use std::env;
use std::time::{Duration, Instant};

fn number(name: &str) -> Option<u64> {
    env::var(name).ok().and_then(|value| value.parse().ok())
}

/// The first seed.
pub(crate) fn first_seed() -> u64 {
    number("H2_SEED").unwrap_or(1)
}

/// `full` in the long form of the tests, else `usual`.
pub(crate) fn usual_or_full<T>(usual: T, full: T) -> T {
    if env::var_os("HAMMER2_FULL").is_some() { full } else { usual }
}

/// For how long to run, if that is set.
pub(crate) fn duration() -> Option<Duration> {
    number("H2_MINUTES").map(|minutes| Duration::from_secs(60 * minutes))
}

/// Makes a run for each seed, from the first on: so many runs, or for as long as is set.
pub(crate) fn for_each_seed(usual: u64, full: u64, mut run: impl FnMut(u64)) {
    let first = first_seed();
    let count = number("H2_RUNS").unwrap_or(usual_or_full(usual, full));
    let until = duration().map(|duration| Instant::now() + duration);
    let mut seed = first;
    while until.map_or(seed < first + count, |until| Instant::now() < until) {
        run(seed);
        seed += 1;
    }
    println!("seeds {first} to {}", seed - 1);
}
