//! Cuts the power of a disk afterwards, by replaying the log of its writes: the host's half of `scripts/boot --power-cut`.
//!
//! `power_cut LOG BASE SEED CUTS KEEP DIR`: BASE is the disk as it was before, SEED that of the workload and of the cuts. At CUTS
//! places a disk is made as the cut would leave it: with all flushed writes, and some of the rest, in any order, some of them
//! torn. Each is checked by fsck and must hold everything that was acknowledged. KEEP of them are left in DIR for the kernel to
//! check, with a line `kept FILE SEED ACKNOWLEDGED` for each.

use std::error::Error;
use std::fs::{self, File};
use std::path::Path;
use std::rc::Rc;

use allocator_api2::alloc::Global;
use hammer2_core::cluster::PfsSelector;
use hammer2_core::fs::{FileSystem, MountOptions};
use hammer2_core::fsck::{self, Finding, FsckOptions, Observer, Progress, Severity};
use hammer2_core::io::{Disk, DiskOptions, MemoryDevice, MemoryDisk, boxed_device};
use hammer2_core::memory::{self, Heap, Vec as HeapVec};
use hammer2_core::random::Random;
use hammer2_core::selftest::power_cut::{MARKER_BYTES, epoch_of, verify};
use hammer2_host::clock::HostClock;
use hammer2_host::device::{load_image, save_image};
use hammer2_host::executor::Executor;
use hammer2_host::replay::Replay;
use hammer2_host::replay::write_log::{self, Event};

const HEAP: Heap = &Global;
const LABEL: &[u8] = b"DATA";

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [log, base, seed, cuts, keep, folder] = &arguments[..] else {
        return Err("usage: power_cut LOG BASE SEED CUTS KEEP DIR".into());
    };
    let log = fs::read(log)?;
    let events = write_log::parse(&log)?;
    let mut cutter = Cutter {
        seed: seed.parse()?,
        random: Random::new(seed.parse()?),
        clock: HostClock::leaked(),
        replay: Replay::new(load_image(HEAP, &File::open(base)?)?),
    };
    let (cuts, keep): (usize, usize) = (cuts.parse()?, keep.parse()?);
    let acknowledged = cutter.run(&events, cuts, keep, Path::new(folder))?;
    let flushes = events.iter().filter(|event| **event == Event::Flush).count();
    println!("{cuts} cuts in {} writes and {flushes} flushes, {acknowledged} epochs", events.len() - flushes);
    Ok(())
}

/// A disk on its way through the log, which is cut now and then.
struct Cutter<'l> {
    seed: u64,
    random: Random,
    clock: &'static HostClock,
    replay: Replay<'l>,
}

impl<'l> Cutter<'l> {
    /// Goes through the log and cuts; returns the epochs that were acknowledged at its end.
    fn run(&mut self, events: &[Event<'l>], cuts: usize, keep: usize, folder: &Path) -> Result<u64, Box<dyn Error>> {
        let mut places: Vec<usize> = (0..cuts).map(|_| self.random.index(events.len()) + 1).collect();
        places.sort_unstable();
        let mut cut = 0;
        let mut acknowledged = 0;
        for (index, event) in events.iter().enumerate() {
            if let Event::Write { data, .. } = *event {
                acknowledged = acknowledged.max(newest_marker(data).unwrap_or(1) - 1);
            }
            self.replay.take(*event)?;
            while places.get(cut) == Some(&(index + 1)) {
                let disk = Rc::new(self.replay.cut(&mut self.random)?);
                self.check(&disk, acknowledged).map_err(|error| format!("cut {cut}, behind entry {index}: {error}"))?;
                // The kept disks are spread evenly over the log.
                if (cut + 1) * keep / cuts > cut * keep / cuts {
                    let path = folder.join(format!("cut-{cut}.img"));
                    save_image(&disk, &File::create_new(&path)?)?;
                    println!("kept {} {} {acknowledged}", path.display(), self.seed);
                }
                cut += 1;
            }
        }
        Ok(acknowledged)
    }

    /// Mounts a disk after the cut: everything acknowledged must be there, and fsck must find nothing but torn header copies.
    fn check(&self, disk: &Rc<MemoryDisk>, acknowledged: u64) -> Result<(), Box<dyn Error>> {
        let mut findings = Findings(Vec::new());
        let epoch = Executor::new(self.clock).block_on(async {
            let options = FsckOptions { strict: true, cache_bytes: 0 };
            fsck::check(HEAP, self.disks(disk)?, options, &mut findings).await?;
            let selector = PfsSelector::Label(LABEL);
            let fs = FileSystem::mount(HEAP, self.disks(disk)?, selector, MountOptions::default()).await?;
            let verified = verify(HEAP, &fs, self.seed).await;
            verified.map_err(|failure| Box::<dyn Error>::from(failure.text().to_owned()))
        })?;
        if !findings.0.is_empty() {
            return Err(findings.0.join("; ").into());
        }
        if !(acknowledged..=acknowledged + 1).contains(&epoch) {
            return Err(format!("found epoch {epoch} after epoch {acknowledged} was acknowledged").into());
        }
        Ok(())
    }

    fn disks(&self, disk: &Rc<MemoryDisk>) -> Result<HeapVec<Disk>, Box<dyn Error>> {
        let mut disks = HeapVec::new_in(HEAP);
        let device = boxed_device(HEAP, MemoryDevice::new(HEAP, Rc::clone(disk), &"memory", 64)?)?;
        memory::push(&mut disks, Disk::new(HEAP, device, self.clock, DiskOptions::default())?)?;
        Ok(disks)
    }
}

/// The newest epoch whose marker is among the blocks of a write.
fn newest_marker(data: &[u8]) -> Option<u64> {
    data.chunks(MARKER_BYTES).filter_map(epoch_of).max()
}

struct Findings(Vec<String>);

impl Observer for Findings {
    fn finding(&mut self, finding: &Finding<'_>) {
        if finding.severity == Severity::Problem && finding.place.header.is_none() {
            self.0.push(finding.to_string());
        }
    }

    fn progress(&mut self, _: Progress) {}
}
