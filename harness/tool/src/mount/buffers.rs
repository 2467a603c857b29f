//! Buffers for reads and writes, which are reused: new ones of this size would be mapped and unmapped each time.

use std::sync::{Mutex, PoisonError};

/// How many are kept.
const KEPT: usize = 16;

/// Buffers that aren't in use.
#[derive(Default)]
pub(super) struct Buffers(Mutex<Vec<Vec<u8>>>);

impl Buffers {
    /// A buffer with a copy of `data`.
    pub(super) fn copy_of(&self, data: &[u8]) -> Vec<u8> {
        let mut buffer = self.take();
        buffer.clear();
        buffer.extend_from_slice(data);
        buffer
    }

    /// A buffer of this size, with old content.
    pub(super) fn of_size(&self, bytes: usize) -> Vec<u8> {
        let mut buffer = self.take();
        buffer.resize(bytes, 0);
        buffer
    }

    fn take(&self) -> Vec<u8> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).pop().unwrap_or_default()
    }

    /// Gives a buffer back.
    pub(super) fn give_back(&self, buffer: Vec<u8>) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() < KEPT {
            kept.push(buffer);
        }
    }
}
