//! `mount.hammer2` and `mount.fuse.hammer2`, as mount(8) calls them, and `mount_hammer2`.

use std::ffi::OsString;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Parser;
use log::LevelFilter;
use rustix::fd::AsFd;
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use super::Program;
use crate::cli::failure::{self, ExitStatuses};
use crate::cli::mount::Mount;
use crate::cli::output::Output;
use crate::cli::session::Settings;
use crate::cli::target::Target;
use crate::cli::{Failure, Outcome, logging};

/// Mount a HAMMER2 filesystem, as `mount -t hammer2` asks for it
///
/// A process in the background serves it until it is unmounted (umount).
#[derive(Parser)]
#[command(version, max_term_width = 120, after_help = AFTER_HELP)]
pub(super) struct MountHelper {
    #[command(flatten)]
    settings: Settings,
    #[command(flatten)]
    mount: MountArguments,
}

const AFTER_HELP: &str = "\
SPEC is IMG[:IMG2...][+IMG...][@LABEL]: the images of a filesystem, or the nodes of a cluster, and which PFS of it; see \
hammer2(8).

Exit status, as mount(8) has it:
   0  it is mounted
   1  wrong usage
  32  it can't be mounted";

#[derive(clap::Args)]
struct MountArguments {
    /// Options of mount(8), separated by commas; see hammer2-mount(8)
    #[arg(short = 'o', value_name = "OPTIONS", value_delimiter = ',')]
    options: Vec<String>,
    /// Change nothing, and share the images with other readers
    #[arg(short, conflicts_with = "writable")]
    read_only: bool,
    /// Mount it for writing, which is the default
    #[arg(short)]
    writable: bool,
    /// Do everything but mount it
    #[arg(short)]
    fake: bool,
    /// Ignore unknown options
    #[arg(short)]
    sloppy: bool,
    /// Means nothing here: the kernel keeps the list of mounts
    #[arg(short)]
    no_mtab: bool,
    /// Say what is mounted
    #[arg(short)]
    verbose: bool,
    /// Mount it in this mount namespace
    #[arg(short = 'N', value_name = "NAMESPACE")]
    namespace: Option<PathBuf>,
    /// The type, which is ours
    #[arg(short = 't', value_name = "TYPE")]
    kind: Option<String>,
    /// Change the options of a mount, as -o remount does; SPEC may be left out
    #[arg(short)]
    update: bool,
    /// Is the process in the background
    #[arg(long, hide = true)]
    detached: bool,
    /// What to mount, and on which directory
    #[arg(value_names = ["SPEC", "DIR"], num_args = 1..=2, required = true)]
    places: Vec<OsString>,
}

impl Program for MountHelper {
    const USAGE_STATUS: u8 = 1;

    fn run(&self) -> ExitCode {
        logging::to_terminal(LevelFilter::Warn);
        let mut output = Output::new();
        let mounted = self.mount.mount(&self.settings, &mut output);
        failure::conclude(output.finish_with(mounted), &ExitStatuses::MOUNT)
    }
}

impl MountArguments {
    fn mount(&self, settings: &Settings, output: &mut Output) -> Result<Outcome, Failure> {
        let is_remount = self.update || self.options.iter().any(|option| option == "remount");
        let (spec, directory) = match &self.places[..] {
            [spec, directory] => (spec, directory),
            // The directory says what is mounted there.
            [directory] if is_remount => (directory, directory),
            _ => return Err(Failure::unusable("name what is to be mounted, and the directory to mount it on")),
        };
        if let Some(namespace) = &self.namespace {
            enter(namespace)?;
        }
        let mut options = self.options.clone();
        options.extend(self.update.then(|| "remount".to_owned()));
        let mount = Mount {
            read_only: self.read_only,
            options,
            sloppy: self.sloppy,
            detached: self.detached,
            source: Some(spec.to_string_lossy().into_owned()),
            ..Mount::of(Target::parse(spec).map_err(Failure::unusable)?, directory.into())
        };
        if self.fake {
            return mount.check().map(|()| Outcome::Good);
        }
        let mounted = mount.run(settings, output)?;
        if self.verbose && !is_remount {
            output.line(format_args!("{} mounted on {}", spec.display(), directory.display()))?;
        }
        Ok(mounted)
    }
}

/// Enters the mount namespace in which the given paths are meant.
fn enter(namespace: &Path) -> Result<(), Failure> {
    let failed = |error: std::io::Error| Failure::unusable(format_args!("{}: {error}", namespace.display()));
    let opened = File::open(namespace).map_err(failed)?;
    let entered = move_into_link_name_space(opened.as_fd(), Some(LinkNameSpaceType::Mount));
    entered.map_err(|error| failed(error.into()))
}
