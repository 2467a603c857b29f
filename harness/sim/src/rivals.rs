//! Two hosts can reach the same disks. Each mounts them, works, and sometimes falls asleep in the middle of anything: a host must
//! never acknowledge a change that the other, which went on, doesn't have. A change that was on the disks before the other took
//! over may be acknowledged afterwards. A third host knows nothing of heartbeats.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use hammer2_core::cluster::{NodeFault, OpError, PfsSelector, vote::Refusal};
use hammer2_core::fs::{Error, FileSystem, MountError, NewFile};
use hammer2_core::media::{FileKind, Inum};
use hammer2_core::node::Protocol;
use hammer2_core::random::Random;

use crate::executor;
use crate::host::Host;
use crate::nodes::{self, Drive, HEAP, mount_options};
use crate::plan::Plan;
use crate::silent::Silent;
use crate::world::World;

const SECOND: u64 = 1_000_000_000;
/// How long a host watches the other's heartbeat before it takes over.
const WATCH: u64 = 5 * SECOND;
/// How many mounts each host tries.
const TURNS: u64 = 4;
/// The most files that a host makes in a mount.
const MOST_FILES: u64 = 12;

/// The state that both hosts share.
struct Contest<'w> {
    world: &'w World,
    drives: Vec<Drive>,
    /// Names of files that either host acknowledged.
    acked: RefCell<Vec<String>>,
    files: Cell<u64>,
    wrong: RefCell<Option<String>>,
    /// How often each host has fallen asleep.
    naps: [Cell<u64>; 2],
    /// The writer without a heartbeat may write, too; once.
    may_be_silent: Cell<bool>,
}

/// True when there is something to contend for.
pub(crate) fn is_possible(world: &World) -> bool {
    !world.group().masters().is_empty() && !world.is_tight() && world.all_are_sound()
}

/// Tries it on copies of the disks.
pub(crate) fn run(world: &World) -> Result<(), String> {
    world.fault("rivals");
    *world.plan.borrow_mut() = Plan::quiet(0);
    // Another cluster on the disks may have the same label.
    let drives: Vec<Drive> = (0..world.disks.len())
        .filter(|number| world.group().role(*number).is_some())
        .map(|number| world.disks[number].drive.copy())
        .collect();
    // The slower the disks, the more often one host writes between a look and a write of the other.
    let slowness = world.random.borrow_mut().pick(&[1, 20, 200]);
    drives.iter().for_each(|drive| drive.disk.slowness.set(slowness));
    log::info!("rivals: {drives:?}, {slowness} times slower");
    let contest = Contest {
        world,
        drives,
        acked: RefCell::default(),
        files: Cell::new(0),
        wrong: RefCell::default(),
        naps: Default::default(),
        may_be_silent: Cell::new(world.group().spare() > 0),
    };
    world.host.share_disks(true);
    let both = contest.naps.iter().map(|naps| -> Pin<Box<dyn Future<Output = ()> + '_>> {
        let random = world.random.borrow_mut().fork();
        let sleeper = Sleeper {
            host: world.host,
            random: RefCell::new(world.random.borrow_mut().fork()),
            until: Cell::new(0),
            naps,
            work: Box::pin(contest.contend(random, naps)),
        };
        Box::pin(sleeper)
    });
    let both = both.collect();
    let done = world.run(async {
        executor::all(both).await;
        contest.drives.iter().for_each(|drive| drive.disk.slowness.set(1));
        match contest.mount().await {
            Ok(fs) if contest.wrong.borrow().is_none() => {
                let acked = contest.acked.borrow().clone();
                contest.look_for(&fs, &acked).await
            }
            Ok(_) => Ok(()),
            Err(error) => Err(format!("I33: nobody uses the disks, and they can't be mounted: {error}")),
        }
    });
    world.host.share_disks(false);
    done?;
    contest.wrong.take().map_or(Ok(()), Err)
}

impl Contest<'_> {
    fn host(&self) -> &'static Host {
        self.world.host
    }

    async fn contend(&self, mut random: Random, naps: &Cell<u64>) {
        for _ in 0..TURNS {
            executor::sleep(self.host(), random.below(8 * SECOND)).await;
            if self.wrong.borrow().is_some() {
                return;
            }
            let (begun, naps_before) = (self.host().nanoseconds(), naps.get());
            match self.mount().await {
                Ok(fs) => {
                    let has_watched = self.host().nanoseconds() - begun > WATCH;
                    let never_slept = || has_watched && naps.get() == naps_before;
                    if let Err(what) = fs.attend(self.use_mount(&fs, &mut random, &never_slept)).await {
                        *self.wrong.borrow_mut() = Some(what);
                        return;
                    }
                    if random.percent(60) {
                        self.world.verdict("rival-left");
                        let _ = fs.unmount().await;
                    }
                }
                Err(MountError::Op(OpError::Refused(Refusal::InUse { .. }))) => {
                    self.world.verdict("in-use");
                }
                // For example, the other has just written to the disks.
                Err(error) => log::info!("a rival can't mount: {error}"),
            }
        }
    }

    async fn mount(&self) -> Result<FileSystem, MountError> {
        let cluster = nodes::open(self.host(), &self.drives, &mut |_, _| ()).await?;
        cluster.set_protocol(self.world.settings.without.map_or(Protocol::default(), Protocol::without));
        let selector = PfsSelector::Label(self.world.group().label);
        let fs = FileSystem::mount_pfs(HEAP, cluster, selector, mount_options(self.drives.len())).await?;
        fs.make_writable(self.host()).await
    }

    /// Makes files, each with a sync; returns an error only for a violation.
    async fn use_mount(
        &self,
        fs: &FileSystem,
        random: &mut Random,
        never_slept: &impl Fn() -> bool,
    ) -> Result<(), String> {
        let is_quiet = self.may_be_silent.get();
        for _ in 0..1 + random.below(MOST_FILES) {
            executor::sleep(self.host(), random.below(2 * SECOND)).await;
            self.files.set(self.files.get() + 1);
            let name = format!("rival{}", self.files.get());
            let before = self.acked.borrow().clone();
            let silent = if random.percent(10) { self.be_silent(fs, random) } else { None };
            log::info!("making {name}");
            let made = async {
                fs.create(Inum::PFS_ROOT, name.as_bytes(), &NewFile::new(FileKind::Regular, 0o644)).await?;
                fs.sync().await
            };
            let made = made.await;
            if silent.as_ref().is_some_and(Silent::is_overwritten) {
                return Err("a header was written over that of somebody without a heartbeat".to_owned());
            }
            match made {
                Ok(()) => {
                    log::info!("{name} was acknowledged");
                    self.acked.borrow_mut().push(name);
                    // A host that can change something has everything that either acknowledged before. But if it slept after its
                    // change was on the disks, it needn't have the other's later files.
                    self.look_for(fs, &before).await?;
                }
                Err(error) => {
                    if let Error::Io(NodeFault::Fenced { .. }) = error {
                        self.world.verdict("fenced");
                        if never_slept() && silent.is_none() && self.may_be_silent.get() == is_quiet {
                            return Err("I37: overtaken, though it took over and was awake ever since".to_owned());
                        }
                    }
                    log::info!("a rival: {error}");
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// Writes to a disk of a mount like a host that knows nothing of heartbeats, but only while no host is between its last look
    /// at the disk and a write there, as no look could notice that.
    fn be_silent(&self, fs: &FileSystem, random: &mut Random) -> Option<Silent> {
        let drive = &self.drives[random.index(self.drives.len())];
        let is_whole = fs.member_statuses().count() == self.drives.len();
        if !is_whole || !drive.disk.is_at_rest() || !self.may_be_silent.take() {
            return None;
        }
        log::info!("somebody without a heartbeat writes to {drive:?}");
        let silent = Silent::write(drive)?;
        self.world.verdict("silent-writer");
        Some(silent)
    }

    /// Looks for acknowledged files.
    async fn look_for(&self, fs: &FileSystem, acked: &[String]) -> Result<(), String> {
        for name in acked {
            match fs.resolve(name.as_bytes()).await {
                Ok(_) => {}
                Err(Error::NotFound) => return Err(format!("I1: {name} was acknowledged, and is lost to a rival")),
                // The other may have taken over meanwhile, and be writing at this moment.
                Err(error) => log::info!("{name}: {error}"),
            }
        }
        Ok(())
    }
}

/// How long a host that has slept falls asleep again more easily: between its first look and the actions that follow.
const DROWSY: u64 = SECOND / 2;

/// A host that falls asleep now and then, in the middle of anything.
struct Sleeper<'w> {
    host: &'static Host,
    random: RefCell<Random>,
    until: Cell<u64>,
    naps: &'w Cell<u64>,
    work: Pin<Box<dyn Future<Output = ()> + 'w>>,
}

impl Sleeper<'_> {
    /// True when it has just slept.
    fn is_drowsy(&self) -> bool {
        self.naps.get() > 0 && self.host.nanoseconds() < self.until.get() + DROWSY
    }
}

impl Future for Sleeper<'_> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let now = self.host.nanoseconds();
        let odds = if self.is_drowsy() { 40 } else { 400 };
        if self.until.get() <= now && self.random.borrow_mut().below(odds) == 0 {
            self.until.set(now + self.random.borrow_mut().below(30 * SECOND));
            self.naps.set(self.naps.get() + 1);
        }
        if self.until.get() > now {
            self.host.alarm(self.until.get());
            return Poll::Pending;
        }
        self.work.as_mut().poll(cx)
    }
}
