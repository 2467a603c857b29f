//! Taking turns: something that only one task does at a time while others wait.

use core::cell::Cell;

use super::Wakers;
use crate::memory::Heap;

/// Turns for work that only one task may do at a time.
pub struct Turns {
    is_taken: Cell<bool>,
    changed: Wakers,
}

/// A turn; it ends when this is dropped.
pub struct Turn<'t>(&'t Turns);

impl Turns {
    /// Makes turns, with none taken.
    pub fn new(heap: Heap) -> Self {
        Self { is_taken: Cell::new(false), changed: Wakers::new(heap) }
    }

    /// Waits for a turn.
    pub async fn take(&self) -> Turn<'_> {
        self.changed.until(|| !self.is_taken.replace(true)).await;
        Turn(self)
    }

    /// Waits until the turn is free; it may be taken again by the time the caller looks.
    pub async fn ended(&self) {
        self.changed.until(|| !self.is_taken.get()).await;
    }

    /// True while the turn is taken.
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
