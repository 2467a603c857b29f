//! Volumes without room, under several at once who don't care: sparse files written at random, cut, linked, removed, copied by
//! snapshots, with and without compression. What was accepted is there, every sync succeeds, and removing is always possible.
//!
//! `H2_SEED` chooses the first of the runs and `H2_RUNS` how many there are; `HAMMER2_FULL` makes them many more; `H2_MINUTES`
//! goes on with further seeds for that long.

mod load;
mod sparse;
mod volume;

use super::runs;

#[test]
fn nothing_accepted_is_lost_for_want_of_room() {
    runs::for_each_seed(8, 400, load::run_seed);
}
