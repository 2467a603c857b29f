//! Tests of a single node.

extern crate std;

use std::rc::Rc;
use std::vec::Vec;

use super::survey::Since;
use super::*;
use crate::chain::Container;
use crate::io::testing::{HEAP, Still, now};
use crate::io::wrap::{Effect, Fault, FaultPlan, Faulty, Operations};
use crate::io::{DeviceError, Disk, DiskOptions, MemoryDevice, ReadError, boxed_device};
use crate::media::freemap::FREEMAP_BLOCK_BYTES;
use crate::media::geometry::header_offset;
use crate::media::{BlockKind, CheckMethod, Compression, DataOff, FileKind, Inode, MediaOffset, Methods, Radix};
use crate::memory;
use crate::newfs::NewfsOptions;
use crate::selftest::image::{Image, Spread};

fn image_of(bytes: u64) -> Image {
    now(Image::format(HEAP, &Still, &[bytes], &NewfsOptions::default(), Spread::Packed, 7)).unwrap()
}

fn image() -> Image {
    image_of(1 << 30)
}

fn open_image(image: &Image) -> Box<Node> {
    now(open(HEAP, image.open(HEAP, &Still).unwrap(), NodeOptions::default())).unwrap()
}

fn node() -> Box<Node> {
    open_image(&image())
}

#[test]
fn the_limit_of_modified_memory_is_on_again_after_a_failure() {
    let node = node();
    let mut calls = 0;
    let failed = now(node.drive_change(|topology, _, _| {
        calls += 1;
        // Everything was written for it, and it still stops.
        assert_eq!(topology.manner.over_limit, calls == 2);
        let no_memory = ChainError::new(&Blockref::EMPTY, ReadError::NoMemory);
        Err::<(), _>(if calls == 1 { Stop::Full } else { Stop::Failed(no_memory) })
    }));
    assert_eq!((failed, calls), (Err(NodeError::NoMemory), 2));
    assert!(!node.topology.borrow().manner.over_limit);
}

/// Makes a PFS without content, which takes room for its inode.
fn add_pfs(node: &Node, key: Key) {
    let mut inode = Inode::new(FileKind::Directory);
    inode.meta.set_name_key(key);
    let create = Modification::CreatePfs { inode: &inode, key, origin: None };
    assert_eq!(now(node.modify(node.next_super_tid(), create)), Ok(Outcome::Done));
}

/// The most blocks of the largest size for which the node says it has places.
fn most_pieces(node: &Node) -> u64 {
    let (mut fits, mut too_many) = (0, 1 << 20);
    while fits + 1 < too_many {
        let count = (fits + too_many) / 2;
        if now(node.has_room_in_pieces(count)).unwrap() { fits = count } else { too_many = count }
    }
    fits
}

#[test]
fn room_is_kept_for_what_is_modified() {
    let node = node();
    let modified_bytes = || node.topology.borrow().arena.bytes() as u64;
    let (before, reserve, pieces) = (modified_bytes(), node.reserve_bytes(), most_pieces(&node));
    assert!(pieces > 10_000, "an empty GiB");
    (0..200).for_each(|number| add_pfs(&node, Key(1_000 + number)));
    let after = modified_bytes();
    assert!(after > before + 8 * CHUNK_BYTES);
    // A quarter of a chunk may stay unused beside blocks of other sizes, and blocks of metadata may lie in twice as many chunks.
    assert_eq!(reserve - node.reserve_bytes(), after + after / 4 - (before + before / 4));
    assert_eq!(pieces - most_pieces(&node), 2 * after / CHUNK_BYTES - 2 * before / CHUNK_BYTES);
}

/// The leaf of the freemap, as last written.
fn leaf(node: &Node) -> Blockref {
    let found = now(node.change_over_limit(|topology, _, blocks| {
        let (container, index) = topology.descend(blocks, Container::FreemapSet, Key(0))?;
        Ok(index.map(|index| topology.array(container).entries()[index]))
    }));
    found.unwrap().unwrap()
}

/// A place of one chunk; none when none is known to be free.
fn allocate(node: &Node) -> Option<MediaOffset> {
    let chunk = Radix::holding(CHUNK_BYTES as usize).unwrap();
    let place = node.with_freemap(|topology, allocator, blocks| {
        allocator.allocate(topology, blocks, BlockKind::Data, chunk, Key(0))
    });
    now(place).unwrap_or_default().map(|place| place.offset())
}

/// Damages the freemap's leaf on the disk, whichever flush wrote it.
fn lose_leaf(image: &Image, node: &Node) {
    now(node.settle()).unwrap();
    let place = leaf(node).data_off().offset();
    image.disks()[0].write_at(place.0, &[0xff; 16]).unwrap();
    node.blocks.invalidate(place, FREEMAP_BLOCK_BYTES);
}

/// Checks that no space is allocated to which the fixed header refers.
fn gives_only_what_is_free(node: &Node) {
    let given: Vec<_> = (0..1000).map(|_| allocate(node).unwrap()).collect();
    now(node.flush()).unwrap();
    now(node.survey(Since::Ever, &mut |bref| {
        let chunk = MediaOffset(bref.data_off().offset().0 / CHUNK_BYTES * CHUNK_BYTES);
        assert!(!given.contains(&chunk), "{} was given away", bref.name());
    }))
    .unwrap();
}

/// Makes PFSs with these numbers, and fixes a header that commits them.
fn fix_pfss(node: &Node, numbers: core::ops::Range<u64>) {
    numbers.for_each(|number| add_pfs(node, Key(1 << 63 | number << 32)));
    assert_eq!(now(node.fix()), Ok(true));
}

#[test]
fn a_leaf_that_rots_is_written_again() {
    let image = image();
    let node = open_image(&image);
    fix_pfss(&node, 0..100);
    let free_bytes = node.free_bytes();
    // That header never lands: no commit will ever tell what the leaf said.
    node.discard_header();
    lose_leaf(&image, &node);
    assert!(allocate(&node).is_some());
    assert!(node.free_bytes() > free_bytes - (1 << 20));
    gives_only_what_is_free(&node);
    assert_eq!(now(node.mend_freemap(&mut |_| {})), Ok(0), "it is whole again");
}

#[test]
fn what_a_header_on_its_way_commits_stays_in_use_when_its_freemap_is_lost() {
    let image = image();
    let node = open_image(&image);
    fix_pfss(&node, 0..100);
    // The freemap's leaf is on the disk before the header is, and gets damaged there; no copy stays in memory.
    lose_leaf(&image, &node);
    node.blocks.forget_written();
    assert_eq!(allocate(&node), None, "nobody can tell yet what is free");
    assert_eq!(now(node.land()), Ok(true));
    assert_eq!(now(node.free_lost()), Ok(true), "what is committed tells it");
    gives_only_what_is_free(&node);
}

#[test]
fn nothing_is_given_twice_from_a_leaf_that_was_lost() {
    let image = image_of(2 << 30);
    let node = open_image(&image);
    fix_pfss(&node, 0..100);
    node.discard_header();
    lose_leaf(&image, &node);
    node.blocks.forget_written();
    // Blocks that are in no header move to the other leaf; that fills up, and only the lost one is left.
    fix_pfss(&node, 100..200);
    let mut given: Vec<_> = core::iter::from_fn(|| allocate(&node)).collect();
    assert!(given.len() > 60_000, "{} chunks of the other leaf", given.len());
    assert_eq!(now(node.land()), Ok(true));
    assert_eq!(now(node.free_lost()), Ok(true));
    given.extend(core::iter::from_fn(|| allocate(&node)));
    assert!(given.len() > 120_000, "{} chunks of both leaves", given.len());
    let all = given.len();
    given.sort_unstable();
    given.dedup();
    assert_eq!(given.len(), all, "some were given twice");
}

/// Opens a volume with four copies of its header, of which some fail to be read with this error.
fn open_without(copies: core::ops::Range<usize>, error: DeviceError) -> Result<Box<Node>, OpenError> {
    let plan = Rc::new(FaultPlan::new(HEAP));
    for copy in copies {
        let place = header_offset(copy)..header_offset(copy) + 1;
        plan.add(Fault::always(Operations::READ, Effect::Fail(error)).within(place)).unwrap();
    }
    let image = image_of(8 << 30);
    let device = MemoryDevice::new(HEAP, image.disks()[0].clone(), &"memory", 8).unwrap();
    let device = boxed_device(HEAP, Faulty::new(HEAP, device, plan).unwrap()).unwrap();
    let mut disks = memory::Vec::new_in(HEAP);
    memory::push(&mut disks, Disk::new(HEAP, device, &Still, DiskOptions::default()).unwrap()).unwrap();
    now(open(HEAP, disks, NodeOptions::default()))
}

#[test]
fn bad_copies_of_the_header_are_passed_over_and_late_ones_are_waited_for_once() {
    let bad = DeviceError::Io(5);
    assert!(open_without(0..3, bad).is_ok());
    assert!(open_without(0..1, DeviceError::Timeout).is_ok());
    let refusal = open_without(0..2, DeviceError::Timeout).err();
    assert!(matches!(refusal, Some(OpenError::Device { error: DeviceError::Timeout, .. })), "{refusal:?}");
}

/// Opens a PFS with two empty files, as slots 0, 1 and 2.
fn with_two_files() -> Box<Node> {
    let node = node();
    now(node.execute(Command::OpenPfs { label: b"LOCAL", into: Slot(0) })).unwrap();
    for number in 1..=2 {
        let mut inode = Inode::new(FileKind::Regular);
        let inum = Inum(1024 + number);
        inode.meta.set_inum(inum);
        inode.meta.set_name_key(inum.key());
        let methods = Methods::new(CheckMethod::XxHash64, Compression::None);
        let create = Modification::CreateInode { pfs: Slot(0), inode: &inode, methods };
        assert_eq!(now(node.modify(ModifyTid(10), create)), Ok(Outcome::Done));
        now(node.execute(Command::Name { pfs: Slot(0), inum, into: Slot(number as u32) })).unwrap();
    }
    node
}

fn write_block(node: &Node, file: Slot, byte: u8) {
    let mut buffer = Buffer::new(HEAP, FILE_BLOCK_BYTES).unwrap();
    buffer.bytes_mut().fill(byte);
    let check = CheckMethod::XxHash64.compute(buffer.bytes());
    let methods = Methods::new(CheckMethod::XxHash64, Compression::None);
    let block = GivenBlock::Owned(StoredBlock { buffer, methods, check });
    let write = Modification::WriteBlock { file, key: Key(0), block };
    assert_eq!(now(node.modify(ModifyTid(11), write)), Ok(Outcome::Done));
}

fn block_of(node: &Node, file: Slot) -> Option<Blockref> {
    let find = || node.in_inode(file, |view| view.find(&mut Cursor::new(KeyRange::only(Key(0)))));
    now(node.drive(|_| find())).unwrap()
}

/// Which of several blocks' places are given away.
fn given_away(node: &Node, places: &[DataOff]) -> usize {
    let given: Vec<_> = (0..2000).map(|_| allocate(node).unwrap()).collect();
    places.iter().filter(|place| given.contains(&place.offset())).count()
}

/// A block that two files share isn't given back when one of them gets another, whatever became of the header that would have
/// committed it; one that isn't shared is.
#[test]
fn what_is_shared_is_not_given_back() {
    let range = KeyRange { first: Key(0), last: Key(FILE_BLOCK_BYTES as u64 - 1) };
    let clone = || Modification::CloneBlocks(Sharing { from: Slot(1), range, to: Slot(2), first: Key(0) });
    for (is_shared, is_fixed, is_given_up) in
        [(false, false, false), (true, false, false), (true, true, false), (true, true, true), (false, true, true)]
    {
        let node = with_two_files();
        write_block(&node, Slot(1), 1);
        if is_fixed {
            assert_eq!(now(node.fix()), Ok(true));
        }
        if is_shared {
            assert_eq!(now(node.modify(ModifyTid(12), clone())), Ok(Outcome::Done));
        }
        if is_given_up {
            node.discard_header();
        }
        let place = block_of(&node, Slot(1)).unwrap().data_off();
        write_block(&node, Slot(1), 2);
        let last = block_of(&node, Slot(2)).map(|shared| shared.data_off());
        assert_eq!(last, is_shared.then_some(place));
        let case = (is_shared, is_fixed, is_given_up);
        assert_eq!(given_away(&node, &[place]) > 0, !is_shared, "{case:?}");
        let remove = Modification::RemoveBlocks { file: Slot(2), range };
        assert_eq!(now(node.modify(ModifyTid(13), remove)), Ok(Outcome::Done));
        assert!(block_of(&node, Slot(2)).is_none());
        if is_shared {
            assert_eq!(given_away(&node, &[place]), 0, "only bulkfree knows that it was the last: {case:?}");
        }
    }
}
