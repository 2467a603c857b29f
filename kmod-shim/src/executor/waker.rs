//! Wakers that set a flag.

use core::mem::ManuallyDrop;
use core::ptr::NonNull;
use core::sync::atomic::{AtomicBool, AtomicUsize, Ordering, fence};
use core::task::{RawWaker, RawWakerVTable, Waker};

use hammer2_core::memory::{self, Box, Heap, NoMemory};

/// What the wakers of one task share. It outlives the task for as long as there is a waker.
struct Signal {
    woken: AtomicBool,
    references: AtomicUsize,
    /// The heap that it goes back to.
    heap: Heap,
}

/// A counted reference to a task's signal; the last one frees it. Each waker is such a reference in disguise.
pub(super) struct Flag {
    signal: NonNull<Signal>,
}

impl Flag {
    /// Makes a flag that is set, so that its task is polled for a first time.
    pub(super) fn new(heap: Heap) -> Result<Self, NoMemory> {
        let signal = Signal { woken: AtomicBool::new(true), references: AtomicUsize::new(1), heap };
        let (signal, _) = Box::into_raw_with_allocator(memory::boxed(heap, signal)?);
        // SAFETY: a box is never null.
        Ok(Self { signal: unsafe { NonNull::new_unchecked(signal) } })
    }

    fn signal(&self) -> &Signal {
        // SAFETY: this reference is counted, so the signal is there.
        unsafe { self.signal.as_ref() }
    }

    /// True when the flag is set.
    pub(super) fn is_set(&self) -> bool {
        self.signal().woken.load(Ordering::Acquire)
    }

    /// Clears the flag and returns whether it was set.
    pub(super) fn take(&self) -> bool {
        self.is_set() && self.signal().woken.swap(false, Ordering::AcqRel)
    }

    fn set(&self) {
        self.signal().woken.store(true, Ordering::Release);
    }

    /// A waker that sets this flag.
    pub(super) fn waker(&self) -> Waker {
        let counted = ManuallyDrop::new(self.clone());
        // SAFETY: the table's functions keep to the rules of `RawWaker`: all they touch is atomic, and each waker owns
        // the reference it is made with.
        unsafe { Waker::from_raw(RawWaker::new(counted.signal.as_ptr().cast(), &TABLE)) }
    }

    /// Takes a waker's reference back.
    ///
    /// # Safety
    /// `data` must be of a waker made by [`waker`](Self::waker), whose reference becomes the result's.
    unsafe fn from_data(data: *const ()) -> Self {
        // SAFETY: such data is never null.
        Self { signal: unsafe { NonNull::new_unchecked(data.cast_mut().cast()) } }
    }
}

impl Clone for Flag {
    fn clone(&self) -> Self {
        self.signal().references.fetch_add(1, Ordering::Relaxed);
        Self { signal: self.signal }
    }
}

impl Drop for Flag {
    fn drop(&mut self) {
        if self.signal().references.fetch_sub(1, Ordering::Release) == 1 {
            fence(Ordering::Acquire);
            let heap = self.signal().heap;
            // SAFETY: it was boxed in this heap, and this was the last reference.
            drop(unsafe { Box::from_raw_in(self.signal.as_ptr(), heap) });
        }
    }
}

static TABLE: RawWakerVTable = RawWakerVTable::new(clone, wake, wake_by_ref, forget);

unsafe fn clone(data: *const ()) -> RawWaker {
    // SAFETY: the data of a waker; its reference stays with the waker, the clone's goes to the new one.
    let own = ManuallyDrop::new(unsafe { Flag::from_data(data) });
    let counted = ManuallyDrop::new(Flag::clone(&own));
    RawWaker::new(counted.signal.as_ptr().cast(), &TABLE)
}

unsafe fn wake(data: *const ()) {
    // SAFETY: the data of a waker, which is used up here.
    unsafe { Flag::from_data(data) }.set();
}

unsafe fn wake_by_ref(data: *const ()) {
    // SAFETY: the data of a waker, which keeps its reference.
    ManuallyDrop::new(unsafe { Flag::from_data(data) }).set();
}

unsafe fn forget(data: *const ()) {
    // SAFETY: the data of a waker, which ends here.
    drop(unsafe { Flag::from_data(data) });
}
