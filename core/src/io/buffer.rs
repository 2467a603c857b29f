//! Buffers for reading from and writing to devices.

use core::fmt;

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::memory::{Heap, NoMemory, Shared, Vec};

/// Alignment of every [`Buffer`], enough for direct I/O on any device.
pub const PAGE_BYTES: usize = 4096;

#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C, align(4096))]
struct Page([u8; PAGE_BYTES]);

/// Page-aligned, contiguous memory. Its length in bytes is fixed when it is made.
///
/// It belongs to its owner, who may change it. A buffer that several devices are to write can be [shared](Self::share): as long
/// as there are several owners, nobody changes it.
pub struct Buffer {
    memory: Memory,
    len: usize,
}

enum Memory {
    Own(Vec<Page>),
    Shared(Shared<Vec<Page>>),
}

impl Memory {
    fn pages(&self) -> &[Page] {
        match self {
            Self::Own(pages) => pages,
            Self::Shared(pages) => pages,
        }
    }

    /// The pages, for changes; none while others share them.
    fn pages_mut(&mut self) -> &mut [Page] {
        match self {
            Self::Own(pages) => pages,
            Self::Shared(pages) => pages.get_mut().map_or(&mut [], |pages| pages),
        }
    }
}

impl Buffer {
    /// A buffer of `len` zero bytes. Making it puts one page on the stack, which this function, not being inlined, frees again at
    /// once.
    #[inline(never)]
    pub fn new(heap: Heap, len: usize) -> Result<Self, NoMemory> {
        let count = len.div_ceil(PAGE_BYTES);
        let mut pages = Vec::new_in(heap);
        pages.try_reserve_exact(count).map_err(|_| NoMemory)?;
        // Copying one page into each place is cheaper than making each page, which zeroes it first and then copies it.
        pages.resize(count, Page([0; PAGE_BYTES]));
        Ok(Self { memory: Memory::Own(pages), len })
    }

    /// A copy of the buffer.
    pub fn try_clone(&self, heap: Heap) -> Result<Self, NoMemory> {
        let mut copy = Self::new(heap, self.len)?;
        copy.bytes_mut().copy_from_slice(self.bytes());
        Ok(copy)
    }

    /// Prepares the buffer for being [shared](Self::share).
    pub fn make_shareable(&mut self, heap: Heap) -> Result<(), NoMemory> {
        if let Memory::Own(pages) = &mut self.memory {
            // The pages stay where they are until there is memory for this.
            let mut shared = Shared::try_new_in(Vec::new_in(heap), heap)?;
            if let Some(place) = shared.get_mut() {
                core::mem::swap(place, pages);
            }
            self.memory = Memory::Shared(shared);
        }
        Ok(())
    }

    /// Another buffer of the same memory; none if it wasn't made [shareable](Self::make_shareable).
    pub fn share(&self) -> Option<Self> {
        match &self.memory {
            Memory::Own(_) => None,
            Memory::Shared(pages) => Some(Self { memory: Memory::Shared(pages.share()?), len: self.len }),
        }
    }

    /// The same bytes in memory of its own: they are copied if others share them.
    pub fn into_own(self, heap: Heap) -> Result<Self, NoMemory> {
        match &self.memory {
            Memory::Shared(pages) if !pages.is_alone() => self.try_clone(heap),
            _ => Ok(self),
        }
    }

    /// Copies the bytes of another buffer into this one; false if their memory differs in size, or others share this one. Pages
    /// with the same content are only read.
    #[must_use]
    pub fn copy_from(&mut self, other: &Self) -> bool {
        let (pages, others) = (self.memory.pages_mut(), other.memory.pages());
        if pages.len() != others.len() {
            return false;
        }
        self.len = other.len;
        for (page, from) in pages.iter_mut().zip(others) {
            if page.0 != from.0 {
                page.0.copy_from_slice(&from.0);
            }
        }
        true
    }

    /// A buffer without memory, for requests that carry no data.
    pub fn empty(heap: Heap) -> Self {
        Self { memory: Memory::Own(Vec::new_in(heap)), len: 0 }
    }

    /// The length in bytes.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Makes the buffer shorter; its memory stays.
    pub fn truncate(&mut self, len: usize) {
        self.len = self.len.min(len);
    }

    /// Makes a shortened buffer `len` bytes long again, if that is the size of its memory and nobody shares it.
    pub fn restore(&mut self, len: usize) -> bool {
        let whole = self.memory.pages_mut().len() * PAGE_BYTES == len;
        if whole {
            self.len = len;
        }
        whole
    }

    /// True when the buffer holds no bytes.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Limits the buffer to its first `len` bytes, at most as many as it was made for.
    pub(crate) fn set_len(&mut self, len: usize) {
        assert!(len <= self.memory.pages().len() * PAGE_BYTES);
        self.len = len;
    }

    /// The bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.memory.pages().as_bytes()[..self.len]
    }

    /// The bytes, for changes; none while others share them.
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        self.memory.pages_mut().as_mut_bytes().get_mut(..self.len).unwrap_or_default()
    }
}

impl fmt::Debug for Buffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Buffer({} bytes)", self.len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::io::testing::HEAP;

    fn filled(byte: u8) -> Buffer {
        let mut buffer = Buffer::new(HEAP, 3 * PAGE_BYTES).unwrap();
        buffer.bytes_mut().fill(byte);
        buffer
    }

    #[test]
    fn what_is_shared_is_in_memory_once_and_changed_by_nobody() {
        let mut one = filled(7);
        assert!(one.share().is_none(), "it wasn't made shareable");
        let at = one.bytes().as_ptr();
        one.make_shareable(HEAP).unwrap();
        let mut other = one.share().unwrap();
        assert_eq!((one.bytes().as_ptr(), other.bytes().as_ptr()), (at, at));
        other.truncate(100);
        assert_eq!((one.len(), other.len()), (3 * PAGE_BYTES, 100));
        assert!(one.bytes_mut().is_empty() && other.bytes_mut().is_empty());
        assert!(!other.restore(3 * PAGE_BYTES) && !one.copy_from(&filled(8)));
        drop(one);
        assert!(other.restore(3 * PAGE_BYTES), "nobody else has it any more");
        other.bytes_mut().fill(9);
        assert_eq!((other.bytes()[0], other.bytes().as_ptr()), (9, at));
    }

    #[test]
    fn only_what_others_have_is_copied_to_own_it() {
        let mut one = filled(1);
        one.make_shareable(HEAP).unwrap();
        let other = one.share().unwrap();
        let at = other.bytes().as_ptr();
        let mut own = one.into_own(HEAP).unwrap();
        own.bytes_mut().fill(2);
        assert_eq!((other.bytes()[0], own.bytes()[0]), (1, 2));
        assert_eq!(other.into_own(HEAP).unwrap().bytes().as_ptr(), at);
    }
}
