//! A mount from its beginning to its end.

use std::io;
use std::mem::ManuallyDrop;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use allocator_api2::alloc::Global;
use fuser::{BackgroundSession, Config, MountOption, Session, SessionACL};
use hammer2_core::fs::FileSystem;
use hammer2_host::clock::HostClock;
use hammer2_kmod_shim::budget::Budget;

use super::administration::Administration;
use super::buffers::Buffers;
use super::direct::DirectWrites;
use super::front::Front;
use super::hooks::Hooks;
use super::inside::{Inside, Mounted};
use super::journal::Journal;
use super::mailbox::Mailbox;
use super::orders::Ear;
use super::patience::Patience;
use super::place::MountPlace;
use super::server::Server;
use super::signals;

/// How a filesystem is mounted.
pub struct Options {
    /// The source in lists of mounts.
    pub source: String,
    /// Nothing is changed.
    pub read_only: bool,
    /// Other users may use it, too.
    pub allow_other: bool,
    /// Further options, as mount(8) names them.
    pub others: Vec<MountOption>,
    /// How often everything is made durable, unasked.
    pub sync_every: Option<Duration>,
    /// Without a quorum, requests wait for one; otherwise they fail.
    pub waits_for_quorum: bool,
    /// The folder of programs that are run for each event.
    pub hooks: Option<PathBuf>,
    /// The memory of the filesystem, for the counters.
    pub budget: &'static Budget<Global>,
}

/// Why a mount didn't begin, or didn't end well.
#[derive(Debug, thiserror::Error)]
pub enum EndError {
    /// It can't be mounted there.
    #[error("{}: {source}", directory.display())]
    Mount {
        /// Where.
        directory: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// Something other than a directory was named to mount on.
    #[error("{}: not a directory: name one to mount it on", .0.display())]
    NotADirectory(PathBuf),
    /// The last changes are lost.
    #[error("{0}; what was changed since the last sync is lost")]
    Unmount(String),
    /// The same, because a second signal gave up waiting.
    #[error("given up by a signal; what was changed since the last sync is lost")]
    GivenUp,
}

/// A mounted filesystem whose background work and waiting requests aren't done yet.
pub struct MountPoint {
    /// If it were dropped, it would unmount whatever is on the directory.
    _session: ManuallyDrop<BackgroundSession>,
    place: Arc<MountPlace>,
    pub(super) given_up: Arc<AtomicBool>,
    mounted: Arc<Mounted>,
    ear: Option<Ear>,
    pub(super) mailbox: Arc<Mailbox>,
    pub(super) clock: &'static HostClock,
    pub(super) sync_every: Option<Duration>,
    pub(super) read_only: bool,
}

impl MountPoint {
    /// Mounts the filesystem that `open` opens on a directory; `open` must keep no part of it, as threads take turns with it.
    /// From here on, requests that needn't wait are served; the others wait until the mount is [served](Self::serve).
    pub fn new<E: From<EndError> + Send>(
        directory: &Path,
        options: &Options,
        clock: &'static HostClock,
        open: impl FnOnce() -> Result<(FileSystem, Administration), E> + Send,
    ) -> Result<Self, E> {
        let failed = |source| EndError::Mount { directory: directory.to_owned(), source };
        if !directory.is_dir() {
            return Err(EndError::NotADirectory(directory.to_owned()).into());
        }
        let (mailbox, buffers) = (Arc::<Mailbox>::default(), Arc::<Buffers>::default());
        let (direct_writes, finishing) = DirectWrites::new();
        let hooks = options.hooks.clone().map(Hooks::of).transpose().map_err(failed)?;
        let (waits_for_quorum, budget, kept) = (options.waits_for_quorum, options.budget, buffers.clone());
        let mounted = Mounted::try_new(move || {
            let (fs, administration) = open()?;
            let patience = Patience::new(waits_for_quorum, clock);
            let label = String::from_utf8_lossy(&fs.pfs().label).into_owned();
            let journal = Journal::new(directory.display().to_string(), label, hooks);
            let server = Server::new(fs, kept, patience, administration, direct_writes, journal, budget);
            Ok::<_, E>(Inside::new(server, clock))
        })?;
        let mounted = Arc::new(mounted);
        let front = Front { mounted: mounted.clone(), mailbox: mailbox.clone(), buffers };
        let session = Session::new(front, directory, &options.config()).map_err(failed)?;
        let place = Arc::new(MountPlace::of(directory, &session).map_err(failed)?);
        finishing.begin(session.notifier()).map_err(failed)?;
        // A program that sees the mount may give it orders, or end it, so no request is answered before both are listened for.
        let given_up = signals::watch(place.clone(), mailbox.clone()).map_err(failed)?;
        let ear = Ear::on(directory, mailbox.clone())
            .inspect_err(|error| log::warn!("no orders can be given to this mount: {error}"))
            .ok();
        let session = session.spawn().map_err(failed)?;
        let read_only = options.read_only;
        let sync_every = options.sync_every.filter(|_| !read_only);
        let session = ManuallyDrop::new(session);
        Ok(Self { _session: session, place, given_up, mounted, ear, mailbox, clock, sync_every, read_only })
    }

    /// Does the mount's own work, and requests that have to wait, until the filesystem is unmounted; then makes everything
    /// durable.
    pub fn serve(mut self) -> Result<(), EndError> {
        let ear = self.ear.take();
        let runner = self.mounted.enter(|inside| inside.executor.runner());
        let live = async |inside: &Inside| inside.executor.run(self.live(inside, ear)).await;
        let (ended, conversations) = self.mounted.run(&runner, live);
        self.place.detach();
        if let Some(conversations) = conversations {
            conversations.end();
        }
        ended
    }
}

impl Options {
    fn config(&self) -> Config {
        let mut config = Config::default();
        config.acl = if self.allow_other { SessionACL::All } else { SessionACL::Owner };
        config.mount_options = vec![
            MountOption::FSName(self.source.clone()),
            // Given in this form, it becomes part of the type whichever program mounts it.
            MountOption::CUSTOM("subtype=hammer2".into()),
            MountOption::DefaultPermissions,
        ];
        if self.read_only {
            config.mount_options.push(MountOption::RO);
        }
        config.mount_options.extend(self.others.iter().cloned());
        config
    }
}
