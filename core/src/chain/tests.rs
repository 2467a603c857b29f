//! Topologies whose walks used to have no end.

extern crate std;

use core::pin::pin;
use core::task::{Context, Poll, Waker};
use std::boxed::Box;

use zerocopy::IntoBytes;

use super::*;
use crate::io::testing::{self, HEAP, Still};
use crate::io::wrap::{Effect, Fault, FaultPlan, Faulty, Operations};
use crate::io::{DeviceError, Disk, DiskOptions, MIN_CACHE_BYTES, MemoryDisk, Volume, Volumes, boxed_device};
use crate::media::geometry::SEGMENT_BYTES;
use crate::media::{
    BlockArray, BlockKind, CheckMethod, Compression, DataOff, FileKind, Inode, KeyBits, KeyRange, MediaOffset, Methods,
    MirrorTid, Radix,
};
use crate::memory;

const DISK_BYTES: u64 = 2 * SEGMENT_BYTES;
/// More polls than any walk here needs: the device answers at once.
const MOST_POLLS: usize = 100;

pub(super) fn empty_cache() -> BlockCache {
    cache(leaked(testing::memory_disk(DISK_BYTES)), leaked(FaultPlan::new(HEAP)))
}

/// A topology with one modified chain: an empty directory.
pub(super) fn modified_directory() -> (Topology, Container) {
    let set = [Blockref::EMPTY; 4];
    let mut topology = Topology::new(HEAP, set, set, MirrorTid(1), usize::MAX);
    let bref = Blockref::new(BlockKind::Inode, Key(1), KeyBits(0), Methods(0));
    let content = topology.block_of(Inode::new(FileKind::Directory).as_bytes(), Radix::MIN.bytes()).unwrap();
    topology.arena.reserve().unwrap();
    let id = topology.arena.insert(Chain::new(bref, Container::SuperRootSet, content));
    (topology, Container::Chain(id))
}

fn cache(disk: &'static MemoryDisk, faults: &'static FaultPlan) -> BlockCache {
    let device = boxed_device(HEAP, Faulty::new(HEAP, testing::memory_device(disk), faults).unwrap()).unwrap();
    let disk = Disk::new(HEAP, device, &Still, DiskOptions::default()).unwrap();
    let mut volumes = memory::Vec::new_in(HEAP);
    memory::push(&mut volumes, Volume::new(disk, DISK_BYTES)).unwrap();
    BlockCache::new(HEAP, Volumes::new(volumes), MIN_CACHE_BYTES).unwrap()
}

fn indirect(keybits: u8, at: u64) -> Blockref {
    let methods = Methods::new(CheckMethod::None, Compression::None);
    let mut bref = Blockref::new(BlockKind::Indirect, Key(0), KeyBits(keybits), methods);
    bref.set_data_off(DataOff::new(MediaOffset(at), Radix::MIN));
    bref
}

/// Walks to the first leaf below `root`.
fn first_leaf(blocks: &BlockCache, root: &[Blockref]) -> Result<Option<Blockref>, ChainError> {
    let mut cursor = Cursor::new(KeyRange::ALL);
    let holder =
        Holder { block: BlockName::HEADER, array: BlockArray::of(root, KeyRange::ALL), trust: Trust::Unchecked };
    let mut loads = 0;
    let mut work = pin!(load_missing(blocks, || {
        loads += 1;
        assert!(loads < MOST_POLLS, "the walk doesn't end");
        find(Source::on_media(blocks), holder, &mut cursor)
    }));
    for _ in 0..MOST_POLLS {
        if let Poll::Ready(result) = work.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            return result;
        }
    }
    panic!("the walk waits for nothing");
}

fn leaked<T>(value: T) -> &'static T {
    Box::leak(Box::new(value))
}

#[test]
fn a_block_that_leads_to_itself_under_another_span_is_a_loop() {
    let disk = leaked(testing::memory_disk(DISK_BYTES));
    disk.write_at(SEGMENT_BYTES, indirect(20, SEGMENT_BYTES).as_bytes()).unwrap();
    let blocks = cache(disk, leaked(FaultPlan::new(HEAP)));
    let error = first_leaf(&blocks, &[indirect(30, SEGMENT_BYTES)]).unwrap_err();
    assert_eq!(error.error, ReadError::Corrupt(Corruption::TooDeep));
}

#[test]
fn a_block_beside_a_bad_sector_is_read() {
    let disk = leaked(testing::memory_disk(DISK_BYTES));
    let leaf = Blockref::new(BlockKind::Data, Key(0), KeyBits(16), Methods(0));
    disk.write_at(SEGMENT_BYTES + 1024, leaf.as_bytes()).unwrap();
    let faults = leaked(FaultPlan::new(HEAP));
    let bad = SEGMENT_BYTES + 8192..SEGMENT_BYTES + 8704;
    faults.add(Fault::always(Operations::READ, Effect::Fail(DeviceError::Io(5))).within(bad)).unwrap();
    let blocks = cache(disk, faults);
    let root = [indirect(30, SEGMENT_BYTES + 1024)];
    assert_eq!(first_leaf(&blocks, &root), Ok(Some(leaf)));
    let reads = faults.struck();
    assert_eq!(first_leaf(&blocks, &root), Ok(Some(leaf)));
    assert_eq!(faults.struck(), reads, "the block stays in memory");
}
