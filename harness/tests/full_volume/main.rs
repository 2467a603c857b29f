//! Volumes without room, under several at once who don't care: sparse files written at random, cut, linked, removed, copied by
//! snapshots, with and without compression. What was accepted is there, every sync succeeds, and removing is always possible.
//!
//! `H2_SEED` chooses the first of the runs and `H2_RUNS` how many there are; `HAMMER2_FULL` makes them many more; `H2_MINUTES`
//! goes on with further seeds for that long.

mod load;
mod sparse;
mod volume;

use std::env;
use std::time::{Duration, Instant};

fn number(name: &str) -> Option<u64> {
    env::var(name).ok().and_then(|value| value.parse().ok())
}

#[test]
fn nothing_accepted_is_lost_for_want_of_room() {
    let first = number("H2_SEED").unwrap_or(1);
    let usual = if env::var_os("HAMMER2_FULL").is_some() { 400 } else { 8 };
    let runs = number("H2_RUNS").unwrap_or(usual);
    let until = number("H2_MINUTES").map(|minutes| Instant::now() + Duration::from_secs(60 * minutes));
    let mut seed = first;
    while until.map_or(seed < first + runs, |until| Instant::now() < until) {
        load::run_seed(seed);
        seed += 1;
    }
    println!("seeds {first} to {}", seed - 1);
}
