//! Tests of who owns a value, who may change it, and when it is dropped.
#![cfg(not(loom))]

use std::alloc::Layout;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use allocator_api2::alloc::{AllocError, Allocator, Global};
use hammer2_shared::Shared;

/// An allocator that counts unfreed memory, and has a limit.
#[derive(Default)]
struct Counting {
    allocated: AtomicUsize,
    limit: usize,
}

// SAFETY: it is `Global`, which keeps what is promised.
unsafe impl Allocator for Counting {
    fn allocate(&self, layout: Layout) -> Result<NonNull<[u8]>, AllocError> {
        if self.allocated.fetch_add(layout.size(), Ordering::Relaxed) + layout.size() > self.limit {
            self.allocated.fetch_sub(layout.size(), Ordering::Relaxed);
            return Err(AllocError);
        }
        Global.allocate(layout)
    }

    unsafe fn deallocate(&self, memory: NonNull<u8>, layout: Layout) {
        self.allocated.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: it was allocated by `Global` with this layout.
        unsafe { Global.deallocate(memory, layout) };
    }
}

/// Counts its drops.
struct Ends<'a>(&'a AtomicUsize);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn the_last_owner_frees_it() {
    let (heap, ends) = (Counting { limit: 100, ..Counting::default() }, AtomicUsize::new(0));
    let one = Shared::try_new_in(Ends(&ends), &heap).unwrap();
    let two = one.share().unwrap();
    let three = two.share().unwrap();
    drop(one);
    drop(three);
    assert_eq!(ends.load(Ordering::Relaxed), 0);
    assert!(two.is_alone());
    drop(two);
    assert_eq!((ends.load(Ordering::Relaxed), heap.allocated.load(Ordering::Relaxed)), (1, 0));
}

#[test]
fn only_one_that_is_alone_changes_it() {
    let mut one = Shared::try_new_in(1, Global).unwrap();
    *one.get_mut().unwrap() = 2;
    let two = one.share().unwrap();
    assert_eq!((one.get_mut(), *two), (None, 2));
    drop(two);
    assert_eq!(one.get_mut(), Some(&mut 2));
}

#[test]
fn without_memory_there_is_none() {
    let heap = Counting { limit: 8, ..Counting::default() };
    assert!(Shared::try_new_in([0u8; 64], &heap).is_err());
    assert_eq!(heap.allocated.load(Ordering::Relaxed), 0);
}

#[test]
fn threads_share_it() {
    let (heap, ends) = (Counting { limit: 1000, ..Counting::default() }, AtomicUsize::new(0));
    for _ in 0..200 {
        let first = Shared::try_new_in((Ends(&ends), [3u8; 64]), &heap).unwrap();
        thread::scope(|scope| {
            for _ in 0..4 {
                let own = first.share().unwrap();
                scope.spawn(move || assert_eq!(own.share().unwrap().1, [3; 64]));
            }
            drop(first);
        });
    }
    assert_eq!((ends.load(Ordering::Relaxed), heap.allocated.load(Ordering::Relaxed)), (200, 0));
}
