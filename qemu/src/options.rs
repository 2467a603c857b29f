//! The kernel command line: `mode=suite`, `mode=walk nodes=0,0,1`, `mode=power-cut seed=1 epochs=40`,
//! `mode=power-check seed=1 acknowledged=17`, `mode=cluster seed=1 deadline=2000` or `mode=cluster-check seed=1 acknowledged=17`.

use core::num::NonZeroU64;

use hammer2_core::io::{DiskOptions, Duration};

/// The most disks that can be assigned to nodes.
const MAX_DISKS: usize = 32;

/// What to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Run the self-tests. The disks are scratch: their content is lost.
    Suite,
    /// Read everything on the disks, write nothing.
    Walk,
    /// Run a workload on the volume on the first disk, until it is done or the power is cut.
    PowerCut,
    /// Check what a power cut has left on the first disk.
    PowerCheck,
    /// Run a workload on the cluster whose nodes are the disks, until the console ends it.
    Cluster,
    /// Check what a power cut has left on the cluster.
    ClusterCheck,
}

/// The options on the command line.
pub(crate) struct Options {
    pub(crate) mode: Mode,
    /// The number of the node each disk belongs to, in the order of the disks. Disks of the same number are the volumes
    /// of one node, in any order.
    pub(crate) nodes: heapless::Vec<u8, MAX_DISKS>,
    /// The seed of the workload's random numbers.
    pub(crate) seed: u64,
    /// The length of the workload.
    pub(crate) epochs: u64,
    /// The last epoch of the workload that was acknowledged.
    pub(crate) acknowledged: u64,
    /// The number of bytes that the console takes in a second.
    pub(crate) console_rate: Option<NonZeroU64>,
    /// How long a node of a cluster may take to answer.
    pub(crate) deadline: Duration,
}

impl Options {
    /// Parses a command line. `Err` is the word that isn't understood.
    pub(crate) fn parse(command_line: &str) -> Result<Self, &str> {
        let mut options = Self {
            mode: Mode::Suite,
            nodes: heapless::Vec::new(),
            seed: 1,
            epochs: 1,
            acknowledged: 0,
            console_rate: None,
            deadline: DiskOptions::default().deadline,
        };
        for word in command_line.split_ascii_whitespace() {
            match word.split_once('=') {
                Some(("mode", "suite")) => options.mode = Mode::Suite,
                Some(("mode", "walk")) => options.mode = Mode::Walk,
                Some(("mode", "power-cut")) => options.mode = Mode::PowerCut,
                Some(("mode", "power-check")) => options.mode = Mode::PowerCheck,
                Some(("mode", "cluster")) => options.mode = Mode::Cluster,
                Some(("mode", "cluster-check")) => options.mode = Mode::ClusterCheck,
                Some(("deadline", number)) => {
                    options.deadline = Duration::from_millis(number.parse().map_err(|_| word)?);
                }
                Some(("console-rate", number)) => options.console_rate = Some(number.parse().map_err(|_| word)?),
                Some(("seed", number)) => options.seed = number.parse().map_err(|_| word)?,
                Some(("epochs", number)) => options.epochs = number.parse().map_err(|_| word)?,
                Some(("acknowledged", number)) => options.acknowledged = number.parse().map_err(|_| word)?,
                Some(("nodes", list)) => {
                    for number in list.split(',') {
                        let node = number.parse().map_err(|_| word)?;
                        options.nodes.push(node).map_err(|_| word)?;
                    }
                }
                _ => return Err(word),
            }
        }
        Ok(options)
    }
}
