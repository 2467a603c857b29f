//! The settings that `scripts/boot` passes.

use std::path::PathBuf;

use clap::Parser;

/// Break the disks of a cluster in QEMU and check the result
#[derive(Clone, Parser)]
pub(crate) struct Settings {
    /// The kernel
    #[arg(long)]
    pub(crate) kernel: PathBuf,
    /// The `hammer2` tool
    #[arg(long)]
    pub(crate) tool: PathBuf,
    /// Where disks are made
    #[arg(long)]
    pub(crate) folder: PathBuf,
    /// Where to keep the console
    #[arg(long)]
    pub(crate) console: PathBuf,
    /// How QEMU runs the CPU
    #[arg(long, default_value = "tcg")]
    pub(crate) accel: String,
    /// Memory of the machine, in MiB
    #[arg(long, default_value_t = 256)]
    pub(crate) memory: u32,
    /// CPUs of the machine
    #[arg(long, default_value_t = 1)]
    pub(crate) cpus: u32,
    /// What the workload's random numbers begin with
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
    /// Power cuts to make
    #[arg(long, default_value_t = 100)]
    pub(crate) cuts: usize,
    /// Show the console, and print what is done to the disks
    #[arg(long)]
    pub(crate) tell: bool,
    /// Bytes a second that the console takes
    #[arg(long)]
    pub(crate) console_rate: Option<u32>,
    /// The scenarios to run; all if none is named
    pub(crate) names: Vec<String>,
}

impl Settings {
    /// The kernel's options in every run.
    pub(crate) fn kernel_options(&self) -> String {
        self.console_rate.map(|rate| format!("console-rate={rate}")).unwrap_or_default()
    }
}
