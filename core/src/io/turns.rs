//! Taking turns: what one does at a time, and others wait for.

use core::cell::Cell;

use super::Wakers;
use crate::memory::Heap;

/// Something that is done by one at a time.
pub struct Turns {
    is_taken: Cell<bool>,
    changed: Wakers,
}

/// A turn; it ends when this goes.
pub struct Turn<'t>(&'t Turns);

impl Turns {
    /// Nobody has the turn.
    pub fn new(heap: Heap) -> Self {
        Self { is_taken: Cell::new(false), changed: Wakers::new(heap) }
    }

    /// Waits for a turn.
    pub async fn take(&self) -> Turn<'_> {
        self.changed.until(|| !self.is_taken.replace(true)).await;
        Turn(self)
    }

    /// Waits until nobody has the turn; somebody may have it again by the time the caller looks.
    pub async fn ended(&self) {
        self.changed.until(|| !self.is_taken.get()).await;
    }

    /// True while somebody has the turn.
    pub fn is_taken(&self) -> bool {
        self.is_taken.get()
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.0.is_taken.set(false);
        self.0.changed.wake_all();
    }
}
