//! Workers of every kind, and what comes of them.

extern crate std;

use core::cell::{Cell, RefCell};
use core::pin::pin;
use core::task::{Context, Waker};
use std::boxed::Box;
use std::rc::Rc;
use std::vec;
use std::vec::Vec;

use super::*;
use crate::cluster::PfsSelector;
use crate::fs::{MountOptions, NewFile};
use crate::io::testing::{HEAP, Still, pattern};
use crate::io::{Disk, DiskOptions, MemoryDevice, MemoryDisk, TimeSource, Tools, boxed_device};
use crate::media::{Corruption, FileKind, Inum, Timestamp};
use crate::newfs::{NewfsOptions, newfs};

/// How jobs are done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Manner {
    /// By who asks first, the last one first.
    Backwards,
    /// When told.
    Held,
    /// None is taken.
    Refused,
    /// Each is given back as it was.
    Undone,
    /// Nobody begins.
    Idle,
    /// Everything that is decoded is damaged.
    Damaged,
}

/// Workers without a processor of their own.
struct Bench {
    manner: Cell<Manner>,
    /// By number; those that have come back or were given up are gone.
    jobs: RefCell<Vec<Option<(Job, bool)>>>,
    tools: RefCell<Tools>,
    most: usize,
    given_up: Cell<usize>,
}

impl Bench {
    fn leaked(manner: Manner, most: usize) -> &'static Self {
        Box::leak(Box::new(Self {
            manner: Cell::new(manner),
            jobs: RefCell::default(),
            tools: RefCell::new(Tools::new(HEAP)),
            most,
            given_up: Cell::new(0),
        }))
    }

    fn under_way(&self) -> usize {
        self.jobs.borrow().iter().flatten().count()
    }

    fn do_last(&self) {
        let mut jobs = self.jobs.borrow_mut();
        let Some((job, done)) = jobs.iter_mut().rev().flatten().find(|(_, done)| !done) else { return };
        match self.manner.get() {
            Manner::Undone => {}
            _ => job.run(&mut self.tools.borrow_mut()),
        }
        if let (Manner::Damaged, Job::Decode { decoded, .. }) = (self.manner.get(), job) {
            *decoded = Some(Err(Corruption::Lz4));
        }
        *done = true;
    }
}

impl Workers for Bench {
    fn submit(&self, job: Job) -> Result<JobId, Job> {
        if self.manner.get() == Manner::Refused || self.under_way() == self.most {
            return Err(job);
        }
        let mut jobs = self.jobs.borrow_mut();
        jobs.push(Some((job, false)));
        Ok(JobId(jobs.len() - 1))
    }

    fn poll(&self, id: JobId, cx: &mut Context<'_>) -> Poll<Job> {
        if matches!(self.manner.get(), Manner::Held | Manner::Idle) {
            return Poll::Pending;
        }
        self.do_last();
        let mut jobs = self.jobs.borrow_mut();
        match jobs[id.0].take() {
            Some((job, true)) => Poll::Ready(job),
            other => {
                jobs[id.0] = other;
                cx.waker().wake_by_ref();
                Poll::Pending
            }
        }
    }

    fn recall(&self, id: JobId) -> Option<Job> {
        let is_idle = self.manner.get() == Manner::Idle;
        is_idle.then(|| self.jobs.borrow_mut()[id.0].take()).flatten().map(|(job, _)| job)
    }

    fn give_up(&self, id: JobId) {
        assert!(self.jobs.borrow_mut()[id.0].take().is_some());
        self.given_up.set(self.given_up.get() + 1);
    }
}

struct NoTime;

impl TimeSource for NoTime {
    fn now(&self) -> Timestamp {
        Timestamp { microseconds: 0 }
    }

    fn random(&self) -> u64 {
        5
    }
}

/// What a future gives that waits for disks in memory and for workers.
fn run<T>(future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    for _ in 0..10_000 {
        if let Poll::Ready(done) = future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            return done;
        }
    }
    panic!("it waits for ever");
}

fn open(disk: &Rc<MemoryDisk>) -> Disk {
    let device = MemoryDevice::new(HEAP, Rc::clone(disk), &"memory", 32).unwrap();
    Disk::new(HEAP, boxed_device(HEAP, device).unwrap(), &Still, DiskOptions::default()).unwrap()
}

/// An empty filesystem, mounted.
fn mounted(workers: Option<&'static Bench>) -> (FileSystem, Rc<MemoryDisk>) {
    let disk = Rc::new(MemoryDisk::new(HEAP, 64 << 20));
    let time = Timestamp { microseconds: 0 };
    run(newfs(&[&open(&disk)], &NewfsOptions::default(), HEAP, &mut |bytes| bytes.fill(3), time)).unwrap();
    let mut fs = remounted(&disk);
    workers.into_iter().for_each(|workers| fs.use_workers(workers));
    (fs, disk)
}

fn remounted(disk: &Rc<MemoryDisk>) -> FileSystem {
    let mut disks = crate::memory::Vec::new_in(HEAP);
    disks.push(open(disk));
    let options = MountOptions { memory_bytes: 16 << 20, spare_nodes: 0 };
    run(async {
        let fs = FileSystem::mount(HEAP, disks, PfsSelector::Default, options).await.unwrap();
        fs.make_writable(&NoTime).await.unwrap()
    })
}

fn file(fs: &FileSystem, name: &[u8]) -> Inum {
    run(fs.create(Inum::PFS_ROOT, name, &NewFile::new(FileKind::Regular, 0o600))).unwrap()
}

/// Blocks that are text, noise, zeros and text again, and half a block.
fn content() -> Vec<u8> {
    let mut content = Vec::new();
    for index in 0..22 {
        let mut block = vec![0; FILE_BLOCK_BYTES];
        match index % 5 {
            1 => block.copy_from_slice(pattern(FILE_BLOCK_BYTES, index).bytes()),
            3 => {}
            _ => block.iter_mut().enumerate().for_each(|(at, byte)| *byte = (at as u64 / (7 + index)) as u8),
        }
        content.extend(block);
    }
    content.truncate(21 * FILE_BLOCK_BYTES + FILE_BLOCK_BYTES / 2);
    content
}

/// Writes a file, a part of it again over pieces, and reads it, from both places; and the disk afterwards.
fn written(workers: Option<&'static Bench>) -> Rc<MemoryDisk> {
    let (fs, disk) = mounted(workers);
    let mut expected = content();
    let inum = file(&fs, b"file");
    let read = |fs: &FileSystem, expected: &[u8]| {
        let mut found = vec![0xee; expected.len()];
        assert_eq!(run(fs.read(inum, 0, &mut found)), Ok(expected.len()));
        assert!(found == expected);
    };
    run(fs.write(inum, 0, &expected)).unwrap();
    read(&fs, &expected);
    run(fs.sync()).unwrap();
    // Pieces of blocks that aren't in memory, which some blocks below go over.
    for block in [2, 4, 9] {
        let at = block * FILE_BLOCK_BYTES + 4096;
        expected[at..at + 4096].fill(block as u8);
        run(fs.write(inum, at as u64, &vec![block as u8; 4096])).unwrap();
    }
    read(&fs, &expected);
    let (start, end) = (FILE_BLOCK_BYTES + 100, 7 * FILE_BLOCK_BYTES + 100);
    expected[start..end].fill(b'n');
    run(fs.write(inum, start as u64, &expected[start..end])).unwrap();
    read(&fs, &expected);
    run(fs.unmount()).unwrap();
    read(&remounted(&disk), &expected);
    disk
}

#[test]
fn whoever_does_it_in_whatever_order_the_same_is_stored() {
    let alone = written(None);
    for (manner, most) in [
        (Manner::Backwards, 1),
        (Manner::Backwards, 3),
        (Manner::Backwards, 100),
        (Manner::Refused, 0),
        (Manner::Undone, 3),
        (Manner::Idle, 3),
    ] {
        let bench = Bench::leaked(manner, most);
        let disk = written(Some(bench));
        let mut pieces = [[0; 4096]; 2];
        for offset in (0..alone.size_bytes()).step_by(4096) {
            disk.read_at(offset, &mut pieces[0]).unwrap();
            alone.read_at(offset, &mut pieces[1]).unwrap();
            assert!(pieces[0] == pieces[1], "{manner:?}: other bytes at {offset:#x}");
        }
        assert_eq!(bench.under_way() + bench.given_up.get(), 0);
        assert_eq!(bench.jobs.borrow().is_empty(), manner == Manner::Refused, "{manner:?}");
    }
}

#[test]
fn who_waits_for_workers_can_go_and_others_do_not_wait() {
    let bench = Bench::leaked(Manner::Backwards, 4);
    let (fs, _) = mounted(Some(bench));
    let (first, second) = (file(&fs, b"first"), file(&fs, b"second"));
    let content = content();
    run(fs.write(first, 0, &content)).unwrap();
    run(fs.write(second, 0, b"something")).unwrap();
    run(fs.sync()).unwrap();
    bench.manner.set(Manner::Held);
    let poll = |future: core::pin::Pin<&mut dyn Future<Output = Result<usize, Error>>>| {
        future.poll(&mut Context::from_waker(Waker::noop()))
    };
    let mut found = vec![0; content.len()];
    {
        let mut reading = pin!(fs.read(first, 0, &mut found));
        assert!(poll(reading.as_mut()).is_pending());
        assert_eq!(bench.under_way(), 4);
        let mut other = [0; 9];
        assert_eq!(run(fs.read(second, 0, &mut other)), Ok(9));
    }
    assert_eq!((bench.under_way(), bench.given_up.get()), (0, 4));
    {
        let mut writing = pin!(async { fs.write(first, 0, &content[FILE_BLOCK_BYTES..]).await.map(|()| 0) });
        assert!(poll(writing.as_mut()).is_pending());
        assert_eq!(bench.under_way(), 4);
    }
    assert_eq!((bench.under_way(), bench.given_up.get()), (0, 8));
    bench.manner.set(Manner::Backwards);
    run(fs.read(first, 0, &mut found)).unwrap();
    assert!(found[..FILE_BLOCK_BYTES] == content[FILE_BLOCK_BYTES..2 * FILE_BLOCK_BYTES], "what was done stays");
    run(fs.write(first, 0, &content)).unwrap();
    run(fs.read(first, 0, &mut found)).unwrap();
    assert!(found == content);
}

#[test]
fn damage_that_workers_find_is_told() {
    let bench = Bench::leaked(Manner::Backwards, 4);
    let (fs, _) = mounted(Some(bench));
    let inum = file(&fs, b"file");
    let content = content();
    run(fs.write(inum, 0, &content)).unwrap();
    bench.manner.set(Manner::Damaged);
    let mut found = vec![0; content.len()];
    assert_eq!(run(fs.read(inum, 0, &mut found)), Err(Error::Corrupt { inum, corruption: Corruption::Lz4 }));
    assert_eq!(bench.under_way(), 0);
}
