//! A mount from its beginning to its end.

use std::cell::Cell;
use std::fmt::Display;
use std::future::poll_fn;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use allocator_api2::alloc::Global;
use fuser::{BackgroundSession, Config, MountOption, Session, SessionACL};
use hammer2_core::fs::{Error, FileSystem};
use hammer2_core::io::{Clock, Wakers};
use hammer2_kmod_shim::budget::Budget;

use super::buffers::Buffers;
use super::front::Front;
use super::mailbox::Mailbox;
use super::server::Server;
use super::signals;
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
    /// The memory of the filesystem, for the counters.
    pub budget: &'static Budget<Global>,
    /// Where trouble is told.
    pub complain: fn(&dyn Display),
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
    /// What was changed last is lost.
    #[error("{0}; what was changed since the last sync is lost")]
    Unmount(Error),
}

/// A filesystem that is mounted and not yet served.
pub struct MountPoint {
    session: BackgroundSession,
    server: Server,
    mailbox: Arc<Mailbox>,
    sync_every: Option<Duration>,
}

impl MountPoint {
    /// Mounts `fs` on a directory. From here on requests come, and wait to be [served](Self::serve).
    pub fn new(fs: FileSystem, directory: &Path, options: &Options) -> Result<Self, EndError> {
        let failed = |source| EndError::Mount { directory: directory.to_owned(), source };
        let (mailbox, buffers) = (Arc::<Mailbox>::default(), Arc::<Buffers>::default());
        let front = Front { mailbox: mailbox.clone(), buffers: buffers.clone() };
        let session = Session::new(front, directory, &options.config()).map_err(failed)?;
        let session = session.spawn().map_err(failed)?;
        signals::watch(directory.to_owned(), mailbox.clone()).map_err(failed)?;
        let server = Server::new(fs, buffers, options.budget, options.complain);
        let sync_every = options.sync_every.filter(|_| !options.read_only);
        Ok(Self { session, server, mailbox, sync_every })
    }

    /// Serves requests until the filesystem is unmounted, and makes everything durable.
    pub fn serve(self, clock: &'static HostClock) -> Result<(), EndError> {
        let Self { session, server, mailbox, sync_every } = self;
        let under_way = UnderWay::default();
        let executor = Executor::new(clock);
        executor.block_on(async {
            if let Some(period) = sync_every {
                executor.spawn(sync_now_and_then(&server, &under_way, clock, period));
            }
            while let Some(job) = mailbox.next().await {
                let begun = under_way.begin();
                let most = &server.counters.most_at_once;
                most.set(most.get().max(under_way.count.get()));
                let work = job(&server);
                executor.spawn(async move {
                    work.await;
                    drop(begun);
                });
            }
            under_way.ended().await;
        });
        drop(executor);
        let unmounted = Executor::new(clock).block_on(server.fs.unmount());
        // The images are free again when this is seen to be over.
        let ended = unmounted.map(drop).map_err(EndError::Unmount);
        drop(session);
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

/// Jobs that were begun and haven't ended.
#[derive(Default)]
struct UnderWay {
    count: Cell<u64>,
    changed: Wakers,
}

/// A job under way.
struct Begun<'u>(&'u UnderWay);

impl UnderWay {
    fn begin(&self) -> Begun<'_> {
        self.count.set(self.count.get() + 1);
        Begun(self)
    }

    async fn ended(&self) {
        poll_fn(|cx| {
            if self.count.get() == 0 {
                return Poll::Ready(());
            }
            self.changed.register(cx.waker());
            Poll::Pending
        })
        .await;
    }
}

impl Drop for Begun<'_> {
    fn drop(&mut self) {
        self.0.count.set(self.0.count.get() - 1);
        self.0.changed.wake_all();
    }
}

/// Makes everything durable every now and then, and gives space back in time, until the first time that fails: it is told, and
/// so is everyone who syncs.
async fn sync_now_and_then(server: &Server, under_way: &UnderWay, clock: &HostClock, period: Duration) {
    loop {
        let end = clock.now().after(period);
        poll_fn(|cx| {
            if clock.now() >= end {
                return Poll::Ready(());
            }
            clock.wake_at(end, cx.waker());
            Poll::Pending
        })
        .await;
        let _begun = under_way.begin();
        let synced = match server.fs.sync().await {
            Ok(()) => server.give_space_back_in_time().await,
            failed => failed,
        };
        if let Err(error) = synced {
            server.complain(&error);
            if error != Error::NoMemory {
                return;
            }
        }
    }
}
