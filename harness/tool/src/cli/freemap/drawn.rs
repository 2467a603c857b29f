//! The freemap as a picture: a cell for every few kilobytes or gigabytes, depending on the size of the filesystem, and how full
//! each is.

use std::fmt::Display;

use hammer2_core::media::freemap::{ChunkState, FreemapRecord, RECORD_CHUNKS};
use hammer2_core::media::geometry::{CHUNK_BYTES, HEADER_SPACING_BYTES, SEGMENT_BYTES};
use indicatif::HumanBytes;
use maud::{Markup, html};

use crate::picture::{Picture, Text, share};

/// Cells of a row, and how many rows there are at most.
const COLUMNS: u64 = 64;
const ROWS: u64 = 64;
/// How large a cell is drawn, and how much is between two rows.
const CELL: u64 = 12;
const GAP: u64 = 3;
/// Where cells begin: addresses are on the left.
const LEFT: u64 = 112;
const WIDTH: u64 = LEFT + COLUMNS * CELL + 20;
/// Where the bar of all is, the legend, and how high a line of it is.
const BAR: u64 = 70;
const LEGEND: u64 = 98;
const LINE: u64 = 20;

/// The use of a piece of a filesystem.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Use {
    Data,
    Inodes,
    Index,
    Entries,
    Other,
    Staged,
    Reserved,
    Unread,
    Free,
}

impl Use {
    const ALL: [Self; 9] = [
        Self::Data,
        Self::Inodes,
        Self::Index,
        Self::Entries,
        Self::Other,
        Self::Staged,
        Self::Reserved,
        Self::Unread,
        Self::Free,
    ];

    fn style(self) -> &'static str {
        match self {
            Self::Data => "allocated",
            Self::Inodes => "inodes",
            Self::Index => "index",
            Self::Entries => "entries",
            Self::Other => "other",
            Self::Staged => "staged",
            Self::Reserved => "reserved",
            Self::Unread => "unread",
            Self::Free => "free",
        }
    }

    fn words(self) -> &'static str {
        match self {
            Self::Data => "file data",
            Self::Inodes => "inodes",
            Self::Index => "index blocks",
            Self::Entries => "names of entries",
            Self::Other => "allocated, of no one kind",
            Self::Staged => "staged: free after another bulkfree",
            Self::Reserved => "reserved: headers, freemaps, boot area",
            Self::Unread => "unknown: its freemap can't be read",
            Self::Free => "free",
        }
    }

    /// The use of allocated bytes in a segment of a class.
    fn of_class(class: u16) -> Self {
        match class >> 8 {
            1 => Self::Inodes,
            2 => Self::Index,
            3 => Self::Data,
            4 => Self::Entries,
            _ => Self::Other,
        }
    }
}

/// Bytes by use.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
struct Cell([u64; Use::ALL.len()]);

impl Cell {
    fn bytes(&self, of: Use) -> u64 {
        self.0[of as usize]
    }

    fn total(&self) -> u64 {
        self.0.iter().sum()
    }

    /// The use of the whole cell, if it has only one.
    fn only(&self) -> Option<Use> {
        Use::ALL.into_iter().find(|each| self.bytes(*each) == self.total())
    }
}

/// The use of every part of a filesystem.
pub(crate) struct Map {
    cell_bytes: u64,
    total_bytes: u64,
    cells: Vec<Cell>,
}

impl Map {
    /// A map of so many bytes, of which nothing is known yet.
    pub(crate) fn new(total_bytes: u64) -> Self {
        let least = total_bytes.div_ceil(COLUMNS * ROWS);
        let cell_bytes = least.checked_next_power_of_two().unwrap_or(1 << 63).max(CHUNK_BYTES);
        let cells = vec![Cell::default(); total_bytes.div_ceil(cell_bytes) as usize];
        Self { cell_bytes, total_bytes, cells }
    }

    /// Notes the use of the space from one address to another.
    pub(crate) fn add(&mut self, from: u64, to: u64, of: Use) {
        let (mut at, to) = (from, to.min(self.total_bytes));
        while at < to {
            let end = (at / self.cell_bytes).saturating_add(1).saturating_mul(self.cell_bytes).min(to);
            if let Some(cell) = self.cells.get_mut((at / self.cell_bytes) as usize) {
                cell.0[of as usize] += end - at;
            }
            at = end;
        }
    }

    /// Notes the use of a segment by its record.
    pub(crate) fn add_segment(&mut self, segment: u64, record: &FreemapRecord) {
        if record.free_chunks() as usize == RECORD_CHUNKS {
            return self.add(segment, segment.saturating_add(SEGMENT_BYTES), Use::Free);
        }
        let allocated = Use::of_class(record.class());
        for (chunk, at) in (0..RECORD_CHUNKS).zip((segment..).step_by(CHUNK_BYTES as usize)) {
            let of = match record.chunk(chunk) {
                ChunkState::Free => Use::Free,
                ChunkState::Staged => Use::Staged,
                ChunkState::Allocated => allocated,
                ChunkState::Reserved => Use::Reserved,
            };
            self.add(at, at.saturating_add(CHUNK_BYTES), of);
        }
    }

    fn total(&self) -> Cell {
        let mut total = Cell::default();
        for cell in &self.cells {
            total.0.iter_mut().zip(cell.0).for_each(|(sum, bytes)| *sum += bytes);
        }
        total
    }

    /// The picture; `called` is the filesystem's name.
    pub(crate) fn picture(&self, called: &str) -> Picture {
        let total = self.total();
        let shown: Vec<Use> = Use::ALL.into_iter().filter(|each| total.bytes(*each) > 0).collect();
        let [cell, row] = [self.cell_bytes, self.cell_bytes.saturating_mul(COLUMNS)].map(HumanBytes);
        let scale = format!("a cell is {cell}, a row {row}; rows go from left to right, addresses on the left");
        let top = LEGEND + shown.len().div_ceil(2) as u64 * LINE + 16;
        let rows = (self.cells.len() as u64).div_ceil(COLUMNS);
        let used: u64 = Use::ALL[..5].iter().map(|each| total.bytes(*each)).sum();
        let about = format!(
            "{} of {} allocated, {} free",
            HumanBytes(used),
            HumanBytes(self.total_bytes),
            HumanBytes(total.bytes(Use::Free))
        );
        let drawn = html! {
            text class="large" x="20" y="34" { (Text(called)) }
            text x="20" y="56" { (Text(&about)) }
            (bar(&total))
            @for (place, each) in shown.iter().enumerate() { (legend(*each, place as u64, &total)) }
            text class="faint" x="20" y=(top - 4) { (Text(&scale)) @if self.has_zones() { "; a line begins each zone of 2 GiB" } }
            @for number in 0..rows { (self.row(number, top + 10 + number * (CELL + GAP))) }
        };
        Picture {
            width: WIDTH,
            height: top + 10 + rows * (CELL + GAP) + 14,
            title: format!("{called}: {about}"),
            drawn,
        }
    }

    fn has_zones(&self) -> bool {
        self.cell_bytes <= HEADER_SPACING_BYTES / 4 && self.total_bytes > HEADER_SPACING_BYTES
    }

    fn row(&self, number: u64, y: u64) -> Markup {
        let first = number * COLUMNS;
        let cells = self.cells.iter().skip(first as usize).take(COLUMNS as usize);
        let runs = runs(&cells.copied().collect::<Vec<_>>());
        html! {
            @if number.is_multiple_of(4) {
                text class="faint end" x=(LEFT - 8) y=(y + 10) { (Text(address(first.saturating_mul(self.cell_bytes)))) }
            }
            @for (place, count, cell) in &runs {
                g class="cells" {
                    title { (Text(self.about(first + place, *count, cell))) }
                    (filled(LEFT + place * CELL, y, count * CELL, cell))
                }
            }
            @if self.has_zones() {
                @for place in 0..COLUMNS {
                    @let begin = (first + place) * self.cell_bytes;
                    @if begin.is_multiple_of(HEADER_SPACING_BYTES) && begin < self.total_bytes {
                        rect class="ink" x=(LEFT + place * CELL) y=(y.saturating_sub(1)) width="1" height=(CELL + 2) {}
                    }
                }
            }
        }
    }

    /// A description of some cells that are alike.
    fn about(&self, first: u64, count: u64, cell: &Cell) -> String {
        let begin = first.saturating_mul(self.cell_bytes);
        let end = begin.saturating_add(count.saturating_mul(self.cell_bytes)).min(self.total_bytes);
        let total = cell.total().max(1);
        let parts = Use::ALL.into_iter().filter(|each| cell.bytes(*each) > 0);
        let parts: Vec<String> =
            parts.map(|each| format!("{} {}", percent(cell.bytes(each), total), each.words())).collect();
        format!("{begin:#x} to {end:#x}: {}", parts.join(", "))
    }
}

/// Neighbouring cells that are alike, as runs: where each begins, how many cells it has, and the cell.
fn runs(cells: &[Cell]) -> Vec<(u64, u64, Cell)> {
    let mut runs: Vec<(u64, u64, Cell)> = Vec::new();
    for (place, cell) in (0..).zip(cells) {
        match runs.last_mut() {
            Some((_, count, before)) if before == cell => *count += 1,
            _ => runs.push((place, 1, *cell)),
        }
    }
    runs
}

/// Where each use begins along a length, and how long it is; free space is what is left over. Every use is visible however small
/// it is, except headers, which are everywhere.
fn parts(cell: &Cell, length: u64) -> Vec<(Use, u64, u64)> {
    let total = cell.total().max(1);
    let mut begin = 0;
    let used = Use::ALL.into_iter().filter(|each| *each != Use::Free && cell.bytes(*each) > 0);
    let part = |each: Use| {
        let least = u64::from(each != Use::Reserved);
        let long = share(cell.bytes(each), total, length).max(least).min(length - begin);
        begin += long;
        (each, begin - long, long)
    };
    used.map(part).collect()
}

/// A cell, filled from the bottom.
fn filled(x: u64, y: u64, width: u64, cell: &Cell) -> Markup {
    if let Some(only) = cell.only() {
        return html! { rect class=(only.style()) x=(x) y=(y) width=(width) height=(CELL) {} };
    }
    html! {
        rect class="free" x=(x) y=(y) width=(width) height=(CELL) {}
        @for (each, begin, height) in parts(cell, CELL) {
            rect class=(each.style()) x=(x) y=(y + CELL - begin - height) width=(width) height=(height) {}
        }
    }
}

/// All of the filesystem in one bar.
fn bar(total: &Cell) -> Markup {
    let width = WIDTH - 40;
    html! {
        rect class="free" x="20" y=(BAR) width=(width) height="14" {}
        @for (each, begin, width) in parts(total, width) {
            rect class=(each.style()) x=(20 + begin) y=(BAR) width=(width) height="14" {}
        }
    }
}

fn legend(of: Use, place: u64, total: &Cell) -> Markup {
    let (x, y) = (20 + place % 2 * ((WIDTH - 40) / 2), LEGEND + place / 2 * LINE);
    let bytes = total.bytes(of);
    html! {
        g class="legend" {
            rect class=(of.style()) x=(x) y=(y) width="12" height="12" {}
            text x=(x + 18) y=(y + 11) {
                (of.words()) ": " (Text(HumanBytes(bytes))) ", " (percent(bytes, total.total().max(1)))
            }
        }
    }
}

fn percent(part: u64, whole: u64) -> String {
    match u128::from(part) * 1000 / u128::from(whole) {
        0 if part > 0 => "less than 0.1%".to_owned(),
        permille => format!("{}.{}%", permille / 10, permille % 10),
    }
}

fn address(bytes: u64) -> impl Display {
    if bytes == 0 { "0".to_owned() } else { HumanBytes(bytes).to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::picture::tests::{HOSTILE, elements};

    #[test]
    fn a_map_has_all_bytes_once_whatever_its_size() {
        for total in [1, 8 << 20, (256 << 20) + 5, 5 << 30, 7 << 40, u64::MAX >> 1] {
            let mut map = Map::new(total);
            assert!(map.cells.len() as u64 <= COLUMNS * ROWS, "{total}");
            let (first, second) = (total / 3, total / 3 * 2);
            map.add(0, first, Use::Reserved);
            map.add(first, second, Use::Data);
            map.add(second, u64::MAX, Use::Free);
            let sum = map.total();
            let parts = [Use::Reserved, Use::Data, Use::Free].map(|each| sum.bytes(each));
            assert_eq!(parts, [first, second - first, total - second]);
        }
    }

    #[test]
    fn a_segment_is_drawn_by_its_chunks_and_class() {
        let mut record = FreemapRecord::FREE;
        record.set_class(0x110);
        record.set_chunk(0, ChunkState::Allocated);
        record.set_chunk(1, ChunkState::Staged);
        record.set_chunk(255, ChunkState::Reserved);
        let mut map = Map::new(8 << 20);
        map.add_segment(SEGMENT_BYTES, &record);
        let total = map.total();
        let bytes = [Use::Inodes, Use::Staged, Use::Reserved, Use::Free].map(|each| total.bytes(each));
        assert_eq!(bytes, [CHUNK_BYTES, CHUNK_BYTES, CHUNK_BYTES, 253 * CHUNK_BYTES]);
        // At its place: the first segment is unknown.
        assert_eq!(map.cells[..256].iter().map(Cell::total).sum::<u64>(), 0);
        assert_eq!(map.cells[256].only(), Some(Use::Inodes));
    }

    #[test]
    fn a_picture_is_well_formed_and_its_cells_are_as_full_as_they_say() {
        let mut map = Map::new(8 << 30);
        map.add(0, 4 << 20, Use::Reserved);
        map.add(4 << 20, 5 << 20, Use::Index);
        map.add(5 << 20, 8 << 30, Use::Free);
        let picture = map.picture(HOSTILE).alone();
        assert_eq!(elements(&picture), elements(&map.picture("plain").alone()));
        assert!(picture.contains("1.00 MiB of 8.00 GiB allocated"), "{picture}");
        assert!(picture.contains("a cell is 2.00 MiB, a row 128.00 MiB"), "{picture}");
        assert!(picture.contains("0x400000 to 0x600000: 50.0% index blocks, 50.0% free"), "{picture}");
        assert!(picture.contains("<rect class=\"index\" x=\"136\" y="), "{picture}");
        // Four zones begin, each with a line.
        assert_eq!(picture.matches("class=\"ink\"").count(), 4);
        assert!(picture.len() < 40_000, "cells that are alike are drawn together: {}", picture.len());
    }
}
