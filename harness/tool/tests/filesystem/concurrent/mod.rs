//! Many tasks at once on one filesystem: readers in order and at random, writers, truncations, syncs, on devices that complete
//! requests in any order, hold few at a time, and sometimes don't answer for long. Time is virtual, and tasks run only when
//! something woke them: with a request that nobody looks at, or a lost wake, the run never ends.
//! `H2_SEED` chooses the first run and `H2_RUNS` the number of runs; `HAMMER2_FULL` makes many more; `H2_MINUTES` goes on with
//! further seeds for that long.

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
