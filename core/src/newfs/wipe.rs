//! Zeroing parts of a device, and leaving alone what is zero already, so that sparse images stay sparse.
//!
//! What the device knows to be a hole isn't looked at. The rest the device makes zeros by itself, if it can; otherwise it is
//! read, and written where it isn't zero.

use core::cell::Cell;
use core::future::{Future, poll_fn};
use core::ops::Range;
use core::pin::Pin;
use core::task::Poll;

use super::error::NewfsError;
use crate::io::{Buffer, DeviceError, DeviceOffset, Disk, SECTOR_BYTES};
use crate::media::is_zero;
use crate::memory::{self, Box, Heap, Vec};

/// Bytes the device is asked to make zeros at once: also a slow one that has to write them does it within its deadline.
const ZERO_BYTES: u64 = 16 << 20;
/// Bytes of one request where it can't.
const PIECE_BYTES: u64 = 256 << 10;
/// Such requests in flight.
const LANES: usize = 4;

/// Makes the ranges of the disk read as zeros. Their bounds are multiples of a sector.
pub(super) async fn wipe(disk: &Disk, ranges: &[Range<u64>], heap: Heap) -> Result<(), NewfsError> {
    let next = Cell::new(Position { range: 0, done_bytes: 0 });
    if zero(disk, ranges, &next).await? {
        return Ok(());
    }
    let mut lanes = Vec::new_in(heap);
    for _ in 0..LANES {
        memory::push(&mut lanes, Some(Box::into_pin(memory::boxed(heap, lane(disk, ranges, &next, heap))?)))?;
    }
    join(&mut lanes).await
}

/// Has the device make the ranges zeros, from `next` on; false if it can't, with `next` where it couldn't.
async fn zero(disk: &Disk, ranges: &[Range<u64>], next: &Cell<Position>) -> Result<bool, NewfsError> {
    loop {
        let before = next.get();
        let Some(piece) = take_piece(disk, ranges, next, ZERO_BYTES) else { return Ok(true) };
        match disk.zero(DeviceOffset(piece.start), piece.end - piece.start).await {
            Ok(()) => {}
            // An error of its own may mean that it can't do just this. If it is another, reading or writing says so.
            Err(DeviceError::Unsupported | DeviceError::Io(_)) => {
                next.set(before);
                return Ok(false);
            }
            Err(error) => return Err(NewfsError::at(disk.info(), piece.start)(error)),
        }
    }
}

/// How far all lanes together have come.
#[derive(Clone, Copy)]
struct Position {
    range: usize,
    done_bytes: u64,
}

/// The next piece that may have content and that nobody has taken yet.
fn take_piece(disk: &Disk, ranges: &[Range<u64>], next: &Cell<Position>, most_bytes: u64) -> Option<Range<u64>> {
    loop {
        let at = next.get();
        let range = ranges.get(at.range)?;
        let begun = range.start + at.done_bytes;
        let content = if begun < range.end { disk.next_content(DeviceOffset(begun)).0 } else { begun };
        let start = begun.max(content - content % SECTOR_BYTES);
        if start < range.end {
            let end = range.end.min(start + most_bytes);
            next.set(Position { done_bytes: end - range.start, ..at });
            return Some(start..end);
        }
        next.set(Position { range: at.range + 1, done_bytes: 0 });
    }
}

async fn lane(disk: &Disk, ranges: &[Range<u64>], next: &Cell<Position>, heap: Heap) -> Result<(), NewfsError> {
    let mut buffer = Buffer::empty(heap);
    while let Some(piece) = take_piece(disk, ranges, next, PIECE_BYTES) {
        let bytes = (piece.end - piece.start) as usize;
        if buffer.len() != bytes {
            buffer = Buffer::new(heap, bytes)?;
        }
        let failed = NewfsError::at(disk.info(), piece.start);
        buffer = disk.read(DeviceOffset(piece.start), buffer).await.map_err(&failed)?;
        if !is_zero(buffer.bytes()) {
            buffer.bytes_mut().fill(0);
            buffer = disk.write(DeviceOffset(piece.start), buffer).await.map_err(&failed)?;
        }
    }
    Ok(())
}

/// Runs all lanes to their end; the first error ends them all.
async fn join<F>(lanes: &mut [Option<Pin<Box<F>>>]) -> Result<(), NewfsError>
where
    F: Future<Output = Result<(), NewfsError>>,
{
    poll_fn(|cx| {
        let mut pending = false;
        for slot in lanes.iter_mut() {
            let Some(lane) = slot else { continue };
            match lane.as_mut().poll(cx) {
                Poll::Pending => pending = true,
                Poll::Ready(Ok(())) => *slot = None,
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
            }
        }
        if pending { Poll::Pending } else { Poll::Ready(Ok(())) }
    })
    .await
}
