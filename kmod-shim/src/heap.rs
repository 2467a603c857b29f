//! A kernel heap that returns an error instead of aborting.
//!
//! Two-level segregated fit (crate `rlsf`): constant time, whatever the fragmentation. One [`KernelHeap`] serves both as
//! `#[global_allocator]` and, through `&'static KernelHeap`, as the `Allocator` under a mount's budget.

use core::alloc::{GlobalAlloc, Layout};
use core::mem::MaybeUninit;
use core::ptr::{self, NonNull};

use allocator_api2::alloc::{AllocError, Allocator};
use rlsf::Tlsf;
use spin::Mutex;

/// The number of first levels: blocks of up to 32 bytes × 2^32 bytes.
const FIRST_LEVELS: usize = 32;

/// The number of second levels: at most a 32nd of a block's size is lost.
const SECOND_LEVELS: usize = 32;

/// A heap over memory given to it piece by piece; empty until then.
///
/// It spins on a lock, so interrupt handlers must not allocate or free.
pub struct KernelHeap {
    blocks: Mutex<Tlsf<'static, u32, u32, FIRST_LEVELS, SECOND_LEVELS>>,
}

impl KernelHeap {
    /// A heap without memory.
    pub const fn empty() -> Self {
        Self { blocks: Mutex::new(Tlsf::new()) }
    }

    /// Adds memory. Regions that are too small are ignored.
    pub fn add(&self, memory: &'static mut [MaybeUninit<u8>]) {
        self.blocks.lock().insert_free_block(memory);
    }

    fn take(&self, layout: Layout) -> Option<NonNull<u8>> {
        self.blocks.lock().allocate(layout)
    }
}

// SAFETY: blocks come from `Tlsf`, which hands every byte out once and with the layout's alignment; the lock serialises it.
unsafe impl GlobalAlloc for KernelHeap {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        self.take(layout).map_or(ptr::null_mut(), NonNull::as_ptr)
    }

    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        if let Some(block) = NonNull::new(ptr) {
            // SAFETY: the caller's promise, passed on: the block was allocated here with this layout.
            unsafe { self.blocks.lock().deallocate(block, layout.align()) };
        }
    }

    unsafe fn realloc(&self, ptr: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        let (Some(block), Ok(new)) = (NonNull::new(ptr), Layout::from_size_align(new_size, layout.align())) else {
            return ptr::null_mut();
        };
        // SAFETY: the caller's promise, passed on; the alignment is the block's own.
        unsafe { self.blocks.lock().reallocate(block, new) }.map_or(ptr::null_mut(), NonNull::as_ptr)
    }
}

// SAFETY: as above. Blocks of no bytes are dangling, aligned, and never given back to `Tlsf`.
unsafe impl Allocator for KernelHeap {
    fn allocate(&self, layout: Layout) -> Result<NonNull<[u8]>, AllocError> {
        if layout.size() == 0 {
            let dangling = ptr::without_provenance_mut(layout.align());
            return NonNull::new(dangling).map(|start| NonNull::slice_from_raw_parts(start, 0)).ok_or(AllocError);
        }
        let start = self.take(layout).ok_or(AllocError)?;
        Ok(NonNull::slice_from_raw_parts(start, layout.size()))
    }

    unsafe fn deallocate(&self, ptr: NonNull<u8>, layout: Layout) {
        if layout.size() != 0 {
            // SAFETY: the caller's promise, passed on.
            unsafe { self.blocks.lock().deallocate(ptr, layout.align()) };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use allocator_api2::vec::Vec;
    use std::boxed::Box;

    fn heap(bytes: usize) -> &'static KernelHeap {
        let heap = Box::leak(Box::new(KernelHeap::empty()));
        heap.add(Box::leak(std::vec![MaybeUninit::uninit(); bytes].into_boxed_slice()));
        heap
    }

    #[test]
    fn refuses_what_it_does_not_have_and_reuses_what_comes_back() {
        let heap = heap(1 << 20);
        for _ in 0..100 {
            let mut most = Vec::<u8, _>::new_in(heap);
            assert!(most.try_reserve_exact(1 << 20).is_err());
            most.try_reserve_exact(900 << 10).unwrap();
            assert!(Vec::<u8, _>::new_in(heap).try_reserve_exact(300 << 10).is_err());
        }
    }

    #[test]
    fn alignment_is_kept_among_odd_sizes() {
        let heap = heap(1 << 20);
        for shift in 0..=12 {
            let layout = Layout::from_size_align(100 + shift, 1 << shift).unwrap();
            let block = heap.allocate(layout).unwrap().cast::<u8>();
            assert_eq!(block.addr().get() % layout.align(), 0);
            if shift % 2 == 0 {
                // SAFETY: allocated above with this layout.
                unsafe { heap.deallocate(block, layout) };
            }
        }
    }
}
