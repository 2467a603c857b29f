//! The content of a disk: pages, and a write cache of which a power cut may lose any part.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::rc::Rc;

use hammer2_core::random::{Random, mix};

const PAGE_BYTES: usize = 4096;
const SECTOR_BYTES: usize = 512;

type Page = [u8; PAGE_BYTES];
type Pages<T> = HashMap<u64, T, BuildHasherDefault<Spread>>;

/// Page numbers need no better hash.
#[derive(Default)]
struct Spread(u64);

impl Hasher for Spread {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.write_u64((*byte).into()));
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = mix(self.0 ^ number);
    }
}

/// A write that no flush has made durable.
struct Cached {
    offset: u64,
    bytes: Box<[u8]>,
    done_at: u64,
}

/// The bytes of a disk. Copies share what they have in common.
pub(crate) struct Medium {
    size_bytes: u64,
    /// The content as a reader sees it.
    pages: Pages<Rc<Page>>,
    /// The durable content of all pages that cached writes have changed.
    durable: Pages<Option<Rc<Page>>>,
    cached: Vec<Cached>,
}

impl Medium {
    pub(crate) fn new(size_bytes: u64) -> Self {
        Self { size_bytes, pages: Pages::default(), durable: Pages::default(), cached: Vec::new() }
    }

    pub(crate) fn size_bytes(&self) -> u64 {
        self.size_bytes
    }

    /// A copy of the content, with its cache flushed.
    pub(crate) fn image(&self) -> Self {
        Self { pages: self.pages.clone(), ..Self::new(self.size_bytes) }
    }

    pub(crate) fn read(&self, offset: u64, out: &mut [u8]) {
        for (page, at, range) in pieces(offset, out.len()) {
            let target = &mut out[range];
            match self.pages.get(&page) {
                Some(page) => target.copy_from_slice(&page[at..at + target.len()]),
                None => target.fill(0),
            }
        }
    }

    /// Writes into the cache; the write is complete at `done_at`.
    pub(crate) fn write(&mut self, offset: u64, bytes: &[u8], done_at: u64) {
        self.put(offset, bytes, true);
        self.cached.push(Cached { offset, bytes: bytes.into(), done_at });
    }

    fn put(&mut self, offset: u64, bytes: &[u8], is_cached: bool) {
        for (number, at, range) in pieces(offset, bytes.len()) {
            let source = &bytes[range];
            if is_cached && !self.durable.contains_key(&number) {
                self.durable.insert(number, self.pages.get(&number).cloned());
            }
            let page = self.pages.entry(number).or_insert_with(|| Rc::new([0; PAGE_BYTES]));
            Rc::make_mut(page)[at..at + source.len()].copy_from_slice(source);
        }
    }

    /// Makes the writes durable that were complete at a time.
    pub(crate) fn flush(&mut self, complete_at: u64) {
        if self.cached.iter().all(|write| write.done_at <= complete_at) {
            self.cached.clear();
            self.durable.clear();
            return;
        }
        let (complete, rest) = std::mem::take(&mut self.cached).into_iter().partition(|w| w.done_at <= complete_at);
        self.revert();
        let complete: Vec<Cached> = complete;
        complete.iter().for_each(|write| self.put(write.offset, &write.bytes, false));
        for write in &rest {
            self.put(write.offset, &write.bytes, true);
        }
        self.cached = rest;
    }

    /// The power goes: any part of the cached writes may be there afterwards, whole or torn.
    pub(crate) fn cut_power(&mut self, random: &mut Random) {
        let cached = std::mem::take(&mut self.cached);
        let kept_percent = random.pick(&[0, 10, 50, 50, 90, 100]);
        self.revert();
        for write in &cached {
            if !random.percent(kept_percent) {
                continue;
            }
            if random.percent(80) {
                self.put(write.offset, &write.bytes, false);
                continue;
            }
            let prefix = random.percent(50).then(|| random.index(write.bytes.len() / SECTOR_BYTES + 1));
            for (index, sector) in write.bytes.chunks(SECTOR_BYTES).enumerate() {
                if prefix.map_or_else(|| random.percent(50), |prefix| index < prefix) {
                    self.put(write.offset + (index * SECTOR_BYTES) as u64, sector, false);
                }
            }
        }
    }

    fn revert(&mut self) {
        for (number, page) in self.durable.drain() {
            match page {
                Some(page) => self.pages.insert(number, page),
                None => self.pages.remove(&number),
            };
        }
    }

    /// Writes the cache to the medium: the disk was switched off properly.
    pub(crate) fn settle(&mut self) {
        self.flush(u64::MAX);
    }

    /// Flips a bit of a page for good, in a page that `wanted` accepts by its offset; false if there is none.
    pub(crate) fn flip(&mut self, random: &mut Random, wanted: impl Fn(u64) -> bool) -> bool {
        let mut numbers: Vec<u64> = self.pages.keys().copied().filter(|n| wanted(n * PAGE_BYTES as u64)).collect();
        numbers.sort_unstable();
        if numbers.is_empty() {
            return false;
        }
        let number = random.pick(&numbers);
        let (at, mask) = (random.index(PAGE_BYTES), 1 << random.below(8));
        let flip = |page: &mut Rc<Page>| Rc::make_mut(page)[at] ^= mask;
        self.pages.get_mut(&number).map(flip);
        self.durable.get_mut(&number).and_then(Option::as_mut).map(flip);
        true
    }
}

/// The parts of a range of bytes, page by page: page number, place in the page, place in the range.
fn pieces(offset: u64, len: usize) -> impl Iterator<Item = (u64, usize, std::ops::Range<usize>)> {
    let mut done = 0;
    std::iter::from_fn(move || {
        if done == len {
            return None;
        }
        let at = offset + done as u64;
        let in_page = (at % PAGE_BYTES as u64) as usize;
        let count = (PAGE_BYTES - in_page).min(len - done);
        let piece = (at / PAGE_BYTES as u64, in_page, done..done + count);
        done += count;
        Some(piece)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn first(medium: &Medium) -> u8 {
        let mut byte = [0];
        medium.read(0, &mut byte);
        byte[0]
    }

    #[test]
    fn what_was_flushed_survives_and_the_rest_may_not() {
        let mut seen = [false; 2];
        for seed in 0..40 {
            let mut medium = Medium::new(1 << 20);
            medium.write(0, &[1; 512], 10);
            medium.flush(10);
            medium.write(0, &[2; 512], 20);
            assert_eq!(first(&medium), 2);
            medium.flush(15);
            assert_eq!(first(&medium), 2, "a reader sees the cache");
            medium.cut_power(&mut Random::new(seed));
            let left = first(&medium);
            assert!(left == 1 || left == 2);
            seen[usize::from(left - 1)] = true;
        }
        assert_eq!(seen, [true, true]);
    }

    #[test]
    fn images_are_apart() {
        let mut medium = Medium::new(1 << 20);
        medium.write(5000, &[7; 9000], 0);
        let image = medium.image();
        medium.write(5000, &[8; 9000], 0);
        let mut bytes = [0; 9000];
        image.read(5000, &mut bytes);
        assert_eq!(bytes, [7; 9000]);
    }
}
