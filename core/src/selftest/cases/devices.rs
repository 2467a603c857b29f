//! Devices that fail and devices that never answer.

use alloc::rc::Rc;

use super::{DATA, VOLUME_BYTES, populated};
use crate::fs::{Error, FileSystem, MountError};
use crate::io::wrap::{Counted, Counters, Effect, Fault, FaultPlan, Faulty, Operations};
use crate::io::{DeviceError, Disk, DiskOptions, Duration, MemoryDevice, boxed_device};
use crate::media::Inum;
use crate::memory::{self, Vec};
use crate::selftest::image::population::Scale;
use crate::selftest::image::{Image, Spread};
use crate::selftest::mounted::{compare_all, mount, read_everything};
use crate::selftest::{Case, Environment, Failure, block_on, ensure};

pub(super) const CASES: &[Case] = &[
    Case { name: "devices: any read of mount and walk may fail", run: every_read },
    Case { name: "devices: one that never answers ends in time", run: silence },
];

/// How long the cases wait for a device that doesn't answer.
const DEADLINE: Duration = Duration::from_millis(50);
const QUEUE_DEPTH: u16 = 16;

/// The image's one disk, behind a plan of faults and counted.
fn open(
    environment: &dyn Environment,
    image: &Image,
    plan: &Rc<FaultPlan>,
    counters: &Rc<Counters>,
) -> Result<Vec<Disk>, Failure> {
    let heap = environment.heap();
    let mut disks = Vec::new_in(heap);
    for disk in image.disks() {
        let device = MemoryDevice::new(heap, disk.clone(), &"memory", QUEUE_DEPTH)?;
        let device = Counted::new(Faulty::new(heap, device, plan.clone())?, counters.clone());
        let options = DiskOptions { deadline: DEADLINE };
        memory::push(&mut disks, Disk::new(heap, boxed_device(heap, device)?, environment.clock(), options)?)?;
    }
    Ok(disks)
}

fn every_read(environment: &dyn Environment) -> Result<(), Failure> {
    let heap = environment.heap();
    block_on(environment, async {
        let (image, objects) = populated(environment, &[VOLUME_BYTES], Spread::Packed, Scale::TINY).await?;
        let (plan, counters) = (Rc::new(FaultPlan::new(heap)), Rc::new(Counters::default()));
        let fs = mount(heap, open(environment, &image, &plan, &counters)?, DATA).await?;
        read_everything(heap, &fs).await?;
        drop(fs);
        let reads = counters.take().reads;
        let mut noticed: u64 = 0;
        for skip in 0..reads {
            let at = |failure: Failure| failure.of(format_args!("read {skip}"));
            plan.clear();
            plan.add(Fault { skip, ..Fault::once(Operations::READ, Effect::Fail(DeviceError::Io(5))) })?;
            let fs = match mount(heap, open(environment, &image, &plan, &counters)?, DATA).await {
                Ok(fs) => fs,
                Err(MountError::Op(_) | MountError::Open(_)) => {
                    noticed += 1;
                    continue;
                }
                Err(error) => return Err(at(error.into())),
            };
            let census = read_everything(heap, &fs).await.map_err(at)?;
            noticed += u64::from(census.errors > 0);
            // Now that the device works again, everything must.
            compare_all(environment, &fs, &objects).await.map_err(at)?;
        }
        environment.log(format_args!("{noticed} of {reads} failed reads reached the caller"));
        ensure(noticed > 0, format_args!("no failure was noticed"))
    })
}

fn silence(environment: &dyn Environment) -> Result<(), Failure> {
    const MOST: Duration = Duration::from_secs(2);
    let (heap, clock) = (environment.heap(), environment.clock());
    block_on(environment, async {
        let (image, objects) = populated(environment, &[VOLUME_BYTES], Spread::Packed, Scale::TINY).await?;
        let (plan, counters) = (Rc::new(FaultPlan::new(heap)), Rc::new(Counters::default()));
        let fs = mount(heap, open(environment, &image, &plan, &counters)?, DATA).await?;

        plan.add(Fault::always(Operations::all(), Effect::Hang))?;
        let start = clock.now();
        let read = first_file(&fs).await;
        let timed_out = matches!(read, Err(Error::Io(fault)) if fault.is_timeout());
        ensure(timed_out, format_args!("reading a silent device: {read:?}"))?;
        let mounted = mount(heap, open(environment, &image, &plan, &counters)?, DATA).await;
        ensure(matches!(mounted, Err(MountError::Open(_))), format_args!("a silent device is mounted"))?;
        ensure(clock.now() < start.after(MOST), format_args!("waited too long"))?;

        plan.clear();
        plan.release();
        compare_all(environment, &fs, &objects).await
    })
}

async fn first_file(fs: &FileSystem) -> Result<Inum, Error> {
    let directory = fs.lookup(Inum::PFS_ROOT, b"sizes").await?;
    fs.lookup(directory, b"d1").await
}
