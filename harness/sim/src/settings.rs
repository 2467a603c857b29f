//! The settings of a run besides its seed.

use crate::faults::FaultKind;
pub use hammer2_core::node::Rule;

/// Steps of clients in a run, unless it is cut short.
const STEPS: u64 = 320;

/// The settings of a run besides its seed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Nodes of the cluster; if not given, the seed decides.
    pub nodes: Option<usize>,
    /// Steps of clients, at least.
    pub steps: u64,
    /// Kinds of faults left out, by name.
    pub left_out: Vec<String>,
    /// The power may go.
    pub crashes: bool,
    /// The rule of the protocol to do without.
    pub without: Option<Rule>,
}

impl Default for Settings {
    fn default() -> Self {
        Self { nodes: None, steps: STEPS, left_out: Vec::new(), crashes: true, without: None }
    }
}

impl Settings {
    /// The faults that can be left out: those of devices, and those between two mounts.
    pub fn all_faults() -> impl Iterator<Item = &'static str> {
        FaultKind::ALL.iter().map(|kind| kind.name()).chain(BETWEEN)
    }

    pub(crate) fn has_fault(&self, name: &str) -> bool {
        self.left_out.iter().all(|left_out| left_out != name)
    }
}

/// Other faults, mostly between two mounts; and mounts with other processors, which are no fault.
pub(crate) const BETWEEN: [&str; 18] = [
    "absent",
    "swapped",
    "returned-old",
    "foreign-write",
    "forged",
    "cloned",
    "blank",
    "forked",
    "minority",
    "rewound",
    "spoiled",
    "copied-minority",
    "member-change",
    "halves",
    "inserted",
    "inserted-copy",
    "rivals",
    "workers",
];
