//! Owners that threads drop in every order: `scripts/test monitor-model` runs this.
#![cfg(loom)]

use allocator_api2::alloc::Global;
use hammer2_shared::Shared;
use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::sync::atomic::{AtomicUsize, Ordering};
use loom::thread;

/// A value that records its drop and is watched by loom: it must be dropped after all accesses.
struct Watched {
    content: UnsafeCell<u32>,
    ends: Arc<AtomicUsize>,
}

// SAFETY: loom reports every access that isn't ordered.
unsafe impl Sync for Watched {}

impl Drop for Watched {
    fn drop(&mut self) {
        self.content.with_mut(|_| ());
        self.ends.fetch_add(1, Ordering::SeqCst);
    }
}

#[test]
fn the_last_of_three_owners_frees_it_after_all_have_looked() {
    loom::model(|| {
        let ends = Arc::new(AtomicUsize::new(0));
        let value = Watched { content: UnsafeCell::new(0), ends: ends.clone() };
        let one = Shared::try_new_in(value, Global).unwrap();
        let threads: Vec<_> = (0..2)
            .map(|_| {
                let own = one.share().unwrap();
                thread::spawn(move || own.content.with(|_| ()))
            })
            .collect();
        drop(one);
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        assert_eq!(ends.load(Ordering::SeqCst), 1);
    });
}

#[test]
fn who_finds_itself_alone_comes_after_all_who_looked() {
    loom::model(|| {
        let ends = Arc::new(AtomicUsize::new(0));
        let value = Watched { content: UnsafeCell::new(0), ends };
        let mut one = Shared::try_new_in(value, Global).unwrap();
        let own = one.share().unwrap();
        let other = thread::spawn(move || own.content.with(|_| ()));
        if let Some(value) = one.get_mut() {
            value.content.with_mut(|_| ());
        }
        other.join().unwrap();
    });
}
