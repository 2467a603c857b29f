//! Full volumes with several users at once: sparse files are written at random, truncated, linked, removed, and kept by
//! snapshots, with and without compression. Accepted content is there, every sync succeeds, and removing is always possible.
//! `H2_SEED` chooses the first run and `H2_RUNS` the number of runs; `HAMMER2_FULL` makes many more; `H2_MINUTES` goes on with
//! further seeds for that long.

mod load;
mod sparse;
mod volume;

use super::runs;

#[test]
fn nothing_accepted_is_lost_for_want_of_room() {
    runs::for_each_seed(8, 400, load::run_seed);
}
