//! The scenarios, by name.

mod content;
mod errors;
mod power;
mod pull;
mod remote;
mod space;
mod waiting;

use std::error::Error;

use crate::settings::Settings;

/// A fault of disks, and what must follow.
pub(crate) struct Scenario {
    pub(crate) name: &'static str,
    pub(crate) run: fn(&Settings) -> Result<(), Box<dyn Error>>,
}

pub(crate) const ALL: &[Scenario] = &[
    Scenario { name: "read-error", run: errors::read_error },
    Scenario { name: "write-error", run: errors::write_error },
    Scenario { name: "flush-error", run: errors::flush_error },
    Scenario { name: "hang", run: waiting::hang },
    Scenario { name: "slow", run: waiting::slow },
    Scenario { name: "pull-return", run: pull::pull_return },
    Scenario { name: "nbd-loss", run: remote::nbd_loss },
    Scenario { name: "bit-flip", run: content::bit_flip },
    Scenario { name: "power-cut", run: power::power_cut },
    Scenario { name: "disk-full", run: space::disk_full },
    Scenario { name: "blank-replace", run: pull::blank_replace },
    Scenario { name: "two-at-once", run: errors::two_at_once },
];

/// The scenario that `scripts/boot` shows.
pub(crate) const DEMONSTRATION: Scenario = Scenario { name: "demonstration", run: pull::demonstration };

/// The size of each disk, unless a scenario wants another.
const DISK_BYTES: u64 = 1 << 30;

/// How long a node may take to answer, in milliseconds. An emulated machine on a busy host is slow by itself.
const DEADLINE: u32 = 2000;

/// Fails unless the condition holds.
fn ensure(holds: bool, what: &str) -> Result<(), Box<dyn Error>> {
    if holds { Ok(()) } else { Err(what.into()) }
}
