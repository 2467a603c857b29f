//! Jobs that were begun and haven't ended: the end of a mount waits for them.

use std::cell::Cell;

use hammer2_core::io::Wakers;
use hammer2_core::memory::Heap;

/// How many there are.
pub(super) struct UnderWay {
    count: Cell<u64>,
    changed: Wakers,
}

/// A job under way.
pub(super) struct Begun<'u>(&'u UnderWay);

impl UnderWay {
    pub(super) fn new(heap: Heap) -> Self {
        Self { count: Cell::new(0), changed: Wakers::new(heap) }
    }

    pub(super) fn begin(&self) -> Begun<'_> {
        self.note_begin();
        Begun(self)
    }

    /// Notes the beginning of a job that keeps the server itself; [`note_end`](Self::note_end) follows.
    pub(super) fn note_begin(&self) {
        self.count.set(self.count.get() + 1);
    }

    pub(super) fn note_end(&self) {
        self.count.set(self.count.get() - 1);
        if self.count.get() == 0 {
            self.changed.wake_all();
        }
    }

    pub(super) fn count(&self) -> u64 {
        self.count.get()
    }

    pub(super) async fn ended(&self) {
        self.changed.until(|| self.count.get() == 0).await;
    }
}

impl Drop for Begun<'_> {
    fn drop(&mut self) {
        self.0.note_end();
    }
}
