//! Scratch disks: formatting them, opening them for changes, checking them.

use super::OPTIONS;
use crate::fs::{FileSystem, TimeSource};
use crate::fsck::{self, Finding, FsckOptions, Observer, Progress, Severity};
use crate::io::Disk;
use crate::media::Timestamp;
use crate::memory::{self, Vec};
use crate::newfs::newfs;
use crate::random::Random;
use crate::selftest::image::IMAGE_TIME;
use crate::selftest::mounted::mount;
use crate::selftest::{Environment, Failure, ensure};

/// A clock that stands still, so that the same seed gives the same bytes.
pub(super) struct Standstill;

impl TimeSource for Standstill {
    fn now(&self) -> Timestamp {
        IMAGE_TIME
    }

    fn random(&self) -> u64 {
        0x5eed
    }
}

/// The first of the scratch disks.
pub(super) fn first_disks(environment: &dyn Environment, count: usize) -> Result<Vec<Disk>, Failure> {
    let mut disks = environment.scratch_disks()?;
    disks.truncate(count);
    Ok(disks)
}

/// Makes a filesystem on disks.
pub(super) async fn format(environment: &dyn Environment, disks: &[Disk]) -> Result<(), Failure> {
    format_with(environment, disks, environment.seed()).await
}

/// Makes a filesystem on disks; `seed` makes it differ from others.
pub(super) async fn format_with(environment: &dyn Environment, disks: &[Disk], seed: u64) -> Result<(), Failure> {
    let mut refs = Vec::new_in(environment.heap());
    for disk in disks {
        memory::push(&mut refs, disk)?;
    }
    let mut random = Random::new(seed);
    newfs(&refs, &OPTIONS, environment.heap(), &mut |bytes| random.fill(bytes), IMAGE_TIME).await?;
    Ok(())
}

/// Mounts a PFS for changes.
pub(super) async fn open(environment: &dyn Environment, disks: Vec<Disk>, label: &[u8]) -> Result<FileSystem, Failure> {
    let fs = mount(environment.heap(), disks, label).await?;
    Ok(fs.make_writable(&Standstill).await?)
}

/// Logs every problem found.
struct Findings<'e> {
    environment: &'e dyn Environment,
}

impl Observer for Findings<'_> {
    fn finding(&mut self, finding: &Finding<'_>) {
        if finding.severity == Severity::Problem {
            self.environment.log(format_args!("{finding}"));
        }
    }

    fn progress(&mut self, _: Progress) {}
}

/// Checks a filesystem strictly, as is right only for our own.
pub(super) async fn check(environment: &dyn Environment, disks: Vec<Disk>) -> Result<(), Failure> {
    let options = FsckOptions { cache_bytes: 1 << 20, strict: true };
    let summary = fsck::check(environment.heap(), disks, options, &mut Findings { environment }).await?;
    ensure(summary.problems == 0, format_args!("{} problems on a volume of our own", summary.problems))
}
