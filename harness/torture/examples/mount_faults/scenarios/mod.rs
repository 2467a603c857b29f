//! The scenarios, by name.

mod content;
mod errors;
mod power;
mod remote;
mod space;
mod waiting;

use std::error::Error;
use std::fmt;
use std::time::Duration;

use crate::Settings;

/// A fault of disks, and what must follow.
pub(crate) struct Scenario {
    pub(crate) name: &'static str,
    pub(crate) run: fn(&Settings) -> Result<Outcome, Box<dyn Error>>,
}

/// The end of a scenario that hasn't failed.
pub(crate) enum Outcome {
    /// It passed, with these observations.
    Passed(String),
    /// It can't be run here: this is missing.
    Skipped(&'static str),
}

pub(crate) const ALL: &[Scenario] = &[
    Scenario { name: "read-error", run: errors::read_error },
    Scenario { name: "write-error", run: errors::write_error },
    Scenario { name: "flush-error", run: errors::flush_error },
    Scenario { name: "hang", run: waiting::hang },
    Scenario { name: "slow", run: waiting::slow },
    Scenario { name: "pull-return", run: remote::pull_return },
    Scenario { name: "nbd-loss", run: remote::nbd_loss },
    Scenario { name: "bit-flip", run: content::bit_flip },
    Scenario { name: "power-cut", run: power::power_cut },
    Scenario { name: "disk-full", run: space::disk_full },
    Scenario { name: "blank-replace", run: remote::blank_replace },
    Scenario { name: "two-at-once", run: errors::two_at_once },
];

/// The size of each disk, unless a scenario wants another.
const DISK_BYTES: u64 = 512 << 20;

/// How long a disk may take to answer, in seconds.
const DEADLINE: [&str; 2] = ["--deadline", "2"];

/// Fails unless the condition holds.
fn ensure(holds: bool, what: &str) -> Result<(), Box<dyn Error>> {
    if holds { Ok(()) } else { Err(what.into()) }
}

/// The load's longest wait, and how long after mending the node was back.
struct Times {
    slowest: Duration,
    back: Duration,
}

impl fmt::Display for Times {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (slowest, back) = (self.slowest.as_secs_f32(), self.back.as_secs_f32());
        write!(f, "slowest change {slowest:.2} s, back {back:.1} s after mending")
    }
}
