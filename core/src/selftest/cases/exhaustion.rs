//! Running out of memory: at every allocation in turn, and by the budget.

use super::{DATA, VOLUME_BYTES, populated};
use crate::fs::MountError;
use crate::media::Inum;
use crate::memory::Heap;
use crate::node::OpenError;
use crate::selftest::image::population::Scale;
use crate::selftest::image::{Image, Spread};
use crate::selftest::mounted::{MOUNT_BYTES, mount, read_everything};
use crate::selftest::{Case, Environment, Failure, Meter, block_on, ensure};

pub(super) const CASES: &[Case] = &[
    Case { name: "memory: a mount keeps to its budget and gives all back", run: budget },
    Case { name: "memory: any allocation of mount and walk may fail", run: every_allocation },
    Case { name: "memory: a budget too small is refused, and the next mount works", run: too_small },
];

/// How much larger a heap is than the budget that the mount is told.
const MARGIN_BYTES: usize = 512 << 10;

/// Mounts and reads everything; returns the number of names found, or the out-of-memory error.
async fn walk(environment: &dyn Environment, heap: Heap, image: &Image) -> Result<Option<u64>, Failure> {
    // The disks belong to the environment; only the mount is tested.
    let disks = image.open(environment.heap(), environment.clock())?;
    let fs = match mount(heap, disks, DATA).await {
        Ok(fs) => fs,
        Err(error) if is_no_memory(&error) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let census = read_everything(environment.heap(), &fs).await?;
    ensure(census.errors == census.out_of_memory, format_args!("{census:?}"))?;
    if census.out_of_memory > 0 {
        // Nothing may be lost for good: what failed must work now.
        let again = read_everything(environment.heap(), &fs).await?;
        ensure(again.errors == 0, format_args!("{again:?} after memory was there again"))?;
        return Ok(None);
    }
    Ok(Some(census.names))
}

fn is_no_memory(error: &MountError) -> bool {
    use crate::cluster::OpError;
    matches!(
        error,
        MountError::NoMemory(_) | MountError::Op(OpError::NoMemory) | MountError::Open(OpenError::NoMemory(_))
    )
}

fn check_balance(meter: &dyn Meter) -> Result<(), Failure> {
    ensure(meter.used_bytes() == 0, format_args!("{} bytes not given back", meter.used_bytes()))
}

fn budget(environment: &dyn Environment) -> Result<(), Failure> {
    let meter = environment.meter();
    meter.set_limit_bytes(MOUNT_BYTES + MARGIN_BYTES);
    block_on(environment, async {
        let (image, objects) = populated(environment, &[4 * VOLUME_BYTES], Spread::Packed, Scale::LARGE).await?;
        let names = walk(environment, meter.heap(), &image).await?;
        ensure(names == Some(objects.len() as u64), format_args!("{names:?} names instead of {}", objects.len()))?;
        environment.log(format_args!("{} bytes at most for {} names", meter.peak_bytes(), objects.len()));
        check_balance(meter)
    })
}

fn every_allocation(environment: &dyn Environment) -> Result<(), Failure> {
    let meter = environment.meter();
    meter.set_limit_bytes(MOUNT_BYTES + MARGIN_BYTES);
    block_on(environment, async {
        let (image, objects) = populated(environment, &[VOLUME_BYTES], Spread::Packed, Scale::TINY).await?;
        let first = meter.allocations();
        let names = walk(environment, meter.heap(), &image).await?;
        let allocations = meter.allocations() - first;
        ensure(names == Some(objects.len() as u64), format_args!("{names:?} names without a failure"))?;
        let mut failed: u64 = 0;
        for index in 0..allocations {
            meter.fail_at(meter.allocations() + index);
            let names = walk(environment, meter.heap(), &image).await;
            meter.fail_at(u64::MAX);
            let names = names.map_err(|failure| failure.of(format_args!("allocation {index}")))?;
            failed += u64::from(names.is_none());
            ensure(
                names.is_none_or(|names| names == objects.len() as u64),
                format_args!("allocation {index}: {names:?}"),
            )?;
            check_balance(meter)?;
        }
        environment.log(format_args!("{failed} of {allocations} failed allocations reached the caller"));
        ensure(failed > 0, format_args!("no allocation failed"))
    })
}

fn too_small(environment: &dyn Environment) -> Result<(), Failure> {
    let meter = environment.meter();
    block_on(environment, async {
        let (image, objects) = populated(environment, &[VOLUME_BYTES], Spread::Packed, Scale::TINY).await?;
        for limit in [0, 1000, 64 << 10, 1 << 20] {
            meter.set_limit_bytes(limit);
            let fs = mount(meter.heap(), image.open(environment.heap(), environment.clock())?, DATA).await;
            let refused = matches!(&fs, Err(error) if is_no_memory(error));
            // With enough memory it may be mounted; a read then fails or succeeds, but does nothing else.
            if let Ok(fs) = &fs {
                let _ = fs.lookup(Inum::PFS_ROOT, b"sizes").await;
            }
            ensure(
                refused || fs.is_ok(),
                format_args!(
                    "with {limit} bytes: {:?}",
                    fs.as_ref().err().map(|error| Failure::new(format_args!("{error}")))
                ),
            )?;
            ensure(meter.used_bytes() <= limit, format_args!("{} of {limit} bytes used", meter.used_bytes()))?;
            drop(fs);
            check_balance(meter)?;
        }
        meter.set_limit_bytes(MOUNT_BYTES + MARGIN_BYTES);
        let names = walk(environment, meter.heap(), &image).await?;
        ensure(names == Some(objects.len() as u64), format_args!("{names:?} names with enough memory"))
    })
}
