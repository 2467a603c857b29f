//! A cluster whose nodes are the disks, under a checked load, while the disks are broken from outside: the kernel's half of the
//! cluster runs of `scripts/boot`.
//!
//! The load is that of [`power_cut`](crate::power_cut): epochs, each durable at its end, compared from time to time with what
//! must be there. Beside it, [`supervisor`] brings back nodes that left. When too few are left, the cluster is mounted again
//! until there are enough. [`orders`] has the orders from the console.

mod orders;
mod replacement;
mod supervisor;

use core::cell::Cell;
use core::future::poll_fn;
use core::pin::{Pin, pin};

use hammer2_core::cluster::PfsSelector;
use hammer2_core::fs::{Error, FileSystem, MountError, MountOptions};
use hammer2_core::io::{Clock, Disk, DiskOptions, Duration, boxed_device};
use hammer2_core::memory::{self, NoMemory, Vec};
use hammer2_core::selftest::Failure;
use hammer2_core::selftest::power_cut::{Workload, verify};

use crate::options::Options;
use crate::platform::{BlockDriver, CLUSTER_BUDGET, CLUSTER_MEMORY, CLUSTER_MOUNT_BYTES, MEMORY, Platform};
use crate::power_cut::verdict;
use crate::println;
use crate::time::Undated;
use crate::verdict::Verdict;
use orders::Order;

const LABEL: &[u8] = b"WORK";
const OPTIONS: MountOptions = MountOptions { memory_bytes: CLUSTER_MOUNT_BYTES, spare_nodes: 0 };

/// The time between attempts to mount a cluster that has stopped.
const MOUNT_AGAIN: Duration = Duration::from_secs(1);

/// The number of epochs between comparisons.
const COMPARE_EVERY: u64 = 16;

/// Runs the load until the console ends it.
pub(crate) fn work(platform: &Platform, options: &Options) -> Verdict {
    let verdict = verdict(platform, async {
        let load = Load { platform, options, epoch: Cell::new(0), slowest_milliseconds: Cell::new(0) };
        loop {
            let fs = load.mount().await?;
            let ended = {
                let (watching, serving) = (pin!(supervisor::watch(&fs)), pin!(supervisor::serve_slots(platform)));
                beside(load.work(&fs), [watching, serving]).await
            };
            match ended {
                Ok(Ended::ToReplace) => {
                    drop(fs.unmount().await?);
                    replacement::put_in(platform, options).await?;
                }
                Ok(Ended::Enough) => {
                    drop(fs.unmount().await?);
                    println!(
                        "cluster: ended after epoch {}, the slowest took {} ms",
                        load.epoch.get(),
                        load.slowest_milliseconds.get()
                    );
                    return Ok(());
                }
                Err(Stop::Failed(failure)) => return Err(failure),
                Err(Stop::NoQuorum(error)) => println!("cluster: stopped: {error}"),
            }
        }
    });
    println!("kernel: the core has used {} KiB at most", CLUSTER_BUDGET.peak_bytes().div_ceil(1024));
    verdict
}

/// Checks what a power cut has left: it must be the acknowledged epoch or the next one, and all nodes must be brought in step.
pub(crate) fn check(platform: &Platform, options: &Options) -> Verdict {
    verdict(platform, async {
        let fs = mount(platform, options).await?.make_writable(&Undated).await?;
        let epoch = verify(MEMORY, &fs, options.seed).await?;
        println!("found epoch {epoch}, acknowledged {}", options.acknowledged);
        if !(options.acknowledged..=options.acknowledged + 1).contains(&epoch) {
            return Err(Failure::new(format_args!(
                "epoch {epoch} after epoch {} was acknowledged",
                options.acknowledged
            )));
        }
        supervisor::bring_back_all(&fs).await?;
        verify(MEMORY, &fs, options.seed).await?;
        drop(fs.unmount().await?);
        Ok(())
    })
}

/// Why the load has ended.
enum Ended {
    /// The console ended it.
    Enough,
    /// A member is to be replaced.
    ToReplace,
}

/// Why the load can't go on.
enum Stop {
    /// Too few nodes are left.
    NoQuorum(Error),
    /// Something went wrong that a quorum of good disks can't explain.
    Failed(Failure),
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        match error {
            Error::NoQuorum { .. } | Error::Lost => Self::NoQuorum(error),
            error => Self::Failed(error.into()),
        }
    }
}

impl From<Failure> for Stop {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

/// The load, across all mounts.
struct Load<'p> {
    platform: &'p Platform,
    options: &'p Options,
    /// The last epoch that was acknowledged.
    epoch: Cell<u64>,
    slowest_milliseconds: Cell<u64>,
}

impl Load<'_> {
    /// Mounts the cluster as soon as enough of it is there.
    async fn mount(&self) -> Result<FileSystem, Failure> {
        let mut said = None;
        loop {
            self.platform.serve_slots();
            let mounted = match mount(self.platform, self.options).await {
                Ok(fs) => fs.make_writable(&Undated).await,
                Err(error) => Err(error),
            };
            match mounted {
                Ok(fs) => {
                    supervisor::print_health(&fs);
                    return Ok(fs);
                }
                Err(MountError::NoMemory(error)) => return Err(error.into()),
                Err(error) => {
                    if said.as_ref() != Some(&error) {
                        println!("cluster: can't be mounted yet: {error}");
                        said = Some(error);
                    }
                }
            }
            self.platform.sleep(MOUNT_AGAIN).await;
        }
    }

    /// Runs epochs until told to end. The epoch that was under way when the cluster stopped may be there.
    async fn work(&self, fs: &FileSystem) -> Result<Ended, Stop> {
        let mut workload = Workload::resume(MEMORY, fs, self.options.seed).await?;
        let expected = self.epoch.get()..=self.epoch.get() + 1;
        if !expected.contains(&workload.epoch()) {
            let found = workload.epoch();
            return Err(Failure::new(format_args!("found epoch {found} instead of one of {expected:?}")).into());
        }
        let ended = loop {
            match orders::next() {
                None => {}
                Some(Order::End) => break Ended::Enough,
                Some(Order::Replace) => break Ended::ToReplace,
                Some(order) => orders::obey(self.platform, fs, order).await?,
            }
            let start = self.platform.timer.now();
            workload.next_epoch(fs).await?;
            let milliseconds = (self.platform.timer.now().nanoseconds - start.nanoseconds) / 1_000_000;
            self.slowest_milliseconds.set(milliseconds.max(self.slowest_milliseconds.get()));
            self.epoch.set(workload.epoch());
            if workload.epoch().is_multiple_of(COMPARE_EVERY) {
                self.compare(fs).await?;
                println!("epoch {}: durable, all compared; the last took {milliseconds} ms", workload.epoch());
            }
        };
        self.compare(fs).await?;
        Ok(ended)
    }

    async fn compare(&self, fs: &FileSystem) -> Result<(), Stop> {
        let found = verify(MEMORY, fs, self.options.seed).await?;
        if found == self.epoch.get() {
            return Ok(());
        }
        Err(Failure::new(format_args!("epoch {found} instead of {}", self.epoch.get())).into())
    }
}

/// A disk for a new owner.
async fn open(platform: &Platform, options: &Options, driver: &'static BlockDriver) -> Result<Disk, NoMemory> {
    let device = boxed_device(CLUSTER_MEMORY, driver)?;
    let disk = Disk::new(CLUSTER_MEMORY, device, platform.timer, DiskOptions { deadline: options.deadline })?;
    // The former owner may have left something under way.
    if let Err(error) = disk.reset().await {
        log::error!("{}: {error}", disk.info().name);
    }
    Ok(disk)
}

/// Mounts the cluster whose nodes are the disks.
async fn mount(platform: &Platform, options: &Options) -> Result<FileSystem, MountError> {
    let mut nodes = Vec::new_in(CLUSTER_MEMORY);
    for driver in &platform.disks {
        let disk = open(platform, options, driver).await?;
        let mut volumes = Vec::new_in(CLUSTER_MEMORY);
        memory::push(&mut volumes, disk)?;
        memory::push(&mut nodes, volumes)?;
    }
    let mut refused = |number, error: &_| log::warn!("goes on without node {number}: {error}");
    let cluster = FileSystem::open_nodes(CLUSTER_MEMORY, nodes, OPTIONS, &mut refused).await?;
    FileSystem::mount_pfs(CLUSTER_MEMORY, cluster, PfsSelector::Label(LABEL), OPTIONS).await
}

/// Runs `main` while other futures, which have no end, run beside it; they stop with it.
async fn beside<T, const N: usize>(
    main: impl Future<Output = T>,
    mut others: [Pin<&mut dyn Future<Output = ()>>; N],
) -> T {
    let mut main = pin!(main);
    poll_fn(|cx| {
        for other in &mut others {
            let _ = other.as_mut().poll(cx);
        }
        main.as_mut().poll(cx)
    })
    .await
}
