//! One program under several names: `hammer2`, and the names of Linux and DragonFly for programs that make, check and mount a
//! filesystem.
//! The name that it is called by decides which program it is, with that program's options and exit statuses.

mod fsck;
mod fsck_dragonfly;
mod generator;
mod mkfs;
mod mount;

use std::ffi::OsStr;
use std::path::Path;
use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{Command, Parser};

use super::failure::Failure;
use super::logging;

/// A program with its own options, which the tool becomes when it is called by that name.
pub(super) trait Program: Parser {
    /// The exit status for wrong arguments.
    const USAGE_STATUS: u8;

    /// Carries the arguments out.
    fn run(&self) -> ExitCode;
}

/// How a name's program is run, and described.
pub(super) struct Called {
    /// The name.
    pub(super) name: &'static str,
    run: fn(&'static str) -> ExitCode,
    describe: fn(&'static str) -> Command,
}

impl Called {
    const fn as_a<P: Program>(name: &'static str) -> Self {
        Self { name, run: run::<P>, describe: describe::<P> }
    }

    /// Runs the program.
    pub(super) fn run(&self) -> ExitCode {
        (self.run)(self.name)
    }

    /// Its options.
    pub(super) fn command(&self) -> Command {
        (self.describe)(self.name)
    }
}

/// All names but `hammer2`.
pub(super) const NAMES: [Called; 8] = [
    Called::as_a::<mkfs::Mkfs>("mkfs.hammer2"),
    Called::as_a::<fsck::Fsck>("fsck.hammer2"),
    Called::as_a::<mount::MountHelper>("mount.hammer2"),
    Called::as_a::<mount::MountHelper>("mount.fuse.hammer2"),
    Called::as_a::<mkfs::Mkfs>("newfs_hammer2"),
    Called::as_a::<fsck_dragonfly::Fsck>("fsck_hammer2"),
    Called::as_a::<mount::MountHelper>("mount_hammer2"),
    Called::as_a::<generator::Generator>("hammer2-generator"),
];

/// The program that this first argument names, if it isn't `hammer2`.
pub(super) fn called_by(argument: &OsStr) -> Option<&'static Called> {
    let name = Path::new(argument).file_name()?;
    NAMES.iter().find(|called| called.name == name)
}

fn describe<P: Program>(name: &'static str) -> Command {
    P::command().name(name).bin_name(name)
}

fn run<P: Program>(name: &'static str) -> ExitCode {
    logging::set_program(name);
    let parsed = describe::<P>(name).try_get_matches().and_then(|matches| P::from_arg_matches(&matches));
    match parsed {
        Ok(program) => program.run(),
        Err(error) if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) => {
            // If standard output is closed, nobody wants to read it.
            let _ = error.print();
            ExitCode::SUCCESS
        }
        Err(error) => {
            Failure::of_usage(&error, name).tell(P::USAGE_STATUS);
            ExitCode::from(P::USAGE_STATUS)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_it_is_called_by_decides() {
        let name = |argument: &str| called_by(OsStr::new(argument)).map(|called| called.name);
        assert_eq!(name("/sbin/mount.hammer2"), Some("mount.hammer2"));
        assert_eq!(name("fsck_hammer2"), Some("fsck_hammer2"));
        assert_eq!((name("hammer2"), name("/x/mount.hammer2/y"), name("")), (None, None, None));
    }

    #[test]
    fn every_command_line_is_consistent() {
        NAMES.iter().for_each(|called| called.command().debug_assert());
    }
}
