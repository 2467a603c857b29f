//! The simulator: whole clusters on simulated disks, in virtual time, with everything that goes wrong.
//!
//! A run is a function of its seed: which disks there are, what clients do, which faults strike when, when the power goes. What
//! is read is compared with a model of the filesystem; what must be there after a crash is what was acknowledged before it. At
//! the end every disk is read alone.
//!
//! Beside `hammer2-sim`, which is made of it, only tests use this library. It is the one user of the core that can leave out a
//! rule of the protocol: the core is compiled for it by the package in `unsound-core`.
#![forbid(unsafe_code)]

mod administering;
mod alone;
mod clients;
#[cfg(test)]
mod cut_replacement;
mod device;
mod ending;
mod executor;
mod faults;
mod forged;
mod fork;
mod founding;
mod group;
mod halves;
mod history;
mod host;
mod inquest;
mod inserting;
mod keeping;
mod marks;
mod medium;
mod members;
mod minority;
mod model;
mod mounting;
mod nodes;
mod partial;
mod plan;
mod reading;
mod resuming;
mod rewound;
mod rivals;
mod rounds;
mod run;
mod served;
mod session;
mod settings;
mod shrink;
mod silent;
mod snapshots;
mod spoiled;
mod states;
mod tally;
mod working;
mod world;

pub use run::{Run, run};
pub use settings::{Rule, Settings};
pub use shrink::shrink;
pub use tally::{Counts, Tally};
