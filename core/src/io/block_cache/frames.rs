//! The cache's books: what each frame holds, which frames are in use, and which is evicted next.

use core::convert::identity;

use crate::io::RequestId;
use crate::media::check::CHECK_BYTES;
use crate::media::geometry::{CHUNK_BYTES, MAX_RADIX, MIN_RADIX};
use crate::media::{Blockref, DataOff, Radix};
use crate::memory::{self, HashIndex, Heap, NoMemory, Vec};

/// The number of blocks of the smallest size in a chunk.
const PIECES: usize = CHUNK_BYTES as usize >> MIN_RADIX;

/// The number of block sizes.
const SIZES: usize = (MAX_RADIX - MIN_RADIX) as usize + 1;

fn size(key: DataOff) -> usize {
    key.radix().ok().flatten().map_or(0, |radix| usize::from(radix.value() - MIN_RADIX))
}

/// A digest of what a blockref says about its block: check code, methods, type, size and span. A piece of a frame carries the tag
/// for which it was verified, so another blockref to the same place makes it be verified again.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Tag(u64);

impl Tag {
    /// The tag of no blockref.
    const NONE: Self = Self(0);

    pub(super) fn of(bref: &Blockref) -> Self {
        let counted = bref.methods.check().map_or(CHECK_BYTES, |method| method.code_bytes());
        let mut hash = u64::from_le_bytes([bref.kind_code(), bref.methods.0, bref.keybits().0, 0, 0, 0, 0, 0x80]);
        let mut mix = |word: u64| hash = (hash.rotate_left(23) ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        mix(bref.data_off().0);
        mix(bref.key().0);
        for word in bref.check[..counted].chunks(8) {
            mix(word.iter().rev().fold(0, |value, byte| value << 8 | u64::from(*byte)));
        }
        Self(hash | 1)
    }
}

/// A read under way.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Loading {
    pub(super) volume: u8,
    pub(super) request: RequestId,
    pub(super) waiters: u16,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum FrameState {
    Free,
    /// It has a place in the index, but no read was started yet.
    Claimed,
    Loading(Loading),
    Ready,
}

struct Frame {
    key: DataOff,
    bytes: usize,
    state: FrameState,
    pins: u32,
    /// True when it was used since the eviction hand last passed.
    recent: bool,
    /// For each piece that is a sound array: the number of its entries.
    sound: [Option<u16>; PIECES],
    verified: [Tag; PIECES],
}

const FREE: Frame = Frame {
    key: DataOff::NONE,
    bytes: 0,
    state: FrameState::Free,
    pins: 0,
    recent: false,
    sound: [None; PIECES],
    verified: [Tag::NONE; PIECES],
};

pub(super) struct Frames {
    frames: Vec<Frame>,
    /// Frames by key.
    index: HashIndex,
    free: Vec<u32>,
    hand: usize,
    used_bytes: usize,
    budget_bytes: usize,
    /// The number of frames of each size in the index.
    sizes: [u32; SIZES],
}

impl Frames {
    pub(super) fn new(heap: Heap, count: usize, budget_bytes: usize) -> Result<Self, NoMemory> {
        Ok(Self {
            frames: memory::filled(heap, count, || FREE)?,
            index: HashIndex::new(heap, count)?,
            free: memory::free_places(heap, count, identity)?,
            hand: 0,
            used_bytes: 0,
            budget_bytes,
            sizes: [0; SIZES],
        })
    }

    pub(super) fn find(&mut self, key: DataOff) -> Option<usize> {
        let frame = self.index.find(hash(key), |frame| self.frames[frame as usize].key == key)? as usize;
        self.frames[frame].recent = true;
        Some(frame)
    }

    /// Takes a free frame and enters it under `key` ([`DataOff::NONE`] enters it under none), if frames and budget allow.
    pub(super) fn claim(&mut self, key: DataOff, bytes: usize) -> Option<usize> {
        if self.used_bytes + bytes > self.budget_bytes {
            return None;
        }
        let frame = self.free.pop()?;
        self.used_bytes += bytes;
        self.frames[frame as usize] = Frame { key, bytes, state: FrameState::Claimed, recent: true, ..FREE };
        if key != DataOff::NONE {
            self.index.insert(hash(key), frame);
            self.sizes[size(key)] += 1;
        }
        Some(frame as usize)
    }

    /// Frees the unused frame that was roughly the longest without use, and returns it with its read, if one is under way.
    pub(super) fn evict(&mut self) -> Option<(usize, Option<Loading>)> {
        for _ in 0..2 * self.frames.len() {
            let index = self.hand;
            self.hand = (self.hand + 1) % self.frames.len();
            let frame = &mut self.frames[index];
            let loading = match frame.state {
                FrameState::Ready if frame.pins == 0 => None,
                FrameState::Loading(loading) if loading.waiters == 0 => Some(loading),
                _ => continue,
            };
            if !core::mem::take(&mut frame.recent) {
                self.release(index);
                return Some((index, loading));
            }
        }
        None
    }

    /// Frees a frame.
    pub(super) fn release(&mut self, frame: usize) {
        let Frame { key, bytes, .. } = core::mem::replace(&mut self.frames[frame], FREE);
        self.used_bytes -= bytes;
        // The list was made with room for all frames.
        self.free.push(frame as u32);
        if key != DataOff::NONE {
            self.remove_from_index(key, frame as u32);
        }
    }

    fn remove_from_index(&mut self, key: DataOff, frame: u32) {
        self.index.remove(hash(key), frame);
        self.sizes[size(key)] -= 1;
    }

    /// True when there is any frame of this size.
    pub(super) fn has_any(&self, radix: Radix) -> bool {
        self.sizes[usize::from(radix.value() - MIN_RADIX)] > 0
    }

    pub(super) fn pin(&mut self, frame: usize) {
        self.frames[frame].pins += 1;
    }

    /// Ends one use. Returns true if it was the last use of a frame in no index, which is then released.
    pub(super) fn unpin(&mut self, frame: usize) -> bool {
        self.frames[frame].pins -= 1;
        let last = self.frames[frame].pins == 0 && self.frames[frame].key == DataOff::NONE;
        if last {
            self.release(frame);
        }
        last
    }

    /// True when the frame's bytes aren't in use, and no read into them is under way.
    pub(super) fn is_unused(&self, frame: usize) -> bool {
        self.frames[frame].pins == 0 && self.frames[frame].state == FrameState::Ready
    }

    /// Takes a frame out of the index: only its present users still have it.
    pub(super) fn detach(&mut self, frame: usize) {
        let key = core::mem::take(&mut self.frames[frame].key);
        if key != DataOff::NONE {
            self.remove_from_index(key, frame as u32);
        }
    }

    pub(super) fn pins(&self, frame: usize) -> u32 {
        self.frames[frame].pins
    }

    /// The frame's state, if it still serves `key`.
    pub(super) fn state(&self, frame: usize, key: DataOff) -> Option<FrameState> {
        (self.frames[frame].key == key).then_some(self.frames[frame].state)
    }

    pub(super) fn loading(&self, frame: usize, key: DataOff) -> Option<Loading> {
        match self.state(frame, key) {
            Some(FrameState::Loading(loading)) => Some(loading),
            _ => None,
        }
    }

    pub(super) fn set_loading(&mut self, frame: usize, loading: Loading) {
        self.frames[frame].state = FrameState::Loading(loading);
    }

    pub(super) fn set_ready(&mut self, frame: usize) {
        self.frames[frame].state = FrameState::Ready;
    }

    pub(super) fn add_waiter(&mut self, frame: usize, key: DataOff) {
        if let (true, FrameState::Loading(loading)) = (self.frames[frame].key == key, &mut self.frames[frame].state) {
            loading.waiters += 1;
        }
    }

    pub(super) fn remove_waiter(&mut self, frame: usize, key: DataOff) {
        if let (true, FrameState::Loading(loading)) = (self.frames[frame].key == key, &mut self.frames[frame].state) {
            loading.waiters = loading.waiters.saturating_sub(1);
        }
    }

    /// Whether the piece at `start` was verified for `tag`; if so, the number of entries if it is a sound array.
    pub(super) fn verified(&self, frame: usize, start: usize, tag: Tag) -> Option<Option<u16>> {
        let piece = start >> MIN_RADIX;
        let frame = &self.frames[frame];
        (frame.state == FrameState::Ready && frame.verified[piece] == tag).then_some(frame.sound[piece])
    }

    pub(super) fn set_verified(&mut self, frame: usize, start: usize, tag: Tag, sound: Option<u16>) {
        let piece = start >> MIN_RADIX;
        let frame = &mut self.frames[frame];
        frame.verified[piece] = tag;
        frame.sound[piece] = sound;
    }
}

fn hash(key: DataOff) -> u64 {
    key.0 >> MIN_RADIX ^ key.0 << 58
}
