//! `hammer2 mount`: a filesystem in the host's tree.

use std::ffi::OsString;
use std::fs::OpenOptions;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use clap::{Args, ValueEnum};
use fuser::MountOption;
use log::LevelFilter;
use rustix::process::{geteuid, setsid};

use super::logging::{self, Destination};
use super::output::Output;
use super::session::{Session, Settings};
use super::target::Target;
use super::{Failure, Outcome};
use crate::admin::Refused;
use crate::device::Access;
use crate::mount::{Administration, EndError, MountPoint, Options};

/// What the process in the background says when the mount can be used.
const READY: &[u8] = b"ready";

/// Mount a filesystem on a directory
///
/// It is served by a process in the background, which ends when the directory is unmounted (fusermount3 -u, umount) or with
/// SIGINT or SIGTERM. SIGUSR1 has it print its counters.
#[derive(Args)]
pub(super) struct Mount {
    /// Serve it in this process
    #[arg(short, long)]
    foreground: bool,
    /// Change nothing, and share the images with other readers
    #[arg(short, long)]
    read_only: bool,
    /// Seconds between syncs that nobody asked for; 0 for none
    #[arg(long, value_name = "SECONDS", default_value_t = 5)]
    sync_every: u16,
    /// What becomes of changes while too few nodes of a cluster are left
    #[arg(long, value_name = "POLICY", default_value = "fail")]
    without_quorum: WithoutQuorum,
    /// Append messages to a file; without, those of a mount in the background are in the system's log
    #[arg(long, value_name = "FILE")]
    log: Option<PathBuf>,
    /// Options of mount(8), separated by commas: ro, rw, allow_other, nosuid, nodev, noexec, noatime, sync, dirsync
    #[arg(short = 'o', value_name = "OPTIONS", value_delimiter = ',')]
    options: Vec<String>,
    /// Is the process in the background
    #[arg(long, hide = true)]
    detached: bool,
    /// NODE[@LABEL]
    #[arg(value_parser = Target::parser())]
    target: Target,
    /// The directory to mount it on
    directory: PathBuf,
}

/// What becomes of changes while too few nodes of a cluster are left.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum WithoutQuorum {
    /// They fail with an I/O error
    Fail,
    /// They wait until enough nodes are back
    Wait,
}

impl Mount {
    pub(super) fn run(&self, settings: &Settings, _: &mut Output) -> Result<Outcome, Failure> {
        if self.target.path != b"/" {
            return Err(Failure::unusable("a mount is of a whole PFS: name it without a path"));
        }
        let directory = self.directory.canonicalize().map_err(|error| unusable(&self.directory, &error))?;
        if !self.foreground && !self.detached {
            return start_in_background();
        }
        // What is asked for by a signal, too.
        logging::to_terminal(LevelFilter::Info);
        let session = Session::new(settings);
        let (options, access) = self.options(&session)?;
        // Of a cluster, for a node that is put in.
        session.keep_room_for(usize::from(self.target.only_node().is_none()));
        let mounted = session.run(session.mount_to_serve(&self.target, access));
        let (fs, images) = mounted.map_err(|failure| self.advice(failure))?;
        let clock = session.clock();
        let open = move |images: &[PathBuf]| session.open_disks(images, access).map_err(Refused::unusable);
        let place = directory.display().to_string();
        let administration = Administration::new(images.at(place), open);
        let mounted =
            MountPoint::new(fs, &directory, &options, administration, clock).map_err(|error| failure(&error))?;
        if !self.detached {
            mounted.serve().map_err(|error| failure(&error))?;
            return Ok(Outcome::Good);
        }
        self.leave_terminal()?;
        let place = format!("{} on {}", options.source, directory.display());
        log::info!("{place}: mounted{}", if options.read_only { ", read-only" } else { "" });
        let served = mounted.serve();
        match &served {
            Ok(()) => log::info!("{place}: unmounted, with everything on the devices"),
            Err(error) => log::error!("{place}: {error}"),
        }
        log::logger().flush();
        served.map(|()| Outcome::Good).map_err(|error| failure(&error))
    }

    /// What can't be changed, for want of a quorum or of a whole device, can mostly be read.
    fn advice(&self, failure: Failure) -> Failure {
        match failure {
            Failure::Failed(message) if !self.read_only => {
                Failure::Failed(format!("{message}; --read-only mounts what can be read"))
            }
            failure => failure,
        }
    }

    fn options(&self, session: &Session) -> Result<(Options, Access), Failure> {
        let is_root = geteuid().is_root();
        let mut read_only = self.read_only;
        let mut allow_other = is_root;
        let mut others = if is_root { vec![MountOption::Suid, MountOption::Dev] } else { Vec::new() };
        let mut set = |option: MountOption, opposite: &MountOption| {
            others.retain(|other| other != opposite);
            if !others.contains(&option) {
                others.push(option);
            }
        };
        for option in &self.options {
            match &option[..] {
                "" | "defaults" | "default_permissions" | "_netdev" | "auto" | "noauto" | "nofail" => {}
                "ro" => read_only = true,
                "rw" => read_only = false,
                "allow_other" => allow_other = true,
                "suid" => set(MountOption::Suid, &MountOption::NoSuid),
                "nosuid" => set(MountOption::NoSuid, &MountOption::Suid),
                "dev" => set(MountOption::Dev, &MountOption::NoDev),
                "nodev" => set(MountOption::NoDev, &MountOption::Dev),
                "exec" => set(MountOption::Exec, &MountOption::NoExec),
                "noexec" => set(MountOption::NoExec, &MountOption::Exec),
                "atime" => set(MountOption::Atime, &MountOption::NoAtime),
                "noatime" => set(MountOption::NoAtime, &MountOption::Atime),
                "sync" => set(MountOption::Sync, &MountOption::Async),
                "async" => set(MountOption::Async, &MountOption::Sync),
                "dirsync" => set(MountOption::DirSync, &MountOption::Async),
                _ => {
                    return Err(Failure::unusable(format_args!(
                        "-o {option}: no such option; see hammer2 mount --help"
                    )));
                }
            }
        }
        let images: Vec<_> = self.target.images().map(|image| image.to_string_lossy()).collect();
        let options = Options {
            source: images.join(":"),
            read_only,
            allow_other,
            others,
            sync_every: Some(Duration::from_secs(self.sync_every.into())).filter(|period| !period.is_zero()),
            waits_for_quorum: self.without_quorum == WithoutQuorum::Wait,
            budget: session.budget(),
        };
        Ok((options, if read_only { Access::Read } else { Access::Write }))
    }

    /// Lets go of the terminal and of whoever started this, who is told that it worked.
    fn leave_terminal(&self) -> Result<(), Failure> {
        let append = |path: &Path| {
            let opened = OpenOptions::new().append(true).create(true).open(path);
            opened.map_err(|error| unusable(path, &error))
        };
        let (rest, destination) = match &self.log {
            Some(path) => (append(path)?, Destination::File(append(path)?)),
            None => (append(Path::new("/dev/null"))?, Destination::System),
        };
        if self.log.is_none() && !logging::system_listens() {
            log::warn!("no syslog or journal listens here: what happens to this mount is lost; --log FILE keeps it");
        }
        let failed = |error: std::io::Error| Failure::failed(format_args!("can't go to the background: {error}"));
        // Fails for the leader of a group, which has no terminal to lose.
        let _ = setsid();
        logging::to_background(destination).map_err(failed)?;
        let mut stdout = std::io::stdout();
        stdout.write_all(READY).and_then(|()| stdout.flush()).map_err(failed)?;
        rustix::stdio::dup2_stderr(&rest).map_err(|error| failed(error.into()))?;
        rustix::stdio::dup2_stdout(&rest).map_err(|error| failed(error.into()))?;
        std::env::set_current_dir("/").map_err(failed)
    }
}

/// Has another process do it, and waits until it is ready or has said why not.
fn start_in_background() -> Result<Outcome, Failure> {
    let failed =
        |error: std::io::Error| Failure::failed(format_args!("can't start a process in the background: {error}"));
    let program = std::env::current_exe().map_err(failed)?;
    let mut arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    // Before what may be the end of the options.
    let at = arguments.iter().position(|argument| argument == "--").unwrap_or(arguments.len());
    arguments.insert(at, "--detached".into());
    let mut command = Command::new(program);
    let mut child = command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).spawn().map_err(failed)?;
    let mut said = Vec::new();
    if let Some(mut stdout) = child.stdout.take() {
        stdout.read_to_end(&mut said).map_err(failed)?;
    }
    if said == READY {
        return Ok(Outcome::Good);
    }
    // It has complained itself.
    let status = child.wait().map_err(failed)?;
    std::process::exit(status.code().unwrap_or(1));
}

fn failure(error: &EndError) -> Failure {
    match error {
        EndError::Mount { .. } | EndError::NotADirectory(_) => Failure::unusable(error),
        EndError::Unmount(_) | EndError::GivenUp => Failure::failed(error),
    }
}

fn unusable(path: &Path, error: &std::io::Error) -> Failure {
    Failure::unusable(format_args!("{}: {error}", path.display()))
}
