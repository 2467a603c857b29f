//! Commits that serve many callers: how many there are, and which callers get a failure.

use std::cell::RefCell;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::Poll;

use allocator_api2::alloc::Global;
use hammer2_core::cluster::PfsSelector;
use hammer2_core::fs::{Error, FileSystem, MountOptions, NewFile};
use hammer2_core::io::wrap::{Counted, Counters, Effect, Fault, FaultPlan, Faulty, Operations};
use hammer2_core::io::{DeviceError, Disk, DiskOptions, Wakers, boxed_device};
use hammer2_core::media::{FileKind, Inum, Timestamp};
use hammer2_core::memory::{Heap, Vec as HeapVec, push};
use hammer2_core::newfs::{NewfsOptions, newfs};
use hammer2_host::clock::HostClock;
use hammer2_host::device::{Access, FileDevice};
use hammer2_host::executor::Executor;
use hammer2_host::time_source::HostTime;
use tempfile::NamedTempFile;

const HEAP: Heap = &Global;
const CALLERS: u8 = 100;
/// The flushes of a commit on a volume with one header copy: after the blocks, the header's twin, and the header.
const FLUSHES_OF_A_COMMIT: u64 = 3;

/// A new filesystem on a device that counts, fails as planned, and does everything in threads of its own.
struct Subject {
    image: NamedTempFile,
    clock: &'static HostClock,
    counters: Rc<Counters>,
    plan: Rc<FaultPlan>,
}

impl Subject {
    fn new() -> Self {
        let image = NamedTempFile::new().unwrap();
        image.as_file().set_len(64 << 20).unwrap();
        let plan = Rc::new(FaultPlan::new(HEAP));
        Self { image, clock: HostClock::leaked(), counters: Rc::default(), plan }
    }

    fn disks(&self) -> HeapVec<Disk> {
        let file = FileDevice::open(self.image.path(), Access::Write).unwrap().always_by_workers();
        let device = Counted::new(Faulty::new(HEAP, file, self.plan.clone()).unwrap(), self.counters.clone());
        let mut disks = HeapVec::new_in(HEAP);
        let device = boxed_device(HEAP, device).unwrap();
        push(&mut disks, Disk::new(HEAP, device, self.clock, DiskOptions::default()).unwrap()).unwrap();
        disks
    }

    /// A new filesystem with a file for each caller, all of it durable.
    fn mounted(&self) -> FileSystem {
        let mounted = async {
            let disks = self.disks();
            let references: Vec<&Disk> = disks.iter().collect();
            let options = NewfsOptions::default();
            newfs(&references, &options, HEAP, &mut |bytes| bytes.fill(7), Timestamp::default()).await.unwrap();
            drop(disks);
            let options = MountOptions::default();
            let fs = FileSystem::mount(HEAP, self.disks(), PfsSelector::Default, options).await.unwrap();
            let fs = fs.make_writable(&HostTime).await.unwrap();
            for caller in 0..CALLERS {
                fs.create(Inum::PFS_ROOT, &[caller | 0x80], &NewFile::new(FileKind::Regular, 0o644)).await.unwrap();
            }
            fs.sync().await.unwrap();
            fs
        };
        let fs = Executor::new(self.clock).block_on(mounted);
        self.counters.take();
        fs
    }

    /// Makes every caller write to its file, and sync it once all have written; returns the result of each.
    fn write_and_sync(&self, fs: &FileSystem) -> Vec<Result<(), Error>> {
        let (outcomes, told) = (RefCell::new(Vec::new()), Wakers::new(HEAP));
        let executor = Executor::new(self.clock);
        // All writes come first, as the number of commits must not depend on which of them the device finishes first.
        let written = executor.block_on(async {
            let mut written = Vec::new();
            for caller in 0..CALLERS {
                let file = fs.lookup(Inum::PFS_ROOT, &[caller | 0x80]).await.unwrap();
                fs.write(file, 0, &[caller; 600]).await.unwrap();
                written.push(file);
            }
            written
        });
        for file in written {
            let (outcomes, told) = (&outcomes, &told);
            executor.spawn(async move {
                let outcome = fs.fsync(file).await;
                outcomes.borrow_mut().push(outcome);
                told.wake_all();
            });
        }
        executor.block_on(poll_fn(|cx| {
            if outcomes.borrow().len() == usize::from(CALLERS) {
                return Poll::Ready(());
            }
            told.register(cx.waker());
            Poll::Pending
        }));
        drop(executor);
        outcomes.take()
    }
}

#[test]
fn a_hundred_callers_share_two_or_three_commits() {
    let subject = Subject::new();
    let fs = subject.mounted();
    assert_eq!(subject.write_and_sync(&fs), [Ok(()); CALLERS as usize]);
    let flushes = subject.counters.counts().flushes;
    assert!((1..=3 * FLUSHES_OF_A_COMMIT).contains(&flushes), "{flushes} flushes for {CALLERS} callers");
}

#[test]
fn a_commit_that_fails_is_told_to_all_and_never_works_later() {
    let subject = Subject::new();
    let fs = subject.mounted();
    subject.plan.add(Fault::once(Operations::FLUSH, Effect::Fail(DeviceError::Io(5)))).unwrap();
    let failed = |outcome: &Result<(), Error>| matches!(outcome, Err(Error::Io(_)));
    assert!(subject.write_and_sync(&fs).iter().all(failed));
    for _ in 0..3 {
        assert!(failed(&Executor::new(subject.clock).block_on(fs.sync())));
    }
}
