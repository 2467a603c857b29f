//! A value with several owners, in memory of a given allocator.
//!
//! Rust's `Arc` takes no allocator and aborts the program when memory runs out; no maintained crate has one that doesn't. It is
//! the only thing needing unsafe code that `hammer2-core`, which has none, can't do without: a block that several disks write is
//! in memory once.
//!
//! The rule: the owner that takes the count to zero frees the memory, and only an owner that finds the count at one changes the
//! value. Only owners make further owners, so a count of one stays at one while that owner is borrowed.
#![no_std]
#![deny(unsafe_op_in_unsafe_fn)]

use core::fmt;
use core::marker::PhantomData;
use core::ops::Deref;
use core::ptr::NonNull;

use allocator_api2::alloc::{AllocError, Allocator};
use allocator_api2::boxed::Box;
#[cfg(not(loom))]
use core::sync::atomic::{AtomicUsize, Ordering, fence};
#[cfg(loom)]
use loom::sync::atomic::{AtomicUsize, Ordering, fence};

/// More owners than this are refused, long before their count could overflow.
const MOST_OWNERS: usize = usize::MAX / 2;

struct Counted<T> {
    owners: AtomicUsize,
    value: T,
}

/// One owner of a value that others may own, too.
///
/// ```
/// use allocator_api2::alloc::Global;
/// use hammer2_shared::Shared;
///
/// let mut one = Shared::try_new_in([0; 4], Global)?;
/// one.get_mut().expect("nobody else has it")[0] = 7;
/// let other = one.share().expect("two owners aren't many");
/// assert!(one.get_mut().is_none());
/// drop(one);
/// assert_eq!(other[0], 7);
/// # Ok::<(), allocator_api2::alloc::AllocError>(())
/// ```
pub struct Shared<T, A: Allocator> {
    counted: NonNull<Counted<T>>,
    allocator: A,
    /// Dropping this may drop the value.
    owns: PhantomData<Counted<T>>,
}

// SAFETY: any owner may be the one whose thread drops the value, hence `T: Send`, and all can look at it at the same time, hence
// `T: Sync`. The allocator goes along with its owner.
unsafe impl<T: Send + Sync, A: Allocator + Send> Send for Shared<T, A> {}
// SAFETY: a borrowed owner shows the value, and makes further owners.
unsafe impl<T: Send + Sync, A: Allocator + Sync> Sync for Shared<T, A> {}

impl<T, A: Allocator> Shared<T, A> {
    /// Makes the only owner of a value.
    pub fn try_new_in(value: T, allocator: A) -> Result<Self, AllocError> {
        let counted = Box::try_new_in(Counted { owners: AtomicUsize::new(1), value }, allocator)?;
        let (counted, allocator) = Box::into_non_null_with_allocator(counted);
        Ok(Self { counted, allocator, owns: PhantomData })
    }

    /// Makes another owner; none if there are absurdly many.
    pub fn share(&self) -> Option<Self>
    where
        A: Clone,
    {
        let owners = &self.counted().owners;
        // The new owner need not see anything that this one doesn't.
        if owners.fetch_add(1, Ordering::Relaxed) >= MOST_OWNERS {
            owners.fetch_sub(1, Ordering::Relaxed);
            return None;
        }
        Some(Self { counted: self.counted, allocator: self.allocator.clone(), owns: PhantomData })
    }

    /// True when nobody else owns the value.
    pub fn is_alone(&self) -> bool {
        // Everything that others did with it before they dropped it is done.
        self.counted().owners.load(Ordering::Acquire) == 1
    }

    /// The value, for changes; none while others own it, too.
    pub fn get_mut(&mut self) -> Option<&mut T> {
        if !self.is_alone() {
            return None;
        }
        // SAFETY: there is no other owner, and none can come into being as long as this one is borrowed.
        Some(unsafe { &mut self.counted.as_mut().value })
    }

    fn counted(&self) -> &Counted<T> {
        // SAFETY: it is freed when its last owner goes, and this one is there.
        unsafe { self.counted.as_ref() }
    }
}

impl<T, A: Allocator> Deref for Shared<T, A> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.counted().value
    }
}

impl<T: fmt::Debug, A: Allocator> fmt::Debug for Shared<T, A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl<T, A: Allocator> Drop for Shared<T, A> {
    fn drop(&mut self) {
        // What this owner did with the value must be done before another frees it,
        if self.counted().owners.fetch_sub(1, Ordering::Release) != 1 {
            return;
        }
        // and what the others did before this one does.
        fence(Ordering::Acquire);
        // SAFETY: it came from a box of this allocator, and nobody else has it any more. The allocator is only lent to the box: a
        // reference to one is one.
        drop(unsafe { Box::from_non_null_in(self.counted, &self.allocator) });
    }
}
