//! Blocks on their way to the devices: many at once, small ones together.
//!
//! Blocks of a type mostly follow each other on media, so they are gathered in a staging buffer until the next one lies
//! elsewhere. Nobody waits for a write before the next flush, unless a read or another write wants the same place. A write
//! that fails is remembered: the flush it belongs to, and with it the node, fails. A device that doesn't answer in time is given
//! nothing more: it would take as long again.

use core::cell::{Cell, RefCell};
use core::future::poll_fn;
use core::task::{Context, Poll};

use super::NodeFault;
use crate::io::{Buffer, DeviceError, Operation, Request, Ticket, Volumes};
use crate::media::geometry::FILE_BLOCK_BYTES;
use crate::media::{BlockKind, BlockName, DataOff, MediaOffset};
use crate::memory::{Heap, NoMemory};

/// Writes under way at a time.
const OUTSTANDING: usize = 32;
const LEAST_OUTSTANDING: usize = 4;
/// Buffers kept for the next blocks, if the memory given allows it.
const SPARE: usize = 8;
/// Block types, each with a staging buffer of its own.
const STREAMS: usize = 7;

struct Outstanding {
    volume: usize,
    ticket: Ticket,
    start: MediaOffset,
    bytes: usize,
}

/// Blocks that follow each other.
struct Staging {
    start: MediaOffset,
    len: usize,
    buffer: Buffer,
}

/// All writes of a node.
pub(super) struct Writer {
    heap: Heap,
    outstanding: RefCell<heapless::Vec<Outstanding, OUTSTANDING>>,
    staging: RefCell<[Option<Staging>; STREAMS]>,
    spare: RefCell<heapless::Vec<Buffer, SPARE>>,
    spare_limit: usize,
    /// Writes under way at a time, for the sake of the memory they take.
    most_outstanding: usize,
    failed: Cell<Option<NodeFault>>,
}

impl Writer {
    /// A writer that has up to `bytes` under way, and keeps as much for the next blocks.
    pub(super) fn new(heap: Heap, bytes: usize) -> Self {
        let blocks = bytes / FILE_BLOCK_BYTES;
        Self {
            heap,
            spare_limit: blocks,
            most_outstanding: blocks.clamp(LEAST_OUTSTANDING, OUTSTANDING),
            outstanding: RefCell::default(),
            staging: RefCell::new([const { None }; STREAMS]),
            spare: RefCell::default(),
            failed: Cell::new(None),
        }
    }

    /// Makes sure that the next [`put`](Self::put) has the memory it needs.
    pub(super) fn prepare(&self) -> Result<(), NoMemory> {
        let mut spare = self.spare.borrow_mut();
        if spare.is_empty() {
            let _ = spare.push(Buffer::new(self.heap, FILE_BLOCK_BYTES)?);
        }
        Ok(())
    }

    /// Writes a block of `kind` to its place, soon. The room for it was made sure of by [`prepare`](Self::prepare).
    pub(super) async fn put(
        &self,
        volumes: &Volumes,
        kind: BlockKind,
        place: MediaOffset,
        block: &[u8],
    ) -> Result<(), NoMemory> {
        let stream = kind as usize;
        let follows =
            self.staging.borrow()[stream].as_ref().is_some_and(|staging| staging.has_room(place, block.len()));
        if !follows {
            self.send(volumes, stream).await;
            let buffer = self.buffer()?;
            self.staging.borrow_mut()[stream] = Some(Staging { start: place, len: 0, buffer });
        }
        if let Some(staging) = &mut self.staging.borrow_mut()[stream] {
            staging.buffer.bytes_mut()[staging.len..staging.len + block.len()].copy_from_slice(block);
            staging.len += block.len();
        }
        Ok(())
    }

    /// Writes a buffer to a place, soon.
    pub(super) async fn submit(&self, volumes: &Volumes, place: MediaOffset, buffer: Buffer) {
        let bytes = buffer.len();
        let Some((volume_index, volume, offset)) = volumes.locate(place, bytes as u64) else {
            self.fail(place, 0, DeviceError::OutOfRange);
            return;
        };
        let mut request = Some(Request { operation: Operation::Write(offset), buffer });
        let started = poll_fn(|cx| {
            self.poll_outstanding(volumes, cx);
            if self.hangs() {
                return Poll::Ready(Err(DeviceError::Timeout));
            }
            if self.outstanding.borrow().len() >= self.most_outstanding || self.overlaps(place, bytes) {
                return Poll::Pending;
            }
            // Without one, the tickets are somebody else's: wait for one of them below.
            Poll::Ready(Ok(volume.disk.start(&mut request)))
        })
        .await;
        let ticket = match started {
            Err(error) => return self.fail(place, volume_index, error),
            Ok(Some(ticket)) => ticket,
            Ok(None) => match self.start_waiting(volumes, volume_index, &mut request).await {
                Ok(ticket) => ticket,
                Err(error) => return self.fail(place, volume_index, error),
            },
        };
        let outstanding = Outstanding { volume: volume_index, ticket, start: place, bytes };
        // There is room: it was looked for above.
        let _ = self.outstanding.borrow_mut().push(outstanding);
    }

    async fn start_waiting(
        &self,
        volumes: &Volumes,
        volume: usize,
        request: &mut Option<Request>,
    ) -> Result<Ticket, DeviceError> {
        let disk = &volumes.iter().nth(volume).ok_or(DeviceError::OutOfRange)?.disk;
        loop {
            disk.free_ticket(|cx| self.poll_outstanding(volumes, cx)).await?;
            if let Some(ticket) = disk.start(request) {
                return Ok(ticket);
            }
        }
    }

    /// Sends everything that is staged, and waits until no write is under way, or a device doesn't answer in time.
    pub(super) async fn settle(&self, volumes: &Volumes) -> Result<(), NodeFault> {
        for stream in 0..STREAMS {
            self.send(volumes, stream).await;
        }
        poll_fn(|cx| {
            self.poll_outstanding(volumes, cx);
            if self.outstanding.borrow().is_empty() || self.hangs() { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
        self.failed.get().map_or(Ok(()), Err)
    }

    /// True when a write to a place is staged or under way.
    pub(super) fn is_writing(&self, place: DataOff) -> bool {
        let bytes = place.radix().ok().flatten().map_or(0, |radix| radix.bytes());
        let (start, end) = (place.offset().0, place.offset().0 + bytes as u64);
        let staged = |staging: &Option<Staging>| {
            staging.as_ref().is_some_and(|s| s.start.0 < end && start < s.start.0 + s.len as u64)
        };
        self.overlaps(place.offset(), bytes) || self.staging.borrow().iter().any(staged)
    }

    /// Gives up all writes, and forgets what went wrong with any.
    pub(super) fn reset(&self, volumes: &Volumes) {
        for Outstanding { volume, ticket, .. } in core::mem::take(&mut *self.outstanding.borrow_mut()) {
            if let Some(volume) = volumes.iter().nth(volume) {
                volume.disk.abandon(ticket);
            }
        }
        *self.staging.borrow_mut() = [const { None }; STREAMS];
        self.failed.set(None);
    }

    /// What went wrong with a write, if anything did.
    pub(super) fn failure(&self) -> Option<NodeFault> {
        self.failed.get()
    }

    /// True when a device didn't answer in time.
    fn hangs(&self) -> bool {
        self.failed.get().is_some_and(|fault| fault.is_timeout())
    }

    async fn send(&self, volumes: &Volumes, stream: usize) {
        let staged = self.staging.borrow_mut()[stream].take();
        if let Some(Staging { start, len, mut buffer }) = staged {
            buffer.truncate(len);
            self.submit(volumes, start, buffer).await;
        }
    }

    /// A buffer of a block that was written.
    pub(super) fn take_spare(&self) -> Option<Buffer> {
        self.spare.borrow_mut().pop()
    }

    fn buffer(&self) -> Result<Buffer, NoMemory> {
        match self.spare.borrow_mut().pop() {
            Some(buffer) => Ok(buffer),
            None => Buffer::new(self.heap, FILE_BLOCK_BYTES),
        }
    }

    fn overlaps(&self, place: MediaOffset, bytes: usize) -> bool {
        let end = place.0 + bytes as u64;
        self.outstanding
            .borrow()
            .iter()
            .any(|other| other.start.0 < end && place.0 < other.start.0 + other.bytes as u64)
    }

    fn poll_outstanding(&self, volumes: &Volumes, cx: &mut Context<'_>) {
        let mut outstanding = self.outstanding.borrow_mut();
        let mut index = 0;
        while index < outstanding.len() {
            let Outstanding { volume, ticket, start, .. } = outstanding[index];
            let polled = match volumes.iter().nth(volume) {
                Some(volume) => volume.disk.poll(ticket, cx),
                None => Poll::Ready(Err(DeviceError::OutOfRange)),
            };
            match polled {
                Poll::Pending => {
                    index += 1;
                    continue;
                }
                Poll::Ready(Ok(mut buffer)) => {
                    if self.spare.borrow().len() < self.spare_limit && buffer.restore(FILE_BLOCK_BYTES) {
                        let _ = self.spare.borrow_mut().push(buffer);
                    }
                }
                Poll::Ready(Err(error)) => self.fail(start, volume, error),
            }
            outstanding.swap_remove(index);
        }
    }

    fn fail(&self, place: MediaOffset, volume: usize, error: DeviceError) {
        let fault = NodeFault::Device { block: BlockName::at(place), volume: volume as u8, error };
        self.failed.set(Some(self.failed.get().unwrap_or(fault)));
    }
}

impl Staging {
    fn has_room(&self, place: MediaOffset, bytes: usize) -> bool {
        self.start.0 + self.len as u64 == place.0 && self.len + bytes <= self.buffer.len()
    }
}
