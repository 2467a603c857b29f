//! Blocks on their way to the devices: many at once, small ones together.
//!
//! Blocks of a type mostly follow each other on media, so they are gathered in a staging buffer until the next one lies
//! elsewhere. Nobody waits for a write before the next flush, unless a read or another write needs the same place.
//!
//! A block put here is never lost for want of a ticket, of memory or of time: the caller [makes room](Writer::make_room) before
//! it changes anything, and then a write is queued until its device takes it. A failed write is remembered: the flush it belongs
//! to fails, and with it the node. A late write stays in the queue. As long as there is one, the node changes nothing; if the
//! device does complete it, everything goes on.

use core::cell::{Cell, RefCell};
use core::future::poll_fn;
use core::task::{Context, Poll};

use super::{NodeError, NodeFault};
use crate::io::{
    Buffer, DeviceError, DeviceName, Instant, Operation, Progress, Request, RequestId, TicketWait, Volume, Volumes,
    Wakers,
};
use crate::media::geometry::FILE_BLOCK_BYTES;
use crate::media::{BlockKind, BlockName, DataOff, MediaOffset};
use crate::memory::{Heap, NoMemory, Vec};

/// The device named for a place that is on no volume.
const NOWHERE: DeviceName = DeviceName::new(&"beyond all volumes");

/// The most writes in the queue at a time, apart from those that the staging buffers become.
const MOST_QUEUED: usize = 32;
const LEAST_QUEUED: usize = 4;
/// The number of buffers kept for the next blocks, if memory allows it.
const SPARE: usize = 8;
/// The number of block types, each with a staging buffer of its own.
const STREAMS: usize = 7;

/// A write that isn't complete.
struct Write {
    volume: usize,
    start: MediaOffset,
    bytes: usize,
    sequence: u64,
    stage: Stage,
}

/// Everything that was submitted before some moment.
#[derive(Clone, Copy)]
pub(super) struct Mark(u64);

enum Stage {
    /// It waits for a ticket, or for an earlier write to the same place.
    Queued(Option<Request>),
    UnderWay(RequestId),
}

impl Write {
    fn overlaps(&self, start: MediaOffset, bytes: usize) -> bool {
        self.start.0 < start.0 + bytes as u64 && start.0 < self.start.0 + self.bytes as u64
    }
}

/// Consecutive blocks.
struct Staging {
    start: MediaOffset,
    len: usize,
    buffer: Buffer,
}

/// All writes of a node.
pub(super) struct Writer {
    heap: Heap,
    /// The writes in the order in which they were submitted. There is room for the most that can be in it.
    queue: RefCell<Vec<Write>>,
    staging: RefCell<[Option<Staging>; STREAMS]>,
    spare: RefCell<heapless::Vec<Buffer, SPARE>>,
    spare_limit: usize,
    /// The number of writes submitted so far.
    submitted: Cell<u64>,
    /// The most writes in the queue at a time, which limits the memory they use.
    most_queued: usize,
    failed: Cell<Option<NodeFault>>,
    late: Cell<Option<NodeFault>>,
    /// Tasks that wait for room or for completion.
    progressed: Wakers,
}

impl Writer {
    /// A writer that has up to `bytes` under way, and keeps as much memory for the next blocks.
    pub(super) fn new(heap: Heap, bytes: usize) -> Result<Self, NoMemory> {
        let blocks = bytes / FILE_BLOCK_BYTES;
        let most_queued = blocks.clamp(LEAST_QUEUED, MOST_QUEUED);
        let mut queue = Vec::new_in(heap);
        queue.try_reserve_exact(most_queued + STREAMS).map_err(|_| NoMemory)?;
        Ok(Self {
            heap,
            spare_limit: blocks,
            most_queued,
            submitted: Cell::new(0),
            queue: RefCell::new(queue),
            staging: RefCell::new([const { None }; STREAMS]),
            spare: RefCell::default(),
            failed: Cell::new(None),
            late: Cell::new(None),
            progressed: Wakers::new(heap),
        })
    }

    /// Makes sure that the next [`put`](Self::put) or [`submit`](Self::submit) has the room and the memory it needs.
    pub(super) async fn make_room(&self, volumes: &Volumes) -> Result<(), WriteError> {
        self.wait(volumes, |queue| queue.len() < self.most_queued).await?;
        Ok(self.keep_buffer()?)
    }

    /// True when the next [`put`](Self::put) or [`submit`](Self::submit) has the room and the memory it needs; otherwise room
    /// must be [made](Self::make_room).
    pub(super) fn has_room(&self, volumes: &Volumes) -> Result<bool, WriteError> {
        // Completed writes leave their buffers for the next ones.
        if !self.queue.borrow().is_empty() {
            volumes.iter().for_each(|volume| volume.disk.harvest());
            self.advance(volumes, |volume, id| volume.disk.status(id));
        }
        let has_room = self.queue.borrow().len() < self.most_queued;
        if has_room {
            self.keep_buffer()?;
        }
        Ok(has_room)
    }

    fn keep_buffer(&self) -> Result<(), NoMemory> {
        let mut spare = self.spare.borrow_mut();
        if spare.is_empty() {
            let _ = spare.push(Buffer::new(self.heap, FILE_BLOCK_BYTES)?);
        }
        Ok(())
    }

    /// Writes a block of `kind` to its place, soon. There must be [room](Self::make_room) for it.
    pub(super) fn put(&self, volumes: &Volumes, kind: BlockKind, place: MediaOffset, block: &[u8]) {
        let stream = kind as usize;
        let follows =
            self.staging.borrow()[stream].as_ref().is_some_and(|staging| staging.has_room(place, block.len()));
        if !follows {
            self.send(volumes, stream);
            let Some(buffer) = self.spare.borrow_mut().pop() else {
                debug_assert!(false, "room was made for what is put");
                return self.fail(place, NOWHERE, DeviceError::OutOfRange);
            };
            self.staging.borrow_mut()[stream] = Some(Staging { start: place, len: 0, buffer });
        }
        if let Some(staging) = &mut self.staging.borrow_mut()[stream] {
            staging.buffer.bytes_mut()[staging.len..staging.len + block.len()].copy_from_slice(block);
            staging.len += block.len();
        }
    }

    /// Writes a buffer to a place, soon. There must be [room](Self::make_room) for it.
    pub(super) fn submit(&self, volumes: &Volumes, place: MediaOffset, buffer: Buffer) {
        let bytes = buffer.len();
        let Some((volume, on, offset)) = volumes.locate(place, bytes as u64) else {
            return self.fail(place, NOWHERE, DeviceError::OutOfRange);
        };
        let mut request = Some(Request::new(Operation::Write(offset), buffer));
        let started = if self.overlaps(place, bytes) { None } else { on.disk.start_ahead(&mut request) };
        let sequence = self.submitted.replace(self.submitted.get() + 1);
        let stage = started.map_or_else(|| Stage::Queued(request), Stage::UnderWay);
        let mut queue = self.queue.borrow_mut();
        debug_assert!(queue.len() < queue.capacity(), "room was made for what is submitted");
        queue.push(Write { volume, start: place, bytes, sequence, stage });
    }

    /// Sends everything that is staged, and waits until all of it is written.
    pub(super) async fn settle(&self, volumes: &Volumes) -> Result<(), NodeFault> {
        self.send_all(volumes).await?;
        self.wait(volumes, |queue| queue.is_empty()).await?;
        self.failed.get().map_or(Ok(()), Err)
    }

    /// Sends everything that is staged.
    pub(super) async fn send_all(&self, volumes: &Volumes) -> Result<(), NodeFault> {
        for stream in 0..STREAMS {
            self.send_in_turn(volumes, stream).await?;
        }
        Ok(())
    }

    /// A mark after everything sent so far.
    pub(super) fn mark(&self) -> Mark {
        Mark(self.submitted.get())
    }

    /// Waits until everything before a mark is written. Later writes go on.
    pub(super) async fn settle_before(&self, volumes: &Volumes, Mark(end): Mark) -> Result<(), NodeFault> {
        self.wait(volumes, |queue| queue.iter().all(|write| write.sequence >= end)).await?;
        self.failed.get().map_or(Ok(()), Err)
    }

    /// Waits until what was put to a place is written there. Other writes go on.
    pub(super) async fn settle_at(&self, volumes: &Volumes, place: DataOff) -> Result<(), NodeFault> {
        let (start, bytes) = (place.offset(), bytes_of(place));
        while let Some(stream) = self.staged_at(start, bytes) {
            self.send_in_turn(volumes, stream).await?;
        }
        self.wait(volumes, |queue| !queue.iter().any(|write| write.overlaps(start, bytes))).await?;
        self.failed.get().map_or(Ok(()), Err)
    }

    async fn send_in_turn(&self, volumes: &Volumes, stream: usize) -> Result<(), NodeFault> {
        self.wait(volumes, |queue| queue.len() < self.most_queued).await?;
        self.send(volumes, stream);
        Ok(())
    }

    /// True when a write to a place is staged or in the queue.
    pub(super) fn is_writing(&self, place: DataOff) -> bool {
        let (start, bytes) = (place.offset(), bytes_of(place));
        self.overlaps(start, bytes) || self.staged_at(start, bytes).is_some()
    }

    /// The staging buffer that has data for a place.
    fn staged_at(&self, start: MediaOffset, bytes: usize) -> Option<usize> {
        self.staging.borrow().iter().position(|staging| staging.as_ref().is_some_and(|it| it.overlaps(start, bytes)))
    }

    /// Gives up all writes, and forgets their failures.
    pub(super) fn reset(&self, volumes: &Volumes) {
        for Write { volume, stage, .. } in self.queue.borrow_mut().drain(..) {
            if let (Some(volume), Stage::UnderWay(id)) = (volumes.iter().nth(volume), stage) {
                volume.disk.abandon(id);
            }
        }
        *self.staging.borrow_mut() = [const { None }; STREAMS];
        self.failed.set(None);
        self.late.set(None);
        self.progressed.wake_all();
    }

    /// The fault of a write that failed for good, if there is one.
    pub(super) fn failure(&self) -> Option<NodeFault> {
        self.failed.get()
    }

    /// The device of a late write, if there is one; completions that the devices reported are noted first.
    pub(super) fn lateness(&self, volumes: &Volumes) -> Option<NodeFault> {
        if self.late.get().is_some() {
            self.advance(volumes, |volume, id| volume.disk.status(id));
        }
        self.late.get()
    }

    /// The buffer of a written block. One buffer stays, as it may be part of the [room](Self::make_room) for the next block.
    pub(super) fn take_spare(&self) -> Option<Buffer> {
        let mut spare = self.spare.borrow_mut();
        if spare.len() > 1 { spare.pop() } else { None }
    }

    /// Waits until the queue is as `is_enough` asks; an error when a device is too late for that.
    async fn wait(&self, volumes: &Volumes, is_enough: impl Fn(&[Write]) -> bool) -> Result<(), NodeFault> {
        if self.queue.borrow().is_empty() && is_enough(&[]) {
            return Ok(());
        }
        let _waiting = Waiting { writer: self, volumes };
        let mut deadline = None;
        poll_fn(|cx| {
            self.advance(volumes, |volume, id| volume.disk.look(id, cx));
            while self.start_queued(volumes, cx) {
                self.advance(volumes, |volume, id| volume.disk.look(id, cx));
            }
            if is_enough(&self.queue.borrow()) {
                return Poll::Ready(Ok(()));
            }
            self.await_permission(volumes, &mut deadline, cx);
            if let Some(fault) = self.late.get() {
                return Poll::Ready(Err(fault));
            }
            self.progressed.register(cx.waker());
            Poll::Pending
        })
        .await
    }

    /// Removes completed writes from the queue, and notes late ones.
    fn advance(&self, volumes: &Volumes, mut look: impl FnMut(&Volume, RequestId) -> Progress) {
        let mut queue = self.queue.borrow_mut();
        let before = queue.len();
        let mut late = None;
        queue.retain_mut(|write| {
            let Some(volume) = volumes.iter().nth(write.volume) else { return false };
            let id = match write.stage {
                Stage::UnderWay(id) => id,
                Stage::Queued(_) if volume.disk.is_fenced() => {
                    self.fail(write.start, volume.disk.info().name, DeviceError::Fenced);
                    return false;
                }
                Stage::Queued(_) => return true,
            };
            match look(volume, id) {
                Progress::UnderWay => return true,
                Progress::Late => {
                    late.get_or_insert(fault(write.start, volume.disk.info().name, DeviceError::Timeout));
                    return true;
                }
                Progress::Done(Ok(mut buffer)) => {
                    if self.spare.borrow().len() < self.spare_limit && buffer.restore(FILE_BLOCK_BYTES) {
                        let _ = self.spare.borrow_mut().push(buffer);
                    }
                }
                Progress::Done(Err(error)) => self.fail(write.start, volume.disk.info().name, error),
            }
            false
        });
        self.late.set(late);
        if queue.len() < before {
            self.progressed.wake_all();
        }
    }

    /// Gives queued writes to the devices, in order; false if they take none at the moment.
    fn start_queued(&self, volumes: &Volumes, cx: &mut Context<'_>) -> bool {
        let mut queue = self.queue.borrow_mut();
        let mut has_started = false;
        for index in 0..queue.len() {
            let (earlier, rest) = queue.split_at_mut(index);
            let Some(write) = rest.first_mut() else { break };
            let (start, bytes) = (write.start, write.bytes);
            let Stage::Queued(request) = &mut write.stage else { continue };
            if earlier.iter().any(|earlier| earlier.overlaps(start, bytes)) {
                continue;
            }
            let Some(volume) = volumes.iter().nth(write.volume) else { continue };
            if let Poll::Ready(id) = volume.disk.poll_start_later(request, cx) {
                write.stage = Stage::UnderWay(id);
                has_started = true;
            }
        }
        has_started
    }

    /// A write that waits because the mount's hold isn't certain becomes late after the same time as a request.
    fn await_permission(&self, volumes: &Volumes, deadline: &mut Option<Instant>, cx: &mut Context<'_>) {
        for write in self.queue.borrow().iter().filter(|write| matches!(write.stage, Stage::Queued(_))) {
            let Some(Volume { disk, .. }) = volumes.iter().nth(write.volume) else { continue };
            if disk.permits_changes() {
                continue;
            }
            if disk.expire(*deadline.get_or_insert_with(|| disk.deadline()), cx).is_ready() {
                self.late.set(Some(fault(write.start, disk.info().name, DeviceError::Timeout)));
            }
            return;
        }
    }

    fn send(&self, volumes: &Volumes, stream: usize) {
        let staged = self.staging.borrow_mut()[stream].take();
        if let Some(Staging { start, len, mut buffer }) = staged {
            buffer.truncate(len);
            self.submit(volumes, start, buffer);
        }
    }

    fn overlaps(&self, place: MediaOffset, bytes: usize) -> bool {
        self.queue.borrow().iter().any(|write| write.overlaps(place, bytes))
    }

    fn fail(&self, place: MediaOffset, device: DeviceName, error: DeviceError) {
        self.failed.set(self.failed.get().or(Some(fault(place, device, error))));
    }
}

/// Why no room could be made for a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum WriteError {
    NoMemory,
    Fault(NodeFault),
}

impl From<NoMemory> for WriteError {
    fn from(_: NoMemory) -> Self {
        Self::NoMemory
    }
}

impl From<NodeFault> for WriteError {
    fn from(fault: NodeFault) -> Self {
        Self::Fault(fault)
    }
}

impl From<WriteError> for NodeError {
    fn from(error: WriteError) -> Self {
        match error {
            WriteError::NoMemory => Self::NoMemory,
            WriteError::Fault(fault) => Self::Fault(fault),
        }
    }
}

/// Held by a waiting task. The devices may have its waker for events that other tasks wait for, too, so when this is dropped,
/// those tasks look again.
struct Waiting<'w> {
    writer: &'w Writer,
    volumes: &'w Volumes,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        for write in self.writer.queue.borrow().iter() {
            let Some(volume) = self.volumes.iter().nth(write.volume) else { continue };
            match write.stage {
                Stage::UnderWay(id) => volume.disk.leave(id),
                Stage::Queued(_) => drop(TicketWait(&volume.disk)),
            }
        }
        self.writer.progressed.wake_all();
    }
}

/// Bytes of a block at a place.
fn bytes_of(place: DataOff) -> usize {
    place.radix().ok().flatten().map_or(0, |radix| radix.bytes())
}

impl Staging {
    fn overlaps(&self, start: MediaOffset, bytes: usize) -> bool {
        self.start.0 < start.0 + bytes as u64 && start.0 < self.start.0 + self.len as u64
    }

    fn has_room(&self, place: MediaOffset, bytes: usize) -> bool {
        self.start.0 + self.len as u64 == place.0 && self.len + bytes <= self.buffer.len()
    }
}

fn fault(place: MediaOffset, device: DeviceName, error: DeviceError) -> NodeFault {
    NodeFault::Device { block: BlockName::at(place), device, error }
}
