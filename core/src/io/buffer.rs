//! Buffers that devices read into and write from.

use core::fmt;

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::memory::{Heap, NoMemory, Vec};

/// Alignment of every [`Buffer`], enough for direct I/O on any device.
pub const PAGE_BYTES: usize = 4096;

#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C, align(4096))]
struct Page([u8; PAGE_BYTES]);

/// Owned, page-aligned, contiguous memory. Its length in bytes is fixed when it is made.
pub struct Buffer {
    pages: Vec<Page>,
    len: usize,
}

impl Buffer {
    /// A buffer of `len` zero bytes. A page of it is on the stack for that, which whoever wants a buffer shall not have there
    /// for longer.
    #[inline(never)]
    pub fn new(heap: Heap, len: usize) -> Result<Self, NoMemory> {
        let count = len.div_ceil(PAGE_BYTES);
        let mut pages = Vec::new_in(heap);
        pages.try_reserve_exact(count).map_err(|_| NoMemory)?;
        // One page copied into each place; made for each anew, pages would be zeroed first and then copied.
        pages.resize(count, Page([0; PAGE_BYTES]));
        Ok(Self { pages, len })
    }

    /// Another buffer with the same bytes.
    pub fn try_clone(&self, heap: Heap) -> Result<Self, NoMemory> {
        let mut copy = Self::new(heap, self.len)?;
        copy.bytes_mut().copy_from_slice(self.bytes());
        Ok(copy)
    }

    /// Takes over the bytes of another buffer; false if their memory isn't of one size. Pages that hold the same already are only
    /// read.
    #[must_use]
    pub fn copy_from(&mut self, other: &Self) -> bool {
        if self.pages.len() != other.pages.len() {
            return false;
        }
        self.len = other.len;
        for (page, from) in self.pages.iter_mut().zip(&other.pages) {
            if page.0 != from.0 {
                page.0.copy_from_slice(&from.0);
            }
        }
        true
    }

    /// A buffer without memory, for requests that carry no data.
    pub fn empty(heap: Heap) -> Self {
        Self { pages: Vec::new_in(heap), len: 0 }
    }

    /// The length in bytes.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Makes the buffer shorter; its memory stays.
    pub fn truncate(&mut self, len: usize) {
        self.len = self.len.min(len);
    }

    /// Makes a shortened buffer `len` bytes long again, if that is what its memory holds.
    pub fn restore(&mut self, len: usize) -> bool {
        let whole = self.pages.len() * PAGE_BYTES == len;
        if whole {
            self.len = len;
        }
        whole
    }

    /// True when the buffer holds no bytes.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Shows only the first `len` bytes, or all of them again: at most as many as the buffer was made for.
    pub(crate) fn set_len(&mut self, len: usize) {
        assert!(len <= self.pages.len() * PAGE_BYTES);
        self.len = len;
    }

    /// The bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.pages.as_bytes()[..self.len]
    }

    /// The bytes, to be changed.
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.pages.as_mut_bytes()[..self.len]
    }
}

impl fmt::Debug for Buffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Buffer({} bytes)", self.len)
    }
}
