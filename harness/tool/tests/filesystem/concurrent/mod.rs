//! Many at once on one filesystem: readers in order and at random, writers, cutters, syncs, on devices that complete requests in
//! any order, hold few at a time, and sometimes don't answer for long. Time is virtual, and tasks run only when something woke
//! them: a request that nobody looks at, or a wake that is lost, is a run that never ends.
//!
//! `H2_SEED` chooses the first of the runs and `H2_RUNS` how many there are; `HAMMER2_FULL` makes them many more; `H2_MINUTES`
//! goes on with further seeds for that long.

mod content;
mod load;

use super::runs;
use load::Run;

#[test]
fn many_at_once_on_devices_that_answer_in_any_order() {
    runs::for_each_seed(150, 3000, |seed| Run::new(seed).perform());
}

#[test]
fn a_block_is_read_as_it_was_written_while_a_sync_makes_it_of_pieces() {
    runs::for_each_seed(100, 1000, |seed| Run::new(seed).read_what_is_stored_meanwhile());
}
