//! The possible content of a file while many tasks work on it.
//! A file consists of cells of 512 bytes, each of which holds one value: that of a write, or 0 for a hole. For every change of a
//! cell it is known when it was submitted and when it was answered. A value may be read unless another change certainly came
//! after it and was certainly done before the read.

use std::cell::RefCell;
use std::ops::Range;

pub(crate) const CELL_BYTES: usize = 512;

/// The time of an event: a number that rises with every event.
pub(crate) type Moment = u64;

/// One change of a range of cells.
struct Change {
    cells: Range<usize>,
    /// 0 for holes and truncated cells.
    value: u64,
    begun: Moment,
    /// None for a change that isn't answered yet, or was answered with an error: nobody knows when, or whether, it was done.
    ended: Option<Moment>,
}

/// The history of a file.
#[derive(Default)]
pub(crate) struct Content {
    changes: RefCell<Vec<Change>>,
}

impl Content {
    /// Takes note of a change that begins; returns its number.
    pub(crate) fn begin(&self, cells: Range<usize>, value: u64, begun: Moment) -> usize {
        let mut changes = self.changes.borrow_mut();
        changes.push(Change { cells, value, begun, ended: None });
        changes.len() - 1
    }

    /// Takes note that a change was answered.
    pub(crate) fn end(&self, change: usize, ended: Moment) {
        self.changes.borrow_mut()[change].ended = Some(ended);
    }

    /// Checks the values of cells from `first` on, which were read by a read that began at `begun`, or must hold everything that
    /// was answered before then.
    pub(crate) fn check(&self, first: usize, values: &[u64], begun: Moment) -> Result<(), String> {
        let changes = self.changes.borrow();
        for (cell, value) in (first..).zip(values) {
            let of_cell: Vec<&Change> = changes.iter().filter(|change| change.cells.contains(&cell)).collect();
            let is_over = |ended: Option<Moment>| {
                let came_after = |other: &&Change| ended.is_some_and(|ended| other.begun > ended);
                of_cell.iter().any(|other| came_after(other) && other.ended.is_some_and(|ended| ended < begun))
            };
            // In the beginning there was nothing.
            let may_be = (*value == 0 && !is_over(Some(0)))
                || of_cell.iter().any(|change| change.value == *value && !is_over(change.ended));
            if !may_be {
                return Err(format!("cell {cell} holds {value:#x}"));
            }
        }
        Ok(())
    }
}

/// Fills cells with a value.
pub(crate) fn fill(cells: &mut [u8], value: u64) {
    for (index, word) in cells.chunks_exact_mut(8).enumerate() {
        let salt = if value == 0 { 0 } else { (index % 64) as u64 };
        word.copy_from_slice(&value.wrapping_add(salt).to_le_bytes());
    }
}

/// The values of cells; an error for bytes that aren't a cell's.
pub(crate) fn values(bytes: &[u8]) -> Result<Vec<u64>, String> {
    bytes
        .chunks_exact(CELL_BYTES)
        .enumerate()
        .map(|(index, cell)| {
            let value = u64::from_le_bytes(cell[..8].try_into().expect("eight bytes"));
            let mut expected = [0; CELL_BYTES];
            fill(&mut expected, value);
            if cell == expected { Ok(value) } else { Err(format!("cell {index} of what was read is torn")) }
        })
        .collect()
}
