//! The kernel's memory as an allocator.

use core::alloc::{GlobalAlloc, Layout};
use core::ptr::{self, NonNull};

use allocator_api2::alloc::{AllocError, Allocator};

use crate::abi;

/// `kvmalloc`: large blocks need not be contiguous in physical memory. Only threads allocate, never interrupt handlers.
#[derive(Clone, Copy)]
pub(crate) struct Kvmalloc;

// SAFETY: `hammer2_host_allocate` returns null, or a block of this size and alignment with no other owner until it is freed.
unsafe impl GlobalAlloc for Kvmalloc {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: it takes any size and any alignment that is a power of two.
        unsafe { abi::hammer2_host_allocate(layout.size(), layout.align()) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise: the block is from `alloc`, with this layout.
        unsafe { abi::hammer2_host_free(block, layout.size(), layout.align()) }
    }
}

// SAFETY: as for `GlobalAlloc`; blocks without bytes are never touched, and never freed.
unsafe impl Allocator for Kvmalloc {
    fn allocate(&self, layout: Layout) -> Result<NonNull<[u8]>, AllocError> {
        let block = match layout.size() {
            0 => ptr::without_provenance_mut(layout.align()),
            // SAFETY: it takes any size and any alignment that is a power of two.
            bytes => unsafe { abi::hammer2_host_allocate(bytes, layout.align()) },
        };
        Ok(NonNull::slice_from_raw_parts(NonNull::new(block).ok_or(AllocError)?, layout.size()))
    }

    unsafe fn deallocate(&self, block: NonNull<u8>, layout: Layout) {
        if layout.size() > 0 {
            // SAFETY: the caller's promise: the block is from `allocate`, with this layout.
            unsafe { abi::hammer2_host_free(block.as_ptr(), layout.size(), layout.align()) }
        }
    }
}
