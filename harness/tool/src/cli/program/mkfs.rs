//! `mkfs.hammer2`, as mkfs(8) calls it, and `newfs_hammer2`.

use std::process::ExitCode;

use clap::{ArgAction, Parser};

use super::Program;
use crate::cli::failure::{self, ExitStatuses};
use crate::cli::newfs::Newfs;
use crate::cli::output::Output;
use crate::cli::session::Settings;

/// Make a HAMMER2 filesystem on one image or device, or a set of them
/// Content that is recognized on them (a filesystem, swap space, a partition table, ...) is named and left alone. A device that
/// is mounted or otherwise in use is never overwritten.
#[derive(Parser)]
#[command(
    version,
    disable_version_flag = true,
    max_term_width = 120,
    after_help = "Exit status:
  0  the filesystem is made
  1  it failed
  2  wrong usage, or the volumes can't be used: no such file, in use, something is on them"
)]
pub(super) struct Mkfs {
    #[command(flatten)]
    settings: Settings,
    #[command(flatten)]
    newfs: Newfs,
    /// Print the version of the program; -V is that of the format
    #[arg(long, action = ArgAction::Version)]
    version: (),
}

impl Program for Mkfs {
    const USAGE_STATUS: u8 = ExitStatuses::HAMMER2.unusable;

    fn run(&self) -> ExitCode {
        let mut output = Output::new();
        let made = self.newfs.run(&self.settings, &mut output);
        failure::conclude(output.finish_with(made), &ExitStatuses::HAMMER2)
    }
}
