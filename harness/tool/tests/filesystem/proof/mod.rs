//! The claims about reading, shown on whole images: the effects of damage and of a lack of memory, and how much is read.
//!
//! Images are made in memory, one for each test. Everything follows from seeds, which are printed; `HAMMER2_SEED` chooses
//! another one. In the release profile mutations and sweep take about a minute each, the rest seconds; without optimisation they
//! do a fraction of the work. `HAMMER2_FULL=1` makes the sweep flip a bit of every byte, which takes about an hour.

mod damage;
mod exhaustion;
mod inventory;
mod mutations;
mod reads;
mod subject;
mod sweep;
