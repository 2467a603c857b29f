//! A block device on a file: an image, or a block device of the host.
//! Content in the host's memory is read at once, by the calling thread: handing a block of 64 KiB to a worker costs more
//! processor time than copying it, and 1 KiB twenty times as much. Everything that may wait is done by a few worker threads, so
//! that requests run in parallel and a stuck file never blocks the executor.
//! A block device is opened exclusively, by readers too: the kernel then refuses it to other exclusive opens, as of `mount`,
//! `mkfs` and the like, and refuses it to us while it is mounted or otherwise in use. An image is locked, which keeps away only
//! programs that look at the lock: other processes of ours, but not the kernel, so loop devices are checked as well.

use std::cell::Cell;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, IoSliceMut, Seek, SeekFrom};
use std::os::unix::fs::{FileExt, FileTypeExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{PoisonError, RwLock};
use std::task::{Context, Poll};

use hammer2_core::io::{
    BlockDevice, Completion, DeviceError, DeviceInfo, DeviceOffset, Operation, Permission, Request, Ticket,
};
use rustix::fs::{FallocateFlags, OFlags};
use rustix::io::{Errno, ReadWriteFlags};

use super::holder::{self, Holder};
use super::name::lasting_name;
use super::workers::{Outcome, Target, ThreadCount, Workers};

/// Requests a file takes at once.
const QUEUE_DEPTH: u16 = 64;

/// Workers of all files of the process: their address space stays well below 1 GiB.
static THREADS: ThreadCount = ThreadCount::new(8);

/// The type of the filesystem that has all its files in memory, but doesn't support reads that must not wait.
const TMPFS_MAGIC: rustix::fs::FsWord = 0x0102_1994;

/// How a device is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// For reading; an image is shared with other readers.
    Read,
    /// For reading and writing, alone.
    Write,
    /// For reading even while it is in use: it isn't locked, and may change at any time.
    Look,
}

/// Why a file can't be used as a device.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// It can't be opened.
    #[error("{}: {source}", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// What the host says.
        source: io::Error,
    },
    /// It is a directory, a pipe or a terminal.
    #[error("{}: neither a file nor a block device", path.display())]
    WrongType {
        /// The file.
        path: PathBuf,
    },
    /// Another process writes to it, or reads it while it is to be written.
    #[error("{}: in use: end the mount or command that has it open, and name no image twice", path.display())]
    InUse {
        /// The file.
        path: PathBuf,
    },
    /// The kernel uses it.
    #[error("{}: in use: {by}", path.display())]
    Held {
        /// The file.
        path: PathBuf,
        /// What for.
        by: Holder,
    },
}

impl OpenError {
    /// True when it may be free in a moment, as the process that has it may be about to end.
    pub fn may_pass(&self) -> bool {
        match self {
            Self::InUse { .. } => true,
            Self::Held { by, .. } => by.may_let_go(),
            Self::Open { .. } | Self::WrongType { .. } => false,
        }
    }

    /// The error for a device that the kernel refuses to share.
    fn busy(path: &Path) -> Self {
        match holder::of_device(path) {
            Some(by) => Self::Held { path: path.to_owned(), by },
            None => Self::InUse { path: path.to_owned() },
        }
    }
}

/// A file as a block device.
pub struct FileDevice {
    info: DeviceInfo,
    workers: Workers<OpenFile>,
    /// The calling thread does requests that needn't wait.
    inline: bool,
    /// The size by now.
    size_bytes: Cell<u64>,
    /// An image is extended to this size when its size is asked for.
    grow_to: Option<u64>,
}

impl FileDevice {
    /// Opens a file for reading even while it is in use: it isn't locked, and may change at any time.
    pub fn look(path: &Path) -> Result<Self, OpenError> {
        let failed = |source| OpenError::Open { path: path.to_owned(), source };
        let flags = OFlags::NONBLOCK.bits().cast_signed();
        let mut file = OpenOptions::new().read(true).custom_flags(flags).open(path).map_err(failed)?;
        let file_type = file.metadata().map_err(failed)?.file_type();
        if !file_type.is_file() && !file_type.is_block_device() {
            return Err(OpenError::WrongType { path: path.to_owned() });
        }
        let size_bytes = file.seek(SeekFrom::End(0)).map_err(failed)?;
        Ok(Self::of(path, file, size_bytes, Access::Read, file_type.is_block_device()))
    }

    /// Opens a file, and locks it unless it is only looked at.
    pub fn open(path: &Path, access: Access) -> Result<Self, OpenError> {
        if access == Access::Look {
            return Self::look(path);
        }
        let (file, is_device) = open_alone(path, access)?;
        let size_bytes =
            (&file).seek(SeekFrom::End(0)).map_err(|source| OpenError::Open { path: path.to_owned(), source })?;
        // A file is locked; a device may be used by another machine, too.
        Ok(Self::of(path, file, size_bytes, access, is_device))
    }

    fn of(path: &Path, file: File, size_bytes: u64, access: Access, is_shared: bool) -> Self {
        let info = DeviceInfo {
            name: lasting_name(&path.to_string_lossy()),
            size_bytes,
            queue_depth: QUEUE_DEPTH,
            read_only: access != Access::Write,
            is_shared,
        };
        let in_memory = rustix::fs::fstatfs(&file).is_ok_and(|stat| stat.f_type == TMPFS_MAGIC);
        let size_bytes = Cell::new(info.size_bytes);
        let target = OpenFile { file: RwLock::new(Some(file)), path: path.to_owned(), access, in_memory };
        let workers = Workers::new(target, QUEUE_DEPTH, &THREADS);
        Self { info, workers, inline: true, size_bytes, grow_to: None }
    }

    /// The same device; a smaller image is extended to `size_bytes` when the device is asked for its current size.
    #[must_use]
    pub fn growing_to(mut self, size_bytes: Option<u64>) -> Self {
        self.grow_to = size_bytes;
        self
    }

    /// The same device, marked as one that no other machine can reach.
    #[must_use]
    pub fn reached_by_nobody_else(mut self) -> Self {
        self.info.is_shared = false;
        self
    }

    /// The same device, but its workers do everything, as if nothing were in the host's memory.
    #[must_use]
    pub fn always_by_workers(mut self) -> Self {
        self.inline = false;
        self
    }
}

/// Opens a file, and locks it; also returns whether it is a block device.
fn open_alone(path: &Path, access: Access) -> Result<(File, bool), OpenError> {
    let failed = |source| OpenError::Open { path: path.to_owned(), source };
    // O_NONBLOCK: opening a pipe must not wait for its other end. O_EXCL means something for block devices only.
    let flags = (OFlags::NONBLOCK | OFlags::EXCL).bits().cast_signed();
    let writes = access == Access::Write;
    let opened = OpenOptions::new().read(true).write(writes).custom_flags(flags).open(path);
    let file = opened.map_err(|error| match error.raw_os_error().map(Errno::from_raw_os_error) {
        Some(Errno::BUSY) => OpenError::busy(path),
        _ => failed(error),
    })?;
    let file_type = file.metadata().map_err(failed)?.file_type();
    if !file_type.is_file() && !file_type.is_block_device() {
        return Err(OpenError::WrongType { path: path.to_owned() });
    }
    if let Some(by) = holder::of_image(&file) {
        return Err(OpenError::Held { path: path.to_owned(), by });
    }
    match if writes { file.try_lock() } else { file.try_lock_shared() } {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Err(OpenError::InUse { path: path.to_owned() }),
        // The filesystem has no locks, but a reader does no harm without one.
        Err(TryLockError::Error(_)) if !writes => {}
        Err(TryLockError::Error(source)) => return Err(failed(source)),
    }
    Ok((file, file_type.is_block_device()))
}

impl BlockDevice for FileDevice {
    fn info(&self) -> &DeviceInfo {
        &self.info
    }

    fn measure(&self) -> u64 {
        let measured = self.workers.target().with(|file| {
            let size = || (&*file).seek(SeekFrom::End(0));
            if let Some(wanted) = self.grow_to.filter(|_| !self.info.read_only)
                && wanted > size()?
            {
                // For a block device, or without room, the size stays as it is, which the size below shows.
                let _ = file.set_len(wanted);
            }
            size()
        });
        if let Ok(size_bytes) = measured {
            self.size_bytes.set(size_bytes);
        }
        self.size_bytes.get()
    }

    fn next_content(&self, from: DeviceOffset) -> DeviceOffset {
        let data = self.workers.target().with(|file| Ok(rustix::fs::seek(file, rustix::fs::SeekFrom::Data(from.0))?));
        match data {
            Ok(data) => DeviceOffset(data),
            // Only holes follow. Reading will meet any other error.
            Err(error) if error.raw_os_error() == Some(Errno::NXIO.raw_os_error()) => {
                DeviceOffset(self.info.size_bytes)
            }
            Err(_) => from,
        }
    }

    fn permit(&self, permission: Permission) {
        self.workers.permit(permission);
    }

    fn submit(&self, ticket: Ticket, mut request: Request) {
        let at_once = match self.info.admit_within(self.size_bytes.get(), &request) {
            Err(error) => Some(Err(error)),
            Ok(()) if self.inline => self.workers.target().execute_at_once(&mut request),
            Ok(()) => None,
        };
        match at_once {
            Some(result) => self.workers.complete(ticket, Completion { buffer: request.buffer, result }),
            None => self.workers.submit(ticket, request),
        }
    }

    fn poll(&self, ticket: Ticket, cx: &mut Context<'_>) -> Poll<Completion> {
        self.workers.poll(ticket, cx)
    }

    fn poll_reset(&self, cx: &mut Context<'_>) -> Poll<Result<(), DeviceError>> {
        self.workers.poll_reset(cx).map(Ok)
    }

    fn close(&self) {
        self.workers.target().close();
    }
}

/// The file that workers use.
pub(super) struct OpenFile {
    /// None once it is closed.
    file: RwLock<Option<File>>,
    path: PathBuf,
    access: Access,
    /// Nothing waits.
    in_memory: bool,
}

impl OpenFile {
    /// Does something with the file.
    fn with<T>(&self, work: impl FnOnce(&File) -> io::Result<T>) -> io::Result<T> {
        match &*self.file.read().unwrap_or_else(PoisonError::into_inner) {
            Some(file) => work(file),
            None => Err(Errno::NODEV.into()),
        }
    }

    /// Executes a request that needn't wait.
    fn execute_at_once(&self, request: &mut Request) -> Option<Result<(), DeviceError>> {
        if self.in_memory {
            return Some(self.perform(request));
        }
        let Operation::Read(offset) = request.operation else { return None };
        let bytes = request.buffer.bytes_mut();
        let len = bytes.len();
        let read = self.with(|file| {
            let read = rustix::io::preadv2(file, &mut [IoSliceMut::new(bytes)], offset.0, ReadWriteFlags::NOWAIT);
            Ok(read?)
        });
        read.is_ok_and(|read| read == len).then_some(Ok(()))
    }

    fn perform(&self, request: &mut Request) -> Result<(), DeviceError> {
        let outcome = self.with(|file| match request.operation {
            Operation::Read(offset) => file.read_exact_at(request.buffer.bytes_mut(), offset.0),
            Operation::Write(offset) => file.write_all_at(request.buffer.bytes(), offset.0),
            Operation::Flush => file.sync_data(),
            Operation::Zero { offset, bytes } => zero(file, offset.0, bytes),
            Operation::Discard { offset, bytes } => punch_hole(file, offset.0, bytes),
        });
        outcome.map_err(|error| device_error(&error))
    }
}

impl Target for OpenFile {
    fn execute(&self, request: &mut Request, _: &dyn Fn(&Request) -> bool) -> Outcome {
        // The request needs only the file, and the permission was just checked.
        Outcome::Done(self.perform(request))
    }

    fn reset(&self) {
        let mut file = self.file.write().unwrap_or_else(PoisonError::into_inner);
        if file.is_none() {
            // The file that has the name by now is checked like a new one.
            match open_alone(&self.path, self.access) {
                Ok((opened, _)) => *file = Some(opened),
                Err(error) => log::warn!("{error}"),
            }
        }
    }

    fn close(&self) {
        // Idle threads live a little longer, and the next user of the file must not wait for them. Closing alone wouldn't do:
        // another descriptor of the same file, in a process that is being started, would keep the lock.
        if let Some(file) = self.file.write().unwrap_or_else(PoisonError::into_inner).take() {
            let _ = file.unlock();
        }
    }
}

fn punch_hole(file: &File, offset: u64, bytes: u64) -> io::Result<()> {
    let hole = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
    Ok(rustix::fs::fallocate(file, hole, offset, bytes)?)
}

/// Zeros without giving them: a hole, also of block devices if they can, and otherwise whatever the kernel does for zeros. For a
/// block device it writes them, if need be.
fn zero(file: &File, offset: u64, bytes: u64) -> io::Result<()> {
    let range = FallocateFlags::ZERO_RANGE | FallocateFlags::KEEP_SIZE;
    punch_hole(file, offset, bytes).or_else(|_| Ok(rustix::fs::fallocate(file, range, offset, bytes)?))
}

fn device_error(error: &io::Error) -> DeviceError {
    let Some(code) = error.raw_os_error() else {
        // The file was truncated while it is open.
        return DeviceError::OutOfRange;
    };
    match Errno::from_raw_os_error(code) {
        Errno::NOSPC | Errno::DQUOT | Errno::FBIG => DeviceError::NoSpace,
        Errno::NODEV | Errno::NXIO | Errno::STALE => DeviceError::Gone,
        Errno::ROFS => DeviceError::ReadOnly,
        Errno::OPNOTSUPP | Errno::NOSYS => DeviceError::Unsupported,
        _ => DeviceError::Io(code),
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::os::unix::fs::MetadataExt;

    use allocator_api2::alloc::Global;
    use hammer2_core::io::wrap::{Effect, Fault, FaultPlan, Faulty, Operations};
    use hammer2_core::io::{Buffer, Disk, DiskOptions, Duration, boxed_device};
    use hammer2_core::memory::Heap;
    use tempfile::{NamedTempFile, TempDir};

    use super::*;
    use crate::clock::HostClock;
    use crate::executor::Executor;

    const HEAP: Heap = &Global;

    fn image(bytes: u64) -> NamedTempFile {
        let file = NamedTempFile::new().unwrap();
        file.as_file().set_len(bytes).unwrap();
        file
    }

    fn disk(device: impl BlockDevice + 'static, clock: &'static HostClock, deadline: Duration) -> Disk {
        Disk::new(HEAP, boxed_device(HEAP, device).unwrap(), clock, DiskOptions { deadline }).unwrap()
    }

    fn block(byte: u8) -> Buffer {
        let mut buffer = Buffer::new(HEAP, 65536).unwrap();
        buffer.bytes_mut().fill(byte);
        buffer
    }

    #[test]
    fn many_requests_at_once_and_both_ways_of_reading() {
        let file = image(256 * 65536);
        let clock = HostClock::leaked();
        for inline in [true, false] {
            let device = FileDevice::open(file.path(), Access::Write).unwrap();
            let device = if inline { device } else { device.always_by_workers() };
            let disk = disk(device, clock, Duration::from_secs(60));
            let finished = Cell::new(0);
            let executor = Executor::new(clock);
            for number in 0..=255u8 {
                let (disk, finished) = (&disk, &finished);
                executor.spawn(async move {
                    let offset = DeviceOffset(u64::from(number) * 65536);
                    disk.write(offset, block(number)).await.unwrap();
                    let read = disk.read(offset, block(0)).await.unwrap();
                    assert!(read.bytes().iter().all(|byte| *byte == number));
                    finished.set(finished.get() + 1);
                });
            }
            executor.block_on(async {
                while finished.get() < 256 {
                    disk.flush().await.unwrap();
                }
            });
            let written = std::fs::read(file.path()).unwrap();
            assert!(written.chunks(65536).enumerate().all(|(number, block)| block[0] == number as u8));
        }
    }

    #[test]
    fn a_hung_device_meets_the_deadline_and_a_dropped_read_does_no_harm() {
        let file = image(1 << 20);
        let clock = HostClock::leaked();
        let plan: &'static FaultPlan = Box::leak(Box::new(FaultPlan::new(HEAP)));
        let device = FileDevice::open(file.path(), Access::Read).unwrap().always_by_workers();
        let disk = disk(Faulty::new(HEAP, device, plan).unwrap(), clock, Duration::from_millis(50));
        plan.add(Fault::once(Operations::READ, Effect::Hang)).unwrap();
        Executor::new(clock).block_on(async {
            let start = std::time::Instant::now();
            assert_eq!(disk.read(DeviceOffset(0), block(1)).await.unwrap_err(), DeviceError::Timeout);
            assert!(start.elapsed() >= Duration::from_millis(50));
            let mut pending = Box::pin(disk.read(DeviceOffset(0), block(1)));
            std::future::poll_fn(|cx| {
                assert!(pending.as_mut().poll(cx).is_pending());
                Poll::Ready(())
            })
            .await;
            drop(pending);
            assert_eq!(disk.read(DeviceOffset(0), block(1)).await.unwrap().bytes()[0], 0);
            assert_eq!(disk.in_flight(), 2);
        });
    }

    #[test]
    fn writers_are_alone() {
        let file = image(1 << 20);
        let in_use = |access| matches!(FileDevice::open(file.path(), access), Err(OpenError::InUse { .. }));
        let reader = FileDevice::open(file.path(), Access::Read).unwrap();
        assert!(!in_use(Access::Read) && in_use(Access::Write));
        drop(reader);
        let writer = FileDevice::open(file.path(), Access::Write).unwrap();
        assert!(in_use(Access::Read) && in_use(Access::Write));
        drop(writer);
        assert!(!in_use(Access::Write));
    }

    #[test]
    fn what_is_no_device_is_refused_in_one_line() {
        let folder = TempDir::new().unwrap();
        let pipe = folder.path().join("pipe");
        rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
        for path in [folder.path(), &pipe, &folder.path().join("missing")] {
            let error = FileDevice::open(path, Access::Read).err().expect("refused");
            assert!(!error.to_string().contains('\n') && error.to_string().contains(path.to_str().unwrap()));
        }
    }

    #[test]
    fn a_discarded_range_is_a_hole() {
        let file = image(1 << 20);
        let clock = HostClock::leaked();
        let device = FileDevice::open(file.path(), Access::Write).unwrap();
        device.submit(Ticket(0), Request::new(Operation::Write(DeviceOffset(0)), block(1)));
        let finish = |ticket| Executor::new(clock).block_on(std::future::poll_fn(|cx| device.poll(ticket, cx)));
        assert_eq!(finish(Ticket(0)).result, Ok(()));
        let full = file.as_file().metadata().unwrap().blocks();
        let discard = Operation::Discard { offset: DeviceOffset(0), bytes: 65536 };
        device.submit(Ticket(1), Request::new(discard, Buffer::empty(HEAP)));
        assert_eq!(finish(Ticket(1)).result, Ok(()));
        assert!(file.as_file().metadata().unwrap().blocks() < full);
        assert_eq!(file.as_file().metadata().unwrap().len(), 1 << 20);
    }

    #[test]
    fn zeros_are_holes_and_nothing_beside_them_changes() {
        let file = image(1 << 20);
        file.as_file().write_all_at(&[1; 1 << 20], 0).unwrap();
        let full = file.as_file().metadata().unwrap().blocks();
        let clock = HostClock::leaked();
        let device = FileDevice::open(file.path(), Access::Write).unwrap();
        let zero = Operation::Zero { offset: DeviceOffset(512), bytes: 512 << 10 };
        device.submit(Ticket(0), Request::new(zero, Buffer::empty(HEAP)));
        let done = Executor::new(clock).block_on(std::future::poll_fn(|cx| device.poll(Ticket(0), cx)));
        assert_eq!(done.result, Ok(()));
        let content = std::fs::read(file.path()).unwrap();
        let zeros = 512..512 + (512 << 10);
        assert!(content.iter().enumerate().all(|(at, byte)| (*byte == 0) == zeros.contains(&at)));
        assert_eq!(content.len(), 1 << 20);
        assert!(file.as_file().metadata().unwrap().blocks() < full);
    }

    #[test]
    fn content_is_found_behind_holes() {
        let file = image(1 << 20);
        file.as_file().write_all_at(&[1; 4096], 512 << 10).unwrap();
        let device = FileDevice::open(file.path(), Access::Read).unwrap();
        let next = |from: u64| device.next_content(DeviceOffset(from)).0;
        assert_eq!((next(0), next(513 << 10), next(516 << 10)), (512 << 10, 513 << 10, 1 << 20));
        file.as_file().set_len(0).unwrap();
        assert_eq!(next(0), 1 << 20);
    }

    #[test]
    fn a_file_cut_off_behind_our_back_is_out_of_range() {
        let file = image(1 << 20);
        let clock = HostClock::leaked();
        let disk = disk(FileDevice::open(file.path(), Access::Read).unwrap(), clock, Duration::from_secs(60));
        file.as_file().set_len(100).unwrap();
        let error = Executor::new(clock).block_on(disk.read(DeviceOffset(0), block(0))).unwrap_err();
        assert_eq!(error, DeviceError::OutOfRange);
    }
}
