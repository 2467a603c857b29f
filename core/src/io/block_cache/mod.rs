//! The block cache: blocks that were read and verified, by place, within a budget of bytes.
//!
//! Blocks on media are never overwritten while anything refers to them, so the place alone identifies a block. The unit is a
//! *frame*: a block of 16 KiB or more, or the 16 KiB chunk around a smaller one, so that small blocks written together are read
//! together. A frame's bytes are believed for a blockref only after they were compared with that blockref's own check code.
//!
//! Loads are shared: callers that want a block which is already being read wait for the same request, and
//! [`BlockCache::prefetch`] starts a request before anybody waits for it. Memory is bounded by the budget; frames in use (a
//! [`Block`] exists) stay, and of the others those not used lately are evicted.

mod frames;
mod written;

use core::cell::{Cell, Ref, RefCell};
use core::future::poll_fn;
use core::task::{Context, Poll};

use super::{Buffer, DeviceError, DeviceName, Operation, Request, Volumes, Wakers};
use crate::media::freemap::FREEMAP_BLOCK_BYTES;
use crate::media::geometry::CHUNK_BYTES;
use crate::media::placement::check_placement;
use crate::media::{BlockArray, BlockKind, Blockref, Corruption, DataOff, Inode, MediaOffset, Radix, freemap};
use crate::memory::{self, Heap, NoMemory, Vec};
use frames::{FrameState, Frames, Loading, Tag};
use written::WrittenBlocks;

/// Why a block can't be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadError {
    /// All frames are in use, or the heap is exhausted.
    NoMemory,
    /// A device failed.
    Device {
        /// The device.
        device: DeviceName,
        /// What the device said.
        error: DeviceError,
    },
    /// The block isn't what it should be.
    Corrupt(Corruption),
}

impl From<NoMemory> for ReadError {
    fn from(_: NoMemory) -> Self {
        Self::NoMemory
    }
}

impl From<Corruption> for ReadError {
    fn from(corruption: Corruption) -> Self {
        Self::Corrupt(corruption)
    }
}

/// The smallest budget: a few blocks of the largest size.
pub const MIN_CACHE_BYTES: usize = 512 << 10;

/// The number of freemap blocks kept as they were written, a quarter of a mebibyte. A leaf describes a gibibyte, and space is
/// allocated from one leaf after another, so a flush writes more of them only after bulkfree.
const WRITTEN_FREEMAP_BLOCKS: usize = 8;
const WRITTEN_FREEMAP_BYTES: usize = WRITTEN_FREEMAP_BLOCKS * FREEMAP_BLOCK_BYTES;

/// The number of other blocks kept as they were written: those on the way to one file, and a few more.
const WRITTEN_BLOCKS: usize = 16;
/// The blocks kept as written may take one part in this many of the budget.
const WRITTEN_SHARE: usize = 16;

/// Spare buffers may take one part in this many of the budget.
const SPARE_SHARE: usize = 8;

/// Blocks of one filesystem.
pub struct BlockCache {
    volumes: Volumes,
    heap: Heap,
    frames: RefCell<Frames>,
    /// The bytes of each frame, apart from the books, so that a block can be read while others come and go.
    bytes: Vec<RefCell<Option<Buffer>>>,
    loaded: Wakers,
    /// Buffers that were given back, for the next reads: allocating and zeroing a buffer takes as long as copying half of it.
    spare: RefCell<Vec<Buffer>>,
    /// The blocks written last, of the freemap and of everything else.
    written_freemap: RefCell<WrittenBlocks>,
    written: RefCell<WrittenBlocks>,
    /// The number of blocks that were read and failed verification.
    bad_blocks: Cell<u64>,
}

/// A verified block in memory; it stays there as long as this value lives. This is small, because a walk holds many.
pub struct Block<'c> {
    cache: &'c BlockCache,
    frame: u32,
    start: u32,
    len: u32,
    sound: Option<u16>,
}

impl Block<'_> {
    /// The block's bytes as stored.
    pub fn bytes(&self) -> Ref<'_, [u8]> {
        let (start, len) = (self.start as usize, self.len as usize);
        Ref::map(self.cache.bytes[self.frame()].borrow(), |buffer| {
            buffer.as_ref().map_or(&[][..], |buffer| &buffer.bytes()[start..start + len])
        })
    }

    fn frame(&self) -> usize {
        self.frame as usize
    }

    /// True when the block is an array whose entries are all in order and in place, so that it can be searched without checking
    /// each.
    pub fn is_sound_array(&self) -> bool {
        self.sound.is_some()
    }

    /// The number of entries of a sound array, without empty ones after the last.
    pub fn sound_entries(&self) -> Option<usize> {
        self.sound.map(usize::from)
    }
}

impl Drop for Block<'_> {
    fn drop(&mut self) {
        let released = self.cache.frames.borrow_mut().unpin(self.frame());
        if released {
            self.cache.bytes[self.frame()].take();
        }
    }
}

/// The position of a block in its frame.
#[derive(Clone, Copy)]
struct InFrame {
    frame: DataOff,
    start: usize,
    radix: Radix,
}

impl InFrame {
    fn of(data_off: DataOff) -> Result<Self, Corruption> {
        let radix = data_off.radix()?.ok_or(Corruption::NoBlock)?;
        let offset = data_off.offset().0;
        if radix.bytes() as u64 >= CHUNK_BYTES {
            return Ok(Self { frame: DataOff::new(MediaOffset(offset), radix), start: 0, radix });
        }
        let chunk = MediaOffset(offset - offset % CHUNK_BYTES);
        let frame = DataOff::new(chunk, Radix::holding(CHUNK_BYTES as usize).unwrap_or(Radix::MAX));
        Ok(Self { frame, start: (offset % CHUNK_BYTES) as usize, radix })
    }

    /// The same block in a frame of its own, instead of that of the chunk around it.
    fn alone(self) -> Self {
        let offset = MediaOffset(self.frame.offset().0 + self.start as u64);
        Self { frame: DataOff::new(offset, self.radix), start: 0, radix: self.radix }
    }
}

impl BlockCache {
    /// Makes a cache of at most `budget_bytes` bytes of blocks over `volumes`. Its tables are allocated now.
    pub fn new(heap: Heap, volumes: Volumes, budget_bytes: usize) -> Result<Self, NoMemory> {
        let budget_bytes = budget_bytes.max(MIN_CACHE_BYTES);
        let count = budget_bytes / CHUNK_BYTES as usize;
        let mut spare = Vec::new_in(heap);
        spare.try_reserve_exact(budget_bytes / SPARE_SHARE / Radix::MAX.bytes()).map_err(|_| NoMemory)?;
        Ok(Self {
            volumes,
            heap,
            frames: RefCell::new(Frames::new(heap, count, budget_bytes)?),
            bytes: memory::filled(heap, count, || RefCell::new(None))?,
            loaded: Wakers::new(heap),
            spare: RefCell::new(spare),
            written_freemap: RefCell::new(WrittenBlocks::new(heap, WRITTEN_FREEMAP_BLOCKS, WRITTEN_FREEMAP_BYTES)),
            written: RefCell::new(WrittenBlocks::new(heap, WRITTEN_BLOCKS, budget_bytes / WRITTEN_SHARE)),
            bad_blocks: Cell::new(0),
        })
    }

    /// The volumes the blocks are on.
    pub fn volumes(&self) -> &Volumes {
        &self.volumes
    }

    /// The block, if it is in memory and verified.
    pub fn get(&self, bref: &Blockref) -> Option<Block<'_>> {
        let place = InFrame::of(bref.data_off()).ok()?;
        let mut frames = self.frames.borrow_mut();
        let tag = Tag::of(bref);
        let (frame, start, sound) =
            [place, place.alone()].into_iter().find_map(|InFrame { frame, start, .. }| {
                let frame = frames.find(frame)?;
                frames.verified(frame, start, tag).map(|sound| (frame, start, sound))
            })?;
        frames.pin(frame);
        Some(Block { cache: self, frame: frame as u32, start: start as u32, len: place.radix.bytes() as u32, sound })
    }

    /// The block; it is read and verified if necessary.
    pub async fn load(&self, bref: &Blockref) -> Result<Block<'_>, ReadError> {
        bref.kind()?;
        if !is_freemap(bref) {
            check_placement(bref.data_off(), self.volumes.total_bytes())?;
        }
        let mut place = InFrame::of(bref.data_off())?;
        let mut read_again = false;
        loop {
            if let Some(block) = self.get(bref) {
                return Ok(block);
            }
            if self.recall(bref, place)? {
                continue;
            }
            let Some(frame) = self.start(place)? else {
                self.free_ticket(place).await?;
                continue;
            };
            let waiting = Waiting::new(self, frame, place.frame);
            let loaded = poll_fn(|cx| self.poll_loaded(frame, place.frame, cx)).await;
            drop(waiting);
            match loaded.and_then(|()| self.verify(frame, place, bref)) {
                Ok(()) => {}
                // The device has had its time.
                Err(error @ ReadError::Device { error: DeviceError::Timeout, .. }) => return Err(error),
                // A bad sector elsewhere in the chunk, a chunk that changed around the block, or wrong bytes in transfer: read by
                // itself, the block may be good.
                Err(ReadError::Device { .. } | ReadError::Corrupt(Corruption::Check(_))) if !read_again => {
                    place = place.alone();
                    read_again = true;
                }
                Err(error) => {
                    let is_bad = matches!(error, ReadError::Corrupt(_));
                    self.bad_blocks.set(self.bad_blocks.get() + u64::from(is_bad));
                    return Err(error);
                }
            }
        }
    }

    /// How often a block was read and failed verification.
    pub fn bad_blocks(&self) -> u64 {
        self.bad_blocks.get()
    }

    /// Waits until the device of a place has a free ticket.
    async fn free_ticket(&self, place: InFrame) -> Result<(), ReadError> {
        let located = self.volumes.locate(place.frame.offset(), place.radix.bytes() as u64);
        let (_, volume, _) = located.ok_or(Corruption::OutOfRange(place.frame))?;
        volume.disk.free_ticket().await.map_err(|error| ReadError::Device { device: volume.disk.info().name, error })
    }

    /// Starts reading a block that will be wanted soon, if there is room; errors are ignored.
    pub fn prefetch(&self, bref: &Blockref) {
        if check_placement(bref.data_off(), self.volumes.total_bytes()).is_err() {
            return;
        }
        if let Ok(place) = InFrame::of(bref.data_off()) {
            let _ = self.start(place);
        }
    }

    /// The bytes of a block that is in memory and verified, in a buffer of the caller's own; a block that filled its frame leaves
    /// the cache. None for a block that must be [loaded](Self::load) first.
    pub fn take(&self, bref: &Blockref) -> Result<Option<Buffer>, NoMemory> {
        let Some(block) = self.get(bref) else { return Ok(None) };
        if u64::from(block.len) < CHUNK_BYTES || self.frames.borrow().pins(block.frame()) > 1 {
            let mut buffer = Buffer::new(self.heap, block.len as usize)?;
            buffer.bytes_mut().copy_from_slice(&block.bytes());
            return Ok(Some(buffer));
        }
        self.frames.borrow_mut().detach(block.frame());
        Ok(self.bytes[block.frame()].take())
    }

    /// Gives back a buffer that [`take`](Self::take) returned.
    pub fn give_back(&self, buffer: Buffer) {
        let mut spare = self.spare.borrow_mut();
        if buffer.len() < CHUNK_BYTES as usize {
            return;
        }
        if spare.len() < spare.capacity() {
            spare.push(buffer);
        } else if let Some(oldest) = spare.first_mut() {
            // Its size wasn't wanted lately.
            *oldest = buffer;
        }
    }

    /// The number of buffers that were given back.
    pub(crate) fn spare_buffers(&self) -> usize {
        self.spare.borrow().len()
    }

    /// A buffer of this size that was given back.
    pub(crate) fn take_spare(&self, bytes: usize) -> Option<Buffer> {
        let mut spare = self.spare.borrow_mut();
        let found = spare.iter().rposition(|buffer| buffer.len() == bytes)?;
        Some(spare.remove(found))
    }

    /// A buffer to read into; its content means nothing.
    fn buffer(&self, bytes: usize) -> Result<Buffer, NoMemory> {
        self.take_spare(bytes).map_or_else(|| Buffer::new(self.heap, bytes), Ok)
    }

    /// Keeps a block of metadata as it was written, for a while.
    pub(crate) fn keep_written(&self, bref: &Blockref, content: Vec<u8>) {
        self.written_like(bref).borrow_mut().keep(bref, content);
    }

    /// A block of metadata that was written lately.
    pub(crate) fn written(&self, bref: &Blockref) -> Option<Ref<'_, [u8]>> {
        Ref::filter_map(self.written_like(bref).borrow(), |written| written.get(bref)).ok()
    }

    /// A block of metadata that was written lately, to be changed or written again; it is no longer kept.
    pub(crate) fn take_written(&self, bref: &Blockref) -> Option<Vec<u8>> {
        self.written_like(bref).borrow_mut().take(bref)
    }

    /// Forgets all blocks kept as they were written.
    pub(crate) fn forget_written(&self) {
        self.written_freemap.borrow_mut().clear();
        self.written.borrow_mut().clear();
    }

    fn written_like(&self, bref: &Blockref) -> &RefCell<WrittenBlocks> {
        match is_freemap(bref) {
            true => &self.written_freemap,
            false => &self.written,
        }
    }

    /// Makes a frame of a block that was written lately; false if the block isn't kept. A freemap block stays kept: if it is bad
    /// on the device, it is written again.
    #[inline(never)]
    fn recall(&self, bref: &Blockref, place: InFrame) -> Result<bool, ReadError> {
        let key = place.alone().frame;
        if is_freemap(bref) || self.frames.borrow_mut().find(key).is_some() {
            return Ok(false);
        }
        let Some(content) = self.take_written(bref) else { return Ok(false) };
        let sound = structure_of(bref, &content)?;
        let frame = self.claim(key, content.len())?;
        match self.buffer(content.len()) {
            Ok(mut buffer) => {
                buffer.bytes_mut().copy_from_slice(&content);
                *self.bytes[frame].borrow_mut() = Some(buffer);
            }
            Err(error) => {
                self.frames.borrow_mut().release(frame);
                return Err(error.into());
            }
        }
        let mut frames = self.frames.borrow_mut();
        frames.set_ready(frame);
        frames.set_verified(frame, 0, Tag::of(bref), sound);
        Ok(true)
    }

    /// Forgets everything that isn't in use at the moment.
    pub fn forget(&self) {
        self.written.borrow_mut().clear();
        let mut frames = self.frames.borrow_mut();
        while let Some((victim, loading)) = frames.evict() {
            self.abandon(loading);
            self.bytes[victim].take();
        }
    }

    /// Forgets everything about a place that is about to be written.
    pub fn invalidate(&self, offset: MediaOffset, bytes: usize) {
        let mut frames = self.frames.borrow_mut();
        let end = offset.0.saturating_add(bytes as u64);
        // Blocks smaller than a chunk have frames of their own when the chunk can't be read.
        for radix in (Radix::MIN.value()..=Radix::MAX.value()).filter_map(|radix| Radix::new(radix).ok()) {
            if !frames.has_any(radix) {
                continue;
            }
            let size = radix.bytes() as u64;
            let mut base = offset.0 - offset.0 % size;
            while base < end {
                if let Some(frame) = frames.find(DataOff::new(MediaOffset(base), radix)) {
                    frames.detach(frame);
                    if frames.is_unused(frame) {
                        frames.release(frame);
                        self.bytes[frame].take();
                    }
                }
                base += size;
            }
        }
    }

    /// The frame for a place, with its read under way or done; none when the device has no free ticket.
    fn start(&self, place: InFrame) -> Result<Option<usize>, ReadError> {
        if let Some(frame) = self.frames.borrow_mut().find(place.frame) {
            return Ok(Some(frame));
        }
        let bytes = place.frame.radix()?.ok_or(Corruption::NoBlock)?.bytes();
        let (index, volume, offset) =
            self.volumes.locate(place.frame.offset(), bytes as u64).ok_or(Corruption::OutOfRange(place.frame))?;
        if !volume.disk.has_room() {
            return Ok(None);
        }
        let frame = self.claim(place.frame, bytes)?;
        let buffer = match self.buffer(bytes) {
            Ok(buffer) => buffer,
            Err(error) => {
                self.frames.borrow_mut().release(frame);
                return Err(error.into());
            }
        };
        let mut request = Some(Request::new(Operation::Read(offset), buffer));
        match volume.disk.start_ahead(&mut request) {
            Some(request) => {
                self.frames.borrow_mut().set_loading(frame, Loading { volume: index as u8, request, waiters: 0 });
                Ok(Some(frame))
            }
            None => {
                self.frames.borrow_mut().release(frame);
                Ok(None)
            }
        }
    }

    /// A frame of `bytes` bytes for `key`, for which others may be evicted.
    fn claim(&self, key: DataOff, bytes: usize) -> Result<usize, NoMemory> {
        let mut frames = self.frames.borrow_mut();
        loop {
            if let Some(frame) = frames.claim(key, bytes) {
                return Ok(frame);
            }
            let (victim, loading) = frames.evict().ok_or(NoMemory)?;
            self.abandon(loading);
            if let Some(buffer) = self.bytes[victim].take() {
                self.give_back(buffer);
            }
        }
    }

    fn abandon(&self, loading: Option<Loading>) {
        if let Some(loading) = loading
            && let Some(volume) = self.volumes.iter().nth(loading.volume.into())
        {
            volume.disk.abandon(loading.request);
        }
    }

    /// Ready when the frame's read is done, also if the frame meanwhile serves another place: the caller looks again.
    fn poll_loaded(&self, frame: usize, key: DataOff, cx: &mut Context<'_>) -> Poll<Result<(), ReadError>> {
        let Some(loading) = self.frames.borrow().loading(frame, key) else { return Poll::Ready(Ok(())) };
        let Some(volume) = self.volumes.iter().nth(loading.volume.into()) else { return Poll::Ready(Ok(())) };
        let Poll::Ready(result) = volume.disk.poll(loading.request, cx) else {
            self.loaded.register(cx.waker());
            return Poll::Pending;
        };
        let mut frames = self.frames.borrow_mut();
        let outcome = match result {
            Ok(buffer) => {
                *self.bytes[frame].borrow_mut() = Some(buffer);
                frames.set_ready(frame);
                Ok(())
            }
            Err(error) => {
                frames.release(frame);
                Err(ReadError::Device { device: volume.disk.info().name, error })
            }
        };
        drop(frames);
        self.loaded.wake_all();
        Poll::Ready(outcome)
    }

    /// Wakes other waiting callers, as the last one to poll may be gone.
    fn leave(&self, frame: usize, key: DataOff) {
        if let Some(loading) = self.frames.borrow().loading(frame, key)
            && let Some(volume) = self.volumes.iter().nth(loading.volume.into())
        {
            volume.disk.leave(loading.request);
        }
    }

    /// Compares the block with its check code, and remembers if it is good.
    fn verify(&self, frame: usize, place: InFrame, bref: &Blockref) -> Result<(), ReadError> {
        if self.frames.borrow().state(frame, place.frame) != Some(FrameState::Ready) {
            return Ok(());
        }
        let bytes = self.bytes[frame].borrow();
        let Some(buffer) = bytes.as_ref() else { return Ok(()) };
        let block = buffer.bytes().get(place.start..place.start + place.radix.bytes()).unwrap_or(&[]);
        let sound = match verify_block(bref, block) {
            Ok(sound) => sound,
            Err(corruption) => {
                // It is read again the next time: a device may return wrong bytes once.
                drop(bytes);
                self.discard_if_unused(frame);
                return Err(corruption.into());
            }
        };
        self.frames.borrow_mut().set_verified(frame, place.start, Tag::of(bref), sound);
        Ok(())
    }

    fn discard_if_unused(&self, frame: usize) {
        let mut frames = self.frames.borrow_mut();
        if frames.pins(frame) == 0 {
            frames.release(frame);
            self.bytes[frame].take();
        }
    }
}

/// Checks that a block is what its blockref says: its check code, and its structure by itself. Returns the number of entries of
/// an array in which all are sound; the entries of an unsound array are checked one by one when they are used.
fn verify_block(bref: &Blockref, block: &[u8]) -> Result<Option<u16>, Corruption> {
    bref.verify(block)?;
    structure_of(bref, block)
}

fn is_freemap(bref: &Blockref) -> bool {
    matches!(bref.kind(), Ok(BlockKind::FreemapNode | BlockKind::FreemapLeaf))
}

fn structure_of(bref: &Blockref, block: &[u8]) -> Result<Option<u16>, Corruption> {
    match bref.kind()? {
        BlockKind::Inode => Inode::in_block(block)?.check().map(|()| None),
        BlockKind::Indirect | BlockKind::FreemapNode => {
            let count = BlockArray::new(block, bref.span()?).check().ok();
            Ok(count.and_then(|count| u16::try_from(count).ok()))
        }
        BlockKind::FreemapLeaf => freemap::records(block).map(|_| None),
        BlockKind::Data | BlockKind::Dirent => Ok(None),
    }
}

/// Counts a future that waits for a frame. When it is dropped, the others poll again: the device may have kept only its waker.
struct Waiting<'c> {
    cache: &'c BlockCache,
    frame: usize,
    key: DataOff,
}

impl<'c> Waiting<'c> {
    fn new(cache: &'c BlockCache, frame: usize, key: DataOff) -> Self {
        cache.frames.borrow_mut().add_waiter(frame, key);
        Self { cache, frame, key }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.cache.frames.borrow_mut().remove_waiter(self.frame, self.key);
        self.cache.leave(self.frame, self.key);
        self.cache.loaded.wake_all();
    }
}
