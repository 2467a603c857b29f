//! Zeroing parts of a device. Parts that are zero already are left alone, so that sparse images stay sparse.

use core::cell::Cell;
use core::future::{Future, poll_fn};
use core::ops::Range;
use core::pin::Pin;
use core::task::Poll;

use super::error::NewfsError;
use crate::io::{Buffer, DeviceOffset, Disk};
use crate::media::is_zero;
use crate::memory::{self, Box, Heap, Vec};

/// Bytes of one request.
const PIECE_BYTES: u64 = 256 << 10;
/// Requests in flight.
const LANES: usize = 4;

/// Makes the ranges of the disk read as zeros. Their bounds are multiples of a sector.
pub(super) async fn wipe(disk: &Disk, ranges: &[Range<u64>], heap: Heap) -> Result<(), NewfsError> {
    let next = Cell::new(Position { range: 0, done_bytes: 0 });
    let mut lanes = Vec::new_in(heap);
    for _ in 0..LANES {
        memory::push(&mut lanes, Some(Box::into_pin(memory::boxed(heap, lane(disk, ranges, &next, heap))?)))?;
    }
    join(&mut lanes).await
}

/// How far all lanes together have come.
#[derive(Clone, Copy)]
struct Position {
    range: usize,
    done_bytes: u64,
}

/// Takes the next piece that no lane has taken yet.
fn take_piece(ranges: &[Range<u64>], next: &Cell<Position>) -> Option<Range<u64>> {
    loop {
        let at = next.get();
        let range = ranges.get(at.range)?;
        let start = range.start + at.done_bytes;
        if start < range.end {
            let end = range.end.min(start + PIECE_BYTES);
            next.set(Position { done_bytes: end - range.start, ..at });
            return Some(start..end);
        }
        next.set(Position { range: at.range + 1, done_bytes: 0 });
    }
}

async fn lane(disk: &Disk, ranges: &[Range<u64>], next: &Cell<Position>, heap: Heap) -> Result<(), NewfsError> {
    let mut buffer = Buffer::empty(heap);
    while let Some(piece) = take_piece(ranges, next) {
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
