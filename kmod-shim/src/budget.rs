//! A budget over an allocator: it counts bytes, refuses what exceeds the limit, and can be told to fail.
//!
//! A `static` (or leaked) [`Budget`] is the `Heap` from which a mount takes its memory.

use core::alloc::Layout;
use core::ptr::NonNull;
use core::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};

use allocator_api2::alloc::{AllocError, Allocator};

/// An allocator with a limit on the bytes it has handed out.
pub struct Budget<A> {
    inner: A,
    limit_bytes: AtomicUsize,
    used_bytes: AtomicUsize,
    peak_bytes: AtomicUsize,
    allocations: AtomicU64,
    fail_at: AtomicU64,
    fail_count: AtomicU64,
}

impl<A> Budget<A> {
    /// Makes a budget of at most `limit_bytes` of `inner` at a time.
    pub const fn new(inner: A, limit_bytes: usize) -> Self {
        Self {
            inner,
            limit_bytes: AtomicUsize::new(limit_bytes),
            used_bytes: AtomicUsize::new(0),
            peak_bytes: AtomicUsize::new(0),
            allocations: AtomicU64::new(0),
            fail_at: AtomicU64::new(u64::MAX),
            fail_count: AtomicU64::new(1),
        }
    }

    /// Changes the limit; what is already handed out stays.
    pub fn set_limit_bytes(&self, limit_bytes: usize) {
        self.limit_bytes.store(limit_bytes, Relaxed);
    }

    /// Bytes handed out now.
    pub fn used_bytes(&self) -> usize {
        self.used_bytes.load(Relaxed)
    }

    /// The most bytes that were handed out at any time.
    pub fn peak_bytes(&self) -> usize {
        self.peak_bytes.load(Relaxed)
    }

    /// The number of allocations asked for so far, including refused ones.
    pub fn allocations(&self) -> u64 {
        self.allocations.load(Relaxed)
    }

    /// Makes allocation number `index` (counted like [`allocations`](Self::allocations)) fail, once.
    pub fn fail_at(&self, index: u64) {
        self.fail_from(index, 1);
    }

    /// Makes `count` allocations in a row fail, from number `index` on.
    pub fn fail_from(&self, index: u64, count: u64) {
        self.fail_count.store(count, Relaxed);
        self.fail_at.store(index, Relaxed);
    }

    /// Books `bytes` more, or refuses.
    fn charge(&self, bytes: usize) -> Result<(), AllocError> {
        let index = self.allocations.fetch_add(1, Relaxed);
        let first = self.fail_at.load(Relaxed);
        if index >= first && index - first < self.fail_count.load(Relaxed) {
            return Err(AllocError);
        }
        let limit = self.limit_bytes.load(Relaxed);
        let charged = self
            .used_bytes
            .fetch_update(Relaxed, Relaxed, |used| used.checked_add(bytes).filter(|total| *total <= limit));
        let used = charged.map_err(|_| AllocError)? + bytes;
        self.peak_bytes.fetch_max(used, Relaxed);
        Ok(())
    }

    fn refund(&self, bytes: usize) {
        self.used_bytes.fetch_sub(bytes, Relaxed);
    }
}

// SAFETY: every block comes from `inner` and goes back to it with the layout it was asked for with; the books kept beside
// that never change a pointer or a layout.
unsafe impl<A: Allocator> Allocator for Budget<A> {
    fn allocate(&self, layout: Layout) -> Result<NonNull<[u8]>, AllocError> {
        self.charge(layout.size())?;
        self.inner.allocate(layout).inspect_err(|_| self.refund(layout.size()))
    }

    fn allocate_zeroed(&self, layout: Layout) -> Result<NonNull<[u8]>, AllocError> {
        self.charge(layout.size())?;
        self.inner.allocate_zeroed(layout).inspect_err(|_| self.refund(layout.size()))
    }

    unsafe fn deallocate(&self, ptr: NonNull<u8>, layout: Layout) {
        // SAFETY: the caller's promise, passed on: `ptr` was allocated here, so by `inner`, with this layout.
        unsafe { self.inner.deallocate(ptr, layout) };
        self.refund(layout.size());
    }

    unsafe fn grow(&self, ptr: NonNull<u8>, old: Layout, new: Layout) -> Result<NonNull<[u8]>, AllocError> {
        let more = new.size() - old.size();
        self.charge(more)?;
        // SAFETY: the caller's promise, passed on.
        unsafe { self.inner.grow(ptr, old, new) }.inspect_err(|_| self.refund(more))
    }

    unsafe fn shrink(&self, ptr: NonNull<u8>, old: Layout, new: Layout) -> Result<NonNull<[u8]>, AllocError> {
        // SAFETY: the caller's promise, passed on.
        let block = unsafe { self.inner.shrink(ptr, old, new) }?;
        self.refund(old.size() - new.size());
        Ok(block)
    }
}

#[cfg(feature = "selftest")]
impl<A: Allocator + Send + Sync + 'static> hammer2_core::selftest::Meter for Budget<A> {
    fn heap(&'static self) -> hammer2_core::memory::Heap {
        self
    }

    fn set_limit_bytes(&self, bytes: usize) {
        Budget::set_limit_bytes(self, bytes);
    }

    fn used_bytes(&self) -> usize {
        Budget::used_bytes(self)
    }

    fn peak_bytes(&self) -> usize {
        Budget::peak_bytes(self)
    }

    fn allocations(&self) -> u64 {
        Budget::allocations(self)
    }

    fn fail_at(&self, index: u64) {
        Budget::fail_at(self, index);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use allocator_api2::alloc::Global;
    use allocator_api2::vec::Vec;

    #[test]
    fn books_balance_and_limits_hold() {
        let budget = Budget::new(Global, 1000);
        let mut bytes: Vec<u8, _> = Vec::new_in(&budget);
        bytes.try_reserve_exact(600).unwrap();
        assert_eq!(budget.used_bytes(), 600);
        assert!(Vec::<u8, _>::new_in(&budget).try_reserve_exact(401).is_err());
        bytes.try_reserve_exact(1000).unwrap();
        assert_eq!(budget.used_bytes(), 1000);
        bytes.shrink_to(10);
        drop(bytes);
        assert_eq!((budget.used_bytes(), budget.peak_bytes()), (0, 1000));
    }

    #[test]
    fn a_chosen_allocation_fails_once() {
        let budget = Budget::new(Global, 1000);
        budget.fail_at(1);
        let outcomes: [bool; 3] = core::array::from_fn(|_| Vec::<u8, _>::new_in(&budget).try_reserve_exact(10).is_ok());
        assert_eq!(outcomes, [true, false, true]);
    }
}
