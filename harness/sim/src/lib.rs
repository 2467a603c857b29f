//! The simulator: whole clusters on simulated disks, in virtual time, with everything that can go wrong.
//!
//! A run is a function of its seed: which disks there are, what clients do, which faults strike when, when the power goes.
//! Everything read is compared with a model of the filesystem; after a crash, everything acknowledged before it must be there. At
//! the end every disk is read alone.
//!
//! The files, from the bottom up; those of one line import nothing from the lines below:
//! - the basis of a run: `host` (time, power, random numbers), `executor`, `medium` and `device` (disks), `nodes` (disks as
//!   nodes, made and written offline), `faults`, `sim_workers`;
//! - what is asked of it, and what came of it: `settings`, `plan`, `tally`, and `chronicle`, in which everything is;
//! - what must be there, in models of hammer2-model: `reading`, `history`, `snapshots`, and `group`, a cluster with all of these;
//!   `states` of nodes;
//! - `world`, in which a run has its disks and clusters, and `founding`, which makes one;
//! - a mount: `watching`, `mounting`, `served`, then `session`, in which `clients` work, who do what is in
//!   `administering`, `inserting`, `members` and `resuming`; `keeping` beside them, and `working`, which puts these together;
//! - faults between two mounts, which must do no harm: `forged`, `fork`, `halves`, `minority`, `rewound`, `rivals`
//!   with `silent`, `spoiled`; `marks` tell histories apart;
//! - the run: `rounds` of mounts, `ending` with `alone`, `inquest`, `run`; `shrink` makes a failing run smaller.
//!
//! Besides `hammer2-sim` itself, only tests use this library. It is the only user of the core that can leave out a rule of the
//! protocol: the package in `unsound-core` compiles that core.
#![forbid(unsafe_code)]

mod administering;
mod alone;
mod chronicle;
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
mod mounting;
mod nodes;
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
mod sim_workers;
mod snapshots;
mod spoiled;
mod states;
mod tally;
mod watching;
mod working;
mod world;

pub use chronicle::{ClusterBegun, Entry, NodeState, What, first_wrong, parting};
pub use run::{Run, run, run_told};
pub use settings::{Rule, Settings};
pub use shrink::shrink;
pub use tally::{Counts, Tally};
