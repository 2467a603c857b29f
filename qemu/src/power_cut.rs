//! Writing until the power is cut, and checking what a cut has left: the kernel's half of `scripts/boot --power-cut`.

use hammer2_core::cluster::PfsSelector;
use hammer2_core::fs::{FileSystem, MountOptions};
use hammer2_core::io::{Disk, DiskOptions, boxed_device};
use hammer2_core::memory::{self, Vec};
use hammer2_core::selftest::{Failure, power_cut};
use hammer2_kmod_shim::executor::Executor;

use crate::options::Options;
use crate::platform::{CORE_MEMORY, MEMORY, Platform};
use crate::println;
use crate::time::Undated;
use crate::verdict::Verdict;

const LABEL: &[u8] = b"DATA";

/// Runs the workload on the volume on the first disk.
pub(crate) fn work(platform: &Platform, options: &Options) -> Verdict {
    verdict(platform, async {
        let fs = mount(platform).await?.make_writable(&Undated).await?;
        power_cut::work(MEMORY, &fs, options.seed, options.epochs, &mut |epoch| println!("durable {epoch}")).await
    })
}

/// Checks the volume on the first disk: it must hold the acknowledged epoch, or the next one.
pub(crate) fn check(platform: &Platform, options: &Options) -> Verdict {
    verdict(platform, async {
        let epoch = power_cut::verify(MEMORY, &mount(platform).await?, options.seed).await?;
        println!("found epoch {epoch}, acknowledged {}", options.acknowledged);
        if (options.acknowledged..=options.acknowledged + 1).contains(&epoch) {
            return Ok(());
        }
        Err(Failure::new(format_args!("epoch {epoch} after epoch {} was acknowledged", options.acknowledged)))
    })
}

/// Runs some work; returns its verdict.
pub(crate) fn verdict(platform: &Platform, work: impl Future<Output = Result<(), Failure>>) -> Verdict {
    let outcome = Executor::new(MEMORY).map_err(Failure::from).and_then(|executor| platform.run(&executor, work));
    match outcome {
        Ok(()) => Verdict::Pass,
        Err(failure) => {
            println!("FAILED  {}", failure.text());
            Verdict::Fail
        }
    }
}

async fn mount(platform: &Platform) -> Result<FileSystem, Failure> {
    let driver = platform.disks.first().ok_or_else(|| Failure::new(format_args!("no virtio disk is attached")))?;
    let device = boxed_device(CORE_MEMORY, *driver)?;
    let mut disks = Vec::new_in(CORE_MEMORY);
    memory::push(&mut disks, Disk::new(CORE_MEMORY, device, platform.timer, DiskOptions::default())?)?;
    Ok(FileSystem::mount(CORE_MEMORY, disks, PfsSelector::Label(LABEL), MountOptions::default()).await?)
}
