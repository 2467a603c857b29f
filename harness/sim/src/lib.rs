//! The simulator: whole clusters on simulated disks, in virtual time, with everything that goes wrong.
//!
//! A run is a function of its seed: which disks there are, what clients do, which faults strike when, when the power goes. What
//! is read is compared with a model of the filesystem; what must be there after a crash is what was acknowledged before it. At
//! the end every disk is read alone.
//!
//! Beside `hammer2-sim`, which is made of it, only tests use this library. It is the one user of the core that can leave out a
//! rule of the protocol: the core is compiled for it by the package in `unsound-core`.
#![forbid(unsafe_code)]

mod clients;
#[cfg(test)]
mod cut_replacement;
mod device;
mod ending;
mod executor;
mod faults;
mod forged;
mod fork;
mod group;
mod halves;
mod history;
mod host;
mod inquest;
mod inserting;
mod keeping;
mod medium;
mod members;
mod model;
mod mounting;
mod nodes;
mod plan;
mod reading;
mod resuming;
mod rewound;
mod rivals;
mod rounds;
mod settings;
mod shrink;
mod silent;
mod snapshots;
mod spoiled;
mod tally;
mod world;

pub use settings::{Ingredient, Settings};
pub use shrink::shrink;
pub use tally::{Counts, Tally};

use world::World;

/// What came of one run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    /// What happened.
    pub tally: Tally,
    /// What was wrong, if anything was.
    pub violation: Option<String>,
}

/// Runs one seed.
pub fn run(seed: u64, settings: &Settings) -> Run {
    let (mut tally, violation) = match World::new(seed, settings) {
        Ok(world) => {
            let violation = world.rounds().and_then(|()| world.end()).err();
            world.tally.borrow_mut().trace_hash = world.host.trace();
            if violation.is_some() {
                world.hold_inquest();
            }
            (world.tally.take(), violation)
        }
        Err(violation) => (Tally::default(), Some(violation)),
    };
    tally.seeds = 1;
    tally.violations = u64::from(violation.is_some());
    Run { tally, violation }
}
