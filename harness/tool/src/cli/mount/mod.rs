//! `hammer2 mount`: a filesystem in the host's tree.

mod background;
mod options;
mod remount;

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, ValueEnum};
use hammer2_host::device::Access;
use hammer2_host::processors::Processors;
use log::LevelFilter;
use rustix::process::geteuid;

use super::logging;
use super::output::Output;
use super::session::{Session, Settings};
use super::target::Target;
use super::{Failure, Outcome};
use crate::admin::Refused;
use crate::mount::{Administration, Beside, EndError, MountPoint, Options, SNAPSHOTS_MEMORY_MIB};
use options::MountOptions;

/// The default of seconds between syncs that nobody asked for.
const SYNC_EVERY_SECONDS: u16 = 5;

/// More threads than this have nothing to do: calls are of few blocks.
const MOST_WORKERS: i64 = 16;

/// Programs that are run for events of root's mounts.
const HOOKS: &str = "/etc/hammer2/hooks.d";

/// Mount a filesystem on a directory
///
/// It is served by a process in the background, which ends when the directory is unmounted (fusermount3 -u, umount) or with
/// SIGINT or SIGTERM. SIGUSR1 makes it print its counters. Snapshots can be read in `.snapshots` of the directory, which no
/// listing shows.
#[derive(Args)]
pub(super) struct Mount {
    /// Serve it in this process
    #[arg(short, long)]
    pub(super) foreground: bool,
    /// Change nothing, and share the images with other readers
    #[arg(short, long)]
    pub(super) read_only: bool,
    /// Seconds between syncs that nobody asked for; 0 for none
    #[arg(long, value_name = "SECONDS", default_value_t = SYNC_EVERY_SECONDS)]
    pub(super) sync_every: u16,
    /// Threads that compress and decompress, beside the one that serves: worth it for ZLIB [default: 0]
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u16).range(..=MOST_WORKERS))]
    pub(super) workers: Option<u16>,
    /// What becomes of changes while too few nodes of a cluster are left
    #[arg(long, value_name = "POLICY", default_value = "fail")]
    pub(super) without_quorum: WithoutQuorum,
    /// Share the places of equal blocks that were written lately, with a thirty-second of the memory for what is known of them
    #[arg(long)]
    pub(super) dedup: bool,
    /// Append messages to a file; without it, those of a mount in the background go to the system's log
    #[arg(long, value_name = "FILE")]
    pub(super) log: Option<PathBuf>,
    /// Options of mount(8) and fstab(5), separated by commas: ro, rw, remount, allow_other, nosuid, nodev, noexec, noatime, sync,
    /// dirsync and their opposites; local, dedup, memory=MIB, deadline=SECONDS, workers=COUNT, sync-every=SECONDS,
    /// without-quorum=POLICY, log=FILE, hooks=DIR: the programs there are run for each event (see events) [default: of root's
    /// mounts /etc/hammer2/hooks.d]
    #[arg(short = 'o', value_name = "OPTIONS", value_delimiter = ',')]
    pub(super) options: Vec<String>,
    /// Ignore unknown options
    #[arg(short, long)]
    pub(super) sloppy: bool,
    /// Is the process in the background
    #[arg(long, hide = true)]
    pub(super) detached: bool,
    /// What lists of mounts show
    #[arg(skip)]
    pub(super) source: Option<String>,
    /// NODE[@LABEL]
    #[arg(value_parser = Target::parser())]
    pub(super) target: Target,
    /// The directory to mount it on
    pub(super) directory: PathBuf,
}

/// What becomes of changes while too few nodes of a cluster are left.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum WithoutQuorum {
    /// They fail with an I/O error
    Fail,
    /// They wait until enough nodes are back
    Wait,
}

impl Mount {
    /// A mount without options.
    pub(super) fn of(target: Target, directory: PathBuf) -> Self {
        Self {
            foreground: false,
            read_only: false,
            sync_every: SYNC_EVERY_SECONDS,
            workers: None,
            without_quorum: WithoutQuorum::Fail,
            dedup: false,
            log: None,
            options: Vec::new(),
            sloppy: false,
            detached: false,
            source: None,
            target,
            directory,
        }
    }

    /// Sees whether the arguments make sense.
    pub(super) fn check(&self) -> Result<(), Failure> {
        self.directory.canonicalize().map_err(|error| unusable(&self.directory, &error))?;
        MountOptions::read(&self.options, self.sloppy).map(drop)
    }

    pub(super) fn run(&self, settings: &Settings, _: &mut Output) -> Result<Outcome, Failure> {
        if self.target.path != b"/" {
            return Err(Failure::unusable("a mount is of a whole PFS: name it without a path"));
        }
        let directory = self.directory.canonicalize().map_err(|error| unusable(&self.directory, &error))?;
        let wishes = MountOptions::read(&self.options, self.sloppy)?;
        if wishes.remount {
            return remount::remount(&directory, &wishes);
        }
        if !self.foreground && !self.detached {
            return background::start();
        }
        // Messages that a signal asks for are of this level, too.
        logging::to_terminal(LevelFilter::Info);
        let session = Session::new(&settings.with(wishes.memory_mib, wishes.deadline_seconds, wishes.local));
        let dedup_bytes = if self.dedup || wishes.dedup { session.dedup_bytes() } else { 0 };
        let log = wishes.log.clone().or_else(|| self.log.clone());
        let workers = wishes.workers.or(self.workers).map_or(0, usize::from).min(MOST_WORKERS as usize);
        let options = self.options(&session, wishes);
        let access = if options.read_only { Access::Read } else { Access::Write };
        // In a cluster, a node may be put in.
        session.keep_room_for(usize::from(self.target.only_node().is_none()));
        let clock = session.clock();
        let (read_only, place) = (options.read_only, directory.display().to_string());
        let open = move || {
            let mounted = session.run(session.mount_to_serve(&self.target, access));
            let (mut fs, images) = mounted.map_err(|failure| advice(failure, read_only))?;
            if workers > 0 {
                match Processors::leaked(workers, fs.heap()) {
                    Ok(processors) => fs.use_workers(processors),
                    Err(error) => log::warn!("no threads to compress with, so one does everything: {error}"),
                }
            }
            if !read_only {
                fs.set_dedup(dedup_bytes).map_err(Failure::failed)?;
            }
            let looking = session.beside(SNAPSHOTS_MEMORY_MIB);
            let heap = looking.heap();
            let look = move |images: &[PathBuf]| looking.open_disks(images, Access::Look).map_err(Refused::unusable);
            let beside = Beside { heap, open: Box::new(look) };
            let open = move |images: &[PathBuf]| session.open_disks(images, access).map_err(Refused::unusable);
            Ok::<_, Failure>((fs, Administration::new(images.mounted_on(place), read_only, open, beside)))
        };
        let mounted = MountPoint::new(&directory, &options, clock, open)?;
        if !self.detached {
            mounted.serve()?;
            return Ok(Outcome::Good);
        }
        background::leave_terminal(log.as_deref())?;
        let place = format!("{} on {}", options.source, directory.display());
        log::info!("{place}: mounted{}", if options.read_only { ", read-only" } else { "" });
        let served = mounted.serve();
        match &served {
            Ok(()) => log::info!("{place}: unmounted, with everything on the devices"),
            Err(error) => log::error!("{place}: {error}"),
        }
        log::logger().flush();
        Ok(served.map(|()| Outcome::Good)?)
    }

    fn options(&self, session: &Session, wishes: MountOptions) -> Options {
        let images: Vec<_> = self.target.images().map(|image| image.to_string_lossy()).collect();
        let sync_every = wishes.sync_every_seconds.unwrap_or(self.sync_every);
        Options {
            source: self.source.clone().unwrap_or_else(|| images.join(":")),
            read_only: wishes.read_only.unwrap_or(self.read_only),
            allow_other: wishes.allow_other,
            others: wishes.kernel,
            sync_every: Some(Duration::from_secs(sync_every.into())).filter(|period| !period.is_zero()),
            hooks: wishes.hooks.or_else(usual_hooks),
            waits_for_quorum: wishes.without_quorum.unwrap_or(self.without_quorum) == WithoutQuorum::Wait,
            budget: session.budget(),
        }
    }
}

/// The default folder of programs for events.
fn usual_hooks() -> Option<PathBuf> {
    Some(PathBuf::from(HOOKS)).filter(|folder| geteuid().is_root() && folder.is_dir())
}

/// Advises a read-only mount: a filesystem that can't be changed, for want of a quorum or of a whole device, can mostly be read.
fn advice(failure: Failure, read_only: bool) -> Failure {
    match failure {
        Failure::Failed(message) if !read_only => {
            Failure::Failed(format!("{message}; --read-only mounts what can be read"))
        }
        failure => failure,
    }
}

impl From<EndError> for Failure {
    fn from(error: EndError) -> Self {
        match error {
            EndError::Mount { .. } | EndError::NotADirectory(_) => Self::unusable(error),
            EndError::Unmount(_) | EndError::GivenUp => Self::failed(error),
        }
    }
}

fn unusable(path: &Path, error: &std::io::Error) -> Failure {
    Failure::unusable(format_args!("{}: {error}", path.display()))
}
