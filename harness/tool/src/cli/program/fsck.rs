//! `fsck.hammer2`, as fsck(8) calls it.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use hammer2_host::device::Access;
use log::LevelFilter;

use super::Program;
use crate::cli::failure::complain;
use crate::cli::fsck::{Checked, Manner, check};
use crate::cli::output::Output;
use crate::cli::session::{Session, Settings};
use crate::cli::target::Target;
use crate::cli::{Failure, logging};

/// Exit statuses of fsck(8); those of several filesystems are combined.
const CLEAN: u8 = 0;
const CORRECTED: u8 = 1;
const UNCORRECTED: u8 = 4;
const NOT_CHECKED: u8 = 8;
const USAGE: u8 = 16;

/// Check HAMMER2 filesystems, and mend what can be mended
///
/// Prints a line for each problem and remark, with what it costs, and last a summary. Without -a, -p or -y, nothing is written.
/// Each node of a cluster is checked by itself; `hammer2 cluster scrub` compares them, and mends what another node has.
#[derive(Parser)]
#[command(
    version,
    max_term_width = 120,
    after_help = "Exit status, as fsck(8) has it:
   0  nothing is wrong
   1  what was wrong is mended
   4  something is wrong, and wasn't mended
   8  it can't be checked: no such file, no HAMMER2 volume, in use, volumes missing
  16  wrong usage"
)]
pub(super) struct Fsck {
    #[command(flatten)]
    settings: Settings,
    /// Write nothing
    #[arg(short = 'n', conflicts_with_all = ["yes", "automatic"])]
    no: bool,
    /// Mend whatever can be mended: headers (if the newest is lost, everything written since the one before it is given up),
    /// freemap, link counts, files without a name, data behind the end of files, and the use of quotas
    #[arg(short = 'y', conflicts_with = "automatic")]
    yes: bool,
    /// Look only at the headers, and mend them where that costs nothing, as a system does when it starts. A crash damages nothing
    /// else
    #[arg(short = 'a', short_alias = 'p', visible_short_alias = 'p')]
    automatic: bool,
    /// With -a or -p, check everything
    #[arg(short, long)]
    force: bool,
    /// Count known leftovers of other implementations as problems
    #[arg(long)]
    strict: bool,
    /// Print JSON objects
    #[arg(long)]
    json: bool,
    /// Means nothing here: progress is shown on a terminal
    #[arg(short = 'C', value_name = "FD")]
    progress: Option<u16>,
    /// Means nothing here: findings are always printed in full
    #[arg(short)]
    verbose: bool,
    /// The filesystems, IMG[:IMG2...] each; for a cluster, NODE[+NODE...]
    #[arg(value_name = "IMG", required = true, value_parser = Target::parser())]
    targets: Vec<Target>,
}

impl Program for Fsck {
    const USAGE_STATUS: u8 = USAGE;

    fn run(&self) -> ExitCode {
        logging::to_terminal(LevelFilter::Warn);
        let mut output = Output::new();
        let nodes = self.targets.iter().flat_map(|target| &target.nodes);
        let status = { nodes }.fold(CLEAN, |status, images| status | self.check_node(images, &mut output));
        let told = output.finish().map_err(|failure| failure.tell(NOT_CHECKED));
        ExitCode::from(if told.is_ok() { status } else { status | NOT_CHECKED })
    }
}

impl Fsck {
    /// Checks a node, and returns the exit status.
    fn check_node(&self, images: &[PathBuf], output: &mut Output) -> u8 {
        let checked = self.check_and_mend(images, output);
        checked.unwrap_or_else(|failure| {
            failure.tell(NOT_CHECKED);
            NOT_CHECKED
        })
    }

    fn check_and_mend(&self, images: &[PathBuf], output: &mut Output) -> Result<u8, Failure> {
        let session = Session::new(&self.settings);
        let headers_only = self.automatic && !self.force;
        let manner = Manner { json: self.json, strict: self.strict, headers_only, access: Access::Read };
        let found = check(&session, images, manner, output)?;
        if !self.mends(&found) {
            if found.plan.mends_headers() && !self.yes {
                let target = Target::of_node(images);
                complain(&format_args!("{target}: `fsck.hammer2 -y {target}` goes on with the headers that are whole"));
            }
            return Ok(if found.is_clean() { CLEAN } else { UNCORRECTED });
        }
        found.plan.tell(self.json, output)?;
        found.plan.carry_out(&self.settings, images, self.json, output)?;
        // The device is free again as soon as the session's disks are closed.
        let session = Session::new(&self.settings);
        Ok(if check(&session, images, manner, output)?.is_clean() { CORRECTED } else { UNCORRECTED })
    }

    /// True when something can be mended, and is to be.
    fn mends(&self, found: &Checked) -> bool {
        let is_permitted = self.yes || self.automatic && !found.is_clean() && !found.plan.is_costly();
        !found.plan.is_empty() && is_permitted
    }
}
