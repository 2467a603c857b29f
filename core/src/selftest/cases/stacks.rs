//! How much of the stack the core takes: for making the future of an operation, and for polling it from beginning to end. In a
//! kernel that is all of the stack beyond the kernel's own part.
//!
//! A host can't measure this; there the operations are only done.

use core::future::poll_fn;
use core::task::Poll;

use super::clusters::{LABEL, Members, OPTIONS};
use super::files::{name, populate};
use super::scratch::{Standstill, check, first_disks, format};
use super::{DATA, VOLUME_BYTES};
use crate::cluster::{EntryBatch, NewPfs, NodeIndex, PfsSelector};
use crate::fs::{Allocation, Cookie, FileSystem, NewAttributes, NewFile};
use crate::io::DeviceError;
use crate::io::wrap::{Effect, Fault, Operations};
use crate::media::geometry::FILE_BLOCK_BYTES;
use crate::media::{FileKind, Inum, PfsKind, Uuid};
use crate::memory::{self, aside};
use crate::selftest::image::{Content, IMAGE_TIME};
use crate::selftest::{Case, Environment, Failure, block_on, ensure};

pub(super) const CASES: &[Case] = &[
    Case { name: "stacks: what is done with one disk takes little of the stack", run: of_one },
    Case { name: "stacks: what is done with three disks takes little of the stack", run: of_three },
];

/// The limit for what users ask for. The design wants 8 KiB.
const OPERATION_BYTES: usize = 14 << 10;
/// The limit for mounting, checking, and what administrators ask for. The design wants 12 KiB.
const ADMINISTRATION_BYTES: usize = 28 << 10;

/// Measures operations, and remembers which takes most.
struct Gauge<'e> {
    environment: &'e dyn Environment,
    most_bytes: usize,
    /// The operation that takes most, and its bytes.
    deepest: (&'static str, usize),
}

impl<'e> Gauge<'e> {
    fn new(environment: &'e dyn Environment, most_bytes: usize) -> Self {
        Self { environment, most_bytes, deepest: ("", 0) }
    }

    /// Runs and measures an operation.
    async fn measure<T, E: Into<Failure>, F: Future<Output = Result<T, E>>>(
        &mut self,
        what: &'static str,
        make: impl FnOnce() -> F,
    ) -> Result<T, Failure> {
        let environment = self.environment;
        let (mut make, mut made) = (Some(make), None);
        let mut bytes = environment.stack_bytes_of(&mut || {
            made = make.take().map(|make| aside(environment.heap(), make));
        });
        let Some(made) = made else { return Err(Failure::new(format_args!("{what}: it was never begun"))) };
        let mut future = made?;
        let done = poll_fn(|cx| {
            let mut polled = Poll::Pending;
            bytes = bytes.max(environment.stack_bytes_of(&mut || polled = future.as_mut().poll(cx)));
            polled
        })
        .await;
        if bytes > Some(self.deepest.1) {
            self.deepest = (what, bytes.unwrap_or_default());
        }
        if bytes > Some(self.most_bytes) {
            environment.log(format_args!("{what}: {} bytes", bytes.unwrap_or_default()));
        }
        done.map_err(Into::into)
    }

    fn conclude(self) -> Result<(), Failure> {
        let Self { environment, most_bytes, deepest: (what, bytes) } = self;
        if bytes > 0 {
            environment.log(format_args!("the deepest of {most_bytes} bytes: {what} with {bytes}"));
        }
        ensure(bytes <= most_bytes, format_args!("{what} takes {bytes} bytes of the stack, more than {most_bytes}"))
    }
}

fn of_one(environment: &dyn Environment) -> Result<(), Failure> {
    block_on(environment, async {
        format(environment, &first_disks(environment, 1)?).await?;
        let mut rare = Gauge::new(environment, ADMINISTRATION_BYTES);
        let (heap, disks) = (environment.heap(), first_disks(environment, 1)?);
        let mount = || FileSystem::mount(heap, disks, PfsSelector::Label(DATA), OPTIONS);
        let fs = rare.measure("mount", mount).await?;
        let fs = rare.measure("make_writable", || fs.make_writable(&Standstill)).await?;
        operate(environment, &fs).await?;
        administer(&mut rare, &fs).await?;
        rare.measure("unmount", || fs.unmount()).await?;
        let disks = first_disks(environment, 1)?;
        rare.measure("fsck", || check(environment, disks)).await?;
        rare.conclude()
    })
}

fn of_three(environment: &dyn Environment) -> Result<(), Failure> {
    block_on(environment, async {
        let members = Members::created(environment, &[PfsKind::Master; 3]).await?;
        let mut rare = Gauge::new(environment, ADMINISTRATION_BYTES);
        let cluster = rare.measure("open", || members.open()).await?;
        let selector = PfsSelector::Label(LABEL);
        let fs =
            rare.measure("mount_pfs", || FileSystem::mount_pfs(environment.heap(), cluster, selector, OPTIONS)).await?;
        let fs = rare.measure("make_writable", || fs.make_writable(&Standstill)).await?;
        operate(environment, &fs).await?;
        administer(&mut rare, &fs).await?;
        // One member fails, misses something, and comes back.
        members.plans[1].add(Fault::always(Operations::all(), Effect::Fail(DeviceError::Io(5))))?;
        populate(environment, &fs, 20..22).await?;
        fs.sync().await?;
        members.plans[1].clear();
        rare.measure("look_again", || fs.look_again(NodeIndex(1))).await?;
        rare.measure("resync", || fs.resync(NodeIndex(1))).await?;
        rare.measure("scrub", || fs.scrub()).await?;
        rare.measure("unmount", || fs.unmount()).await?;
        rare.conclude()
    })
}

/// Does what users do.
async fn operate(environment: &dyn Environment, fs: &FileSystem) -> Result<(), Failure> {
    let heap = environment.heap();
    let mut often = Gauge::new(environment, OPERATION_BYTES);
    let mut block = memory::boxed(heap, [0; FILE_BLOCK_BYTES])?;
    populate(environment, fs, 0..2).await?;
    let (root, regular) = (Inum::PFS_ROOT, NewFile::new(FileKind::Regular, 0o600));
    let (private, readable) =
        (NewFile::new(FileKind::Directory, 0o700), NewAttributes { mode: Some(0o640), ..NewAttributes::default() });
    let directory = often.measure("create", || fs.create(root, b"directory", &private)).await?;
    let file = often.measure("create", || fs.create(directory, &[b'n'; 200], &regular)).await?;
    for (index, content) in [Content::Text(1), Content::Noise(2)].into_iter().enumerate() {
        for number in 0..24 {
            content.fill(number, 24 * FILE_BLOCK_BYTES as u64, &mut block);
            let offset = number * FILE_BLOCK_BYTES as u64 + index as u64 * 777;
            often.measure("write", || fs.write(file, offset, &block[..])).await?;
        }
        often.measure("fsync", || fs.fsync(file)).await?;
    }
    often.measure("read", || fs.read(file, 4096, &mut block[..])).await?;
    often.measure("truncate", || fs.truncate(file, 100_000)).await?;
    often.measure("allocate", || fs.allocate(file, 1000, 70_000, Allocation::PunchHole, true)).await?;
    often.measure("seek_data", || fs.seek_data(file, 0)).await?;
    often.measure("attributes", || fs.attributes(file)).await?;
    often.measure("set_attributes", || fs.set_attributes(file, &readable)).await?;
    often.measure("link", || fs.link(file, root, b"link")).await?;
    often.measure("lookup", || fs.lookup(root, b"link")).await?;
    let mut batch = EntryBatch::new(heap, 4096)?;
    often.measure("read_directory", || fs.read_directory(root, Cookie::START, &mut batch)).await?;
    often.measure("rename", || fs.rename(root, b"link", directory, b"moved")).await?;
    often.measure("exchange", || fs.exchange(directory, b"moved", directory, &[b'n'; 200])).await?;
    often.measure("unlink", || fs.unlink(directory, b"moved")).await?;
    often.measure("open", || fs.open(file)).await?;
    often.measure("unlink", || fs.unlink(directory, &[b'n'; 200])).await?;
    often.measure("release", || fs.release(file)).await?;
    often.measure("remove_directory", || fs.remove_directory(root, b"directory")).await?;
    for number in 0..4 {
        let (directory, file) = (fs.lookup(root, &name(b'd', 1)).await?, name(b'f', 20 + number));
        often.measure("unlink", || fs.unlink(directory, &file)).await?;
    }
    often.measure("sync", || fs.sync()).await?;
    often.conclude()
}

/// Does what administrators do.
async fn administer(rare: &mut Gauge<'_>, fs: &FileSystem) -> Result<(), Failure> {
    let new = NewPfs {
        label: b"SNAPSHOT",
        kind: PfsKind::Master,
        clid: Uuid::random([3; 16]),
        fsid: Uuid::random([4; 16]),
        time: IMAGE_TIME,
    };
    rare.measure("snapshot", || fs.snapshot(&new)).await?;
    rare.measure("set_quota", || fs.set_quota(Inum::PFS_ROOT, Some(VOLUME_BYTES), None)).await?;
    rare.measure("bulkfree", || fs.bulkfree()).await?;
    rare.measure("delete_pfs", || fs.delete_pfs(b"SNAPSHOT")).await
}
