//! Walks over topologies of any shape: the input is a root array and the blocks behind it.
#![no_main]

use std::ops::ControlFlow;
use std::rc::Rc;

use hammer2_core::chain::{Cursor, Holder, Source, Trust, find, load_missing, scan};
use hammer2_core::io::{BlockCache, MIN_CACHE_BYTES, MemoryDisk, Volume, Volumes};
use hammer2_core::media::blockref::BLOCKREF_BYTES;
use hammer2_core::media::geometry::SEGMENT_BYTES;
use hammer2_core::media::{BlockArray, Blockref, Key, KeyRange};
use hammer2_core::memory;
use hammer2_fuzz::medium::{self, HEAP};
use hammer2_fuzz::{arrays, run};
use libfuzzer_sys::fuzz_target;

const ROOT_BYTES: usize = 4 * BLOCKREF_BYTES;
/// Blocks start behind the reserved segment.
const DISK_BYTES: u64 = SEGMENT_BYTES + (1 << 20);
/// The most leaves to look at: an input of a few KiB can't hold more separate ones.
const MOST_LEAVES: usize = 100_000;

fuzz_target!(|input: &[u8]| {
    let Some((range, rest)) = input.split_first_chunk::<16>() else { return };
    let Some((root, blocks)) = rest.split_first_chunk::<ROOT_BYTES>() else { return };
    let disk = MemoryDisk::new(HEAP, DISK_BYTES);
    if disk.write_at(SEGMENT_BYTES, blocks).is_err() {
        return;
    }
    let (first, last) = (u128::from_le_bytes(*range) as u64, (u128::from_le_bytes(*range) >> 64) as u64);
    let range = KeyRange { first: Key(first.min(last)), last: Key(first.max(last)) };
    run::run(walk(Rc::new(disk), root, range));
});

async fn walk(disk: Rc<MemoryDisk>, root: &[u8], range: KeyRange) {
    let heap = run::heap();
    let mut drives = medium::open(heap, &[disk]).expect("a disk fits the budget");
    let mut volumes = memory::Vec::new_in(heap);
    let volume = Volume::new(drives.pop().expect("one disk"), DISK_BYTES);
    memory::push(&mut volumes, volume).expect("a volume fits the budget");
    let blocks = BlockCache::new(heap, Volumes::new(volumes), MIN_CACHE_BYTES).expect("a cache fits the budget");

    let array = BlockArray::new(root, KeyRange::ALL);
    arrays::check(array, range.first);
    let trust = if array.check().is_ok() { Trust::Sound } else { Trust::Unchecked };
    let holder = Holder { block: Blockref::EMPTY.name(), array, trust };
    let mut cursor = Cursor::new(range);
    let mut leaves: Vec<Key> = Vec::new();
    while cursor.remaining.is_some() && leaves.len() < MOST_LEAVES {
        let before = cursor.remaining;
        let scanned = load_missing(&blocks, || {
            scan(Source::on_media(&blocks), holder, &mut cursor, &mut |leaf| {
                leaves.push(leaf.key());
                ControlFlow::Continue(())
            })
        });
        match scanned.await {
            Ok(()) => break,
            Err(error) => cursor.skip_through(error.through),
        }
        assert_ne!(cursor.remaining, before, "a walk gets on");
    }
    assert!(leaves.is_sorted_by(|a, b| a < b), "leaves come in order, each once");
    let mut cursor = Cursor::new(range);
    let first = load_missing(&blocks, || find(Source::on_media(&blocks), holder, &mut cursor)).await;
    if let Ok(Some(first)) = first {
        assert_eq!(leaves.first(), Some(&first.key()));
    }
}
