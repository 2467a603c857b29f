//! A mount from its beginning to its end.

use std::io;
use std::mem::ManuallyDrop;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use allocator_api2::alloc::Global;
use fuser::{BackgroundSession, Config, MountOption, Session, SessionACL};
use hammer2_core::fs::{Error, FileSystem};
use hammer2_kmod_shim::budget::Budget;

use super::absent::take_in_absent;
use super::buffers::Buffers;
use super::direct::DirectWrites;
use super::durable::{Undurable, sync_at_last};
use super::fence::tell_when_fenced;
use super::front::Front;
use super::hooks::Hooks;
use super::journal::{About, Journal};
use super::known::let_go_now_and_then;
use super::mailbox::Mailbox;
use super::orders::{Administration, Ear};
use super::patience::Patience;
use super::place::Place;
use super::server::Server;
use super::under_way::UnderWay;
use super::watch::watch;
use super::{nodes, signals};
use crate::admin::EventKind;
use crate::clock::HostClock;
use crate::executor::Executor;

/// How a filesystem is mounted.
pub struct Options {
    /// What is mounted, for lists of mounts.
    pub source: String,
    /// Nothing is changed.
    pub read_only: bool,
    /// Other users may use it, too.
    pub allow_other: bool,
    /// Further options, as mount(8) names them.
    pub others: Vec<MountOption>,
    /// How often everything is made durable, unasked.
    pub sync_every: Option<Duration>,
    /// Without a quorum requests wait for one; otherwise they fail.
    pub waits_for_quorum: bool,
    /// Where programs are that are run for each event.
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
        /// What the system says.
        source: io::Error,
    },
    /// A mount goes on a directory.
    #[error("{}: not a directory: name one to mount it on", .0.display())]
    NotADirectory(PathBuf),
    /// What was changed last is lost.
    #[error("{0}; what was changed since the last sync is lost")]
    Unmount(Error),
    /// The same, because somebody didn't want to wait any more.
    #[error("given up by a signal; what was changed since the last sync is lost")]
    GivenUp,
}

/// A filesystem that is mounted and not yet served.
pub struct MountPoint {
    /// It would unmount whatever is on the directory when it goes.
    session: ManuallyDrop<BackgroundSession>,
    place: Arc<Place>,
    given_up: Arc<AtomicBool>,
    server: Server,
    ear: Option<Ear>,
    mailbox: Arc<Mailbox>,
    clock: &'static HostClock,
    sync_every: Option<Duration>,
    read_only: bool,
}

impl MountPoint {
    /// Mounts `fs` on a directory. From here on requests come, and wait to be [served](Self::serve).
    pub fn new(
        fs: FileSystem,
        directory: &Path,
        options: &Options,
        administration: Administration,
        clock: &'static HostClock,
    ) -> Result<Self, EndError> {
        let failed = |source| EndError::Mount { directory: directory.to_owned(), source };
        if !directory.is_dir() {
            return Err(EndError::NotADirectory(directory.to_owned()));
        }
        let (mailbox, buffers) = (Arc::<Mailbox>::default(), Arc::<Buffers>::default());
        let front = Front { mailbox: mailbox.clone(), buffers: buffers.clone() };
        let session = Session::new(front, directory, &options.config()).map_err(failed)?;
        let place = Arc::new(Place::of(directory, &session).map_err(failed)?);
        let session = session.spawn().map_err(failed)?;
        let direct_writes = DirectWrites::new(session.notifier()).map_err(failed)?;
        let given_up = signals::watch(place.clone(), mailbox.clone()).map_err(failed)?;
        let ear = Ear::on(directory, mailbox.clone())
            .inspect_err(|error| log::warn!("no orders can be given to this mount: {error}"))
            .ok();
        let patience = Patience::new(options.waits_for_quorum, clock);
        let hooks = options.hooks.clone().map(Hooks::of).transpose().map_err(failed)?;
        let label = String::from_utf8_lossy(&fs.pfs().label).into_owned();
        let journal = Journal::new(directory.display().to_string(), label, hooks);
        let server = Server::new(fs, buffers, patience, administration, direct_writes, journal, options.budget);
        let read_only = options.read_only;
        let sync_every = options.sync_every.filter(|_| !read_only);
        let session = ManuallyDrop::new(session);
        Ok(Self { session, place, given_up, server, ear, mailbox, clock, sync_every, read_only })
    }

    /// Serves requests until the filesystem is unmounted, and makes everything durable.
    pub fn serve(self) -> Result<(), EndError> {
        let Self { session: _session, place, given_up, server, ear, mailbox, clock, sync_every, read_only } = self;
        let under_way = UnderWay::new(server.fs.heap());
        let executor = Executor::new(clock);
        let (ended, conversations) = executor.block_on(async {
            if let Some(period) = sync_every {
                executor.spawn(let_go_now_and_then(&server, &under_way, clock, period));
            }
            if !read_only {
                executor.spawn(tell_when_fenced(&server, clock));
            }
            let how = if read_only { "it is mounted, read-only" } else { "it is mounted" };
            server.journal.note(EventKind::Mounted, About::default(), how);
            executor.spawn(watch(&server, clock, !read_only));
            if !read_only {
                executor.spawn(take_in_absent(&server, &under_way, clock));
            }
            executor.spawn(nodes::look_after(&server, &under_way, !read_only, sync_every));
            while let Some(job) = mailbox.next().await {
                let begun = under_way.begin();
                let most = &server.counters.most_at_once;
                most.set(most.get().max(under_way.count()));
                let work = job(&server);
                executor.spawn(async move {
                    work.await;
                    drop(begun);
                });
            }
            let conversations = ear.map(Ear::close);
            server.journal.note(EventKind::Unmounted, About::default(), "it is unmounted");
            server.journal.end();
            server.patience.end();
            // It can go on in the next mount.
            server.administration.pause_scrub();
            under_way.ended().await;
            let ended = if read_only { Ok(()) } else { sync_at_last(&server, clock, &given_up).await };
            (ended, conversations)
        });
        drop(executor);
        // The images are free again when this is seen to be over.
        let ended = match ended {
            Ok(()) => Executor::new(clock).block_on(server.fs.unmount()).map(drop).map_err(EndError::Unmount),
            Err(Undurable::Failed(error)) => Err(EndError::Unmount(error)),
            Err(Undurable::GivenUp) => Err(EndError::GivenUp),
        };
        place.detach();
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
            // Said so, it becomes part of the type wherever it is mounted by.
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
