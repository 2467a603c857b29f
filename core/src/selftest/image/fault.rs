//! Damage, one kind at a time, as caused by disks and by other software.
//!
//! Where only the structure is to be wrong, the check codes above are renewed.

use core::mem::offset_of;

use zerocopy::IntoBytes;

use super::{Candidate, ImageError, Seal, Written};
use crate::media::blockref::BLOCKREF_BYTES;
use crate::media::inode::INODE_META_BYTES;
use crate::media::{
    BlockKind, Blockref, Compression, DataOff, InodeMeta, Inum, Key, KeyBits, MediaOffset, Methods, Radix, VolumeHeader,
};

/// A kind of damage, and what it strikes.
#[derive(Clone, Copy)]
pub enum Damage {
    /// Damages the first block whose blockref is accepted.
    Block {
        /// Accepts a blockref.
        of: fn(&Candidate<'_>) -> bool,
        /// What is done about the check codes.
        seal: Seal,
        /// Changes the bytes.
        change: fn(&mut [u8]),
    },
    /// Damages the first blockref that is accepted. The change gets the blockref of the block around it.
    Entry {
        /// Accepts a blockref.
        like: fn(&Candidate<'_>) -> bool,
        /// Changes it.
        change: fn(&mut Blockref, container: &Blockref),
    },
    /// Damages the newest header.
    Header {
        /// What is done about its check codes.
        seal: Seal,
        /// Changes the bytes.
        change: fn(&mut [u8]),
    },
}

/// How much of a small population a kind of damage takes away from a reader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hits {
    /// Nothing: readers don't look there.
    Nothing,
    /// One object, which gives an error.
    One,
    /// One object, in whose place another is seen: the structure is sound, and only comparing everything would tell.
    Silent,
    /// Everything below one block, but nothing else.
    Many,
    /// Everything: the PFS can't be mounted.
    Mount,
}

use Hits::{Many, Mount, Nothing, One, Silent};

/// A named kind of damage.
pub struct Fault {
    /// For reports.
    pub name: &'static str,
    /// What a reader loses.
    pub hits: Hits,
    /// The damage.
    pub damage: Damage,
}

impl Fault {
    /// Damages the volumes in this way.
    pub fn inflict(&self, volumes: &mut Written) -> Result<(), ImageError> {
        match self.damage {
            Damage::Block { of, seal, change } => {
                let trail = volumes.find(&mut |place| of(place))?;
                volumes.change_block(&trail, seal, change)
            }
            Damage::Entry { like, change } => {
                let trail = volumes.find(&mut |place| like(place))?;
                let container = trail.container().unwrap_or(Blockref::EMPTY);
                volumes.change_entry(&trail, |entry| change(entry, &container))
            }
            Damage::Header { seal, change } => volumes.change_header(seal, change),
        }
    }
}

const fn block(
    name: &'static str,
    hits: Hits,
    of: fn(&Candidate<'_>) -> bool,
    seal: Seal,
    change: fn(&mut [u8]),
) -> Fault {
    Fault { name, hits, damage: Damage::Block { of, seal, change } }
}

const fn entry(
    name: &'static str,
    hits: Hits,
    like: fn(&Candidate<'_>) -> bool,
    change: fn(&mut Blockref, &Blockref),
) -> Fault {
    Fault { name, hits, damage: Damage::Entry { like, change } }
}

const fn header(name: &'static str, hits: Hits, seal: Seal, change: fn(&mut [u8])) -> Fault {
    Fault { name, hits, damage: Damage::Header { seal, change } }
}

/// All kinds, for images that hold a [`population`](super::population) in DATA.
pub const FAULTS: &[Fault] = &[
    block("data bit", One, is_protected_data, Seal::Keep, flip_bit),
    block("inode bit", One, is_inode, Seal::Keep, flip_bit),
    block("indirect bit in a file", One, is_file_indirect, Seal::Keep, flip_bit),
    block("indirect bit in a root", Many, is_root_indirect, Seal::Keep, flip_bit),
    block("name block bit", One, is_long_name, Seal::Keep, flip_bit),
    block("PFS root bit", Mount, is_pfs_root, Seal::Keep, flip_bit),
    block("super-root bit", Mount, is_super_root, Seal::Keep, flip_bit),
    header("header bit", Mount, Seal::Keep, |bytes| bytes[0x78] ^= 1),
    header("header torn", Mount, Seal::Keep, |bytes| bytes[0x8000..].fill(0xa5)),
    header("header zeroed", Mount, Seal::Keep, |bytes| bytes.fill(0)),
    header("header version", Mount, Seal::Renew, |bytes| bytes[0x30] = 9),
    header("header big-endian", Mount, Seal::Renew, |bytes| bytes[..8].reverse()),
    header("header number of volumes", Mount, Seal::Renew, |bytes| bytes[0x3c] = 64),
    header("header volume size", Mount, Seal::Renew, |bytes| bytes[0x2d] = 0x10),
    header("super-root out of range", Mount, Seal::Renew, |bytes| bytes[SROOT + ENTRY_OFFSET + 6] = 0x7f),
    header("super-root misplaced", Mount, Seal::Renew, |bytes| bytes[SROOT + ENTRY_OFFSET + 1] ^= 0x0c),
    header("freemap out of range", Nothing, Seal::Renew, |bytes| bytes[FREEMAP + ENTRY_OFFSET + 6] = 0x7f),
    block("indirect emptied", Many, is_root_indirect, Seal::Renew, |bytes| bytes.fill(0)),
    entry("indirect in a file leads to itself", One, is_deep_data, lead_to_container),
    entry("indirect in a root leads to itself", Many, is_deep_inode, lead_to_container),
    entry("indirect in a directory leads to itself", Many, is_deep_dirent, lead_to_container),
    entry("indirect in a file leads to its inode", Silent, is_file_indirect, lead_to_container),
    entry("data out of range", One, is_protected_data, |entry, _| {
        entry.set_data_off(DataOff::new(MediaOffset(0x7fff_ffff_ffff_0000), Radix::MAX));
    }),
    entry("data across a boundary", One, is_protected_data, |entry, _| shift(entry, 1024, Radix::MAX)),
    entry("data in a reserved segment", One, is_protected_data, |entry, _| {
        entry.set_data_off(DataOff::new(MediaOffset(1 << 16), Radix::MAX));
    }),
    entry("data radix too small", One, is_protected_data, |entry, _| set_radix(entry, 9)),
    entry("data radix too large", One, is_protected_data, |entry, _| set_radix(entry, 17)),
    entry("data radix largest", One, is_protected_data, |entry, _| set_radix(entry, 63)),
    entry("inode radix", One, is_inode, |entry, _| set_radix(entry, 16)),
    entry("inode without block", One, is_inode, |entry, _| entry.set_data_off(DataOff::NONE)),
    entry("indirect radix", One, is_file_indirect, |entry, _| set_radix(entry, 10)),
    entry("type unknown", One, is_protected_data, |entry, _| set_kind(entry, 77)),
    entry("type of data is dirent", One, is_protected_data, |entry, _| set_kind(entry, BlockKind::Dirent as u8)),
    entry("type of inode is data", One, is_inode, |entry, _| set_kind(entry, BlockKind::Data as u8)),
    entry("type of inode is indirect", One, is_inode, |entry, _| set_kind(entry, BlockKind::Indirect as u8)),
    entry("type of indirect is data", One, is_file_indirect, |entry, _| set_kind(entry, BlockKind::Data as u8)),
    entry("type of PFS root is dirent", Mount, is_pfs_root, |entry, _| set_kind(entry, BlockKind::Dirent as u8)),
    entry("keybits too large", One, is_protected_data, |entry, _| entry.set_span(entry.key(), KeyBits(64))),
    entry("keybits of data", One, is_protected_data, |entry, _| entry.set_span(entry.key(), KeyBits(10))),
    entry("keybits of indirect", One, is_file_indirect, |entry, _| entry.set_span(entry.key(), KeyBits(200))),
    entry("key outside its container", One, is_deep_data, |entry, _| entry.set_span(Key(1 << 50), KeyBits(16))),
    entry("key out of order", One, is_second_data, |entry, _| entry.set_span(Key(0), KeyBits(16))),
    entry("check method unknown", One, is_protected_data, |entry, _| entry.methods.0 |= 0xf0),
    entry("compression unknown", One, is_protected_data, |entry, _| entry.methods.0 |= 0x0f),
    entry("compression of raw data", One, is_raw_data, |entry, _| entry.methods.0 |= Compression::Lz4 as u8),
    entry("compression autozero", One, is_raw_data, |entry, _| entry.methods.0 |= Compression::AutoZero as u8),
    block("LZ4 length", One, is_lz4_data, Seal::Renew, |bytes| bytes[..4].fill(0xff)),
    block("LZ4 garbage", One, is_lz4_data, Seal::Renew, |bytes| bytes[4..].fill(0xf3)),
    block("ZLIB garbage", One, is_zlib_data, Seal::Renew, |bytes| bytes[3..].fill(0x6d)),
    block("ZLIB header", One, is_zlib_data, Seal::Renew, |bytes| bytes[0] = 0),
    block("inode version", One, is_inode, Seal::Renew, |bytes| bytes[0] = 2),
    block("inode type", One, is_inode, Seal::Renew, |bytes| bytes[META_TYPE] = 99),
    block("inode number", One, is_inode, Seal::Renew, |bytes| bytes[META_INUM] ^= 0x40),
    block("inode name length", One, is_inode, Seal::Renew, |bytes| bytes[META_NAME_LEN..][..2].fill(0xff)),
    block("inode size negative", One, is_inode, Seal::Renew, |bytes| bytes[META_SIZE..][..8].fill(0xff)),
    block("directory with embedded data", Many, is_directory_inode, Seal::Renew, |bytes| bytes[META_FLAGS] |= 1),
    block("directory body of garbage", Many, is_directory_inode, Seal::Renew, |bytes| {
        bytes[INODE_META_BYTES..].fill(0x3c)
    }),
    block("file body of garbage", One, is_blocks_inode, Seal::Renew, |bytes| bytes[INODE_META_BYTES..].fill(0x5a)),
    entry("dirent without inode", Silent, is_dirent, |entry, _| entry.embed[..8].fill(0x5e)),
    entry("dirent to the root", Silent, is_dirent, |entry, _| entry.embed[..8].copy_from_slice(&1u64.to_le_bytes())),
    entry("dirent to the super-root", Silent, is_dirent, |entry, _| entry.embed[..8].fill(0)),
    entry("dirent in the visible keys", Silent, is_dirent, |entry, _| entry.embed[7] = 0x80),
    entry("dirent type", Nothing, is_dirent, |entry, _| entry.embed[10] = 6),
    entry("dirent type unknown", One, is_dirent, |entry, _| entry.embed[10] = 200),
    entry("dirent name empty", One, is_dirent, |entry, _| entry.embed[8..10].fill(0)),
    entry("dirent name too long", One, is_dirent, |entry, _| entry.embed[8..10].fill(0xff)),
    entry("dirent name longer than the entry", One, is_dirent, |entry, _| entry.embed[8] = 65),
    entry("dirent name dot dot", One, is_dirent, |entry, _| rename(entry, b"..")),
    entry("dirent name with a slash", One, is_dirent, |entry, _| rename(entry, b"../../etc/passwd")),
    entry("dirent name with NUL", One, is_dirent, |entry, _| rename(entry, b"a\0b")),
    entry("dirent name of another hash", One, is_dirent, |entry, _| rename(entry, b"elsewhere")),
];

const SROOT: usize = offset_of!(VolumeHeader, sroot_blockset);
const FREEMAP: usize = offset_of!(VolumeHeader, freemap_blockset);
/// The offset of `data_off` in a blockref.
const ENTRY_OFFSET: usize = 0x20;
/// Offsets of fields in an inode (format 3.1).
const META_TYPE: usize = 0x50;
const META_FLAGS: usize = 0x51;
const META_INUM: usize = 0x58;
const META_SIZE: usize = 0x60;
const META_NAME_LEN: usize = 0x80;

const _: () = assert!(META_NAME_LEN < size_of::<InodeMeta>() && ENTRY_OFFSET < BLOCKREF_BYTES);

fn in_data(place: &Candidate<'_>) -> bool {
    place.label == Some(b"DATA")
}

fn is_kind(place: &Candidate<'_>, kind: BlockKind) -> bool {
    in_data(place) && place.entry.is(kind)
}

fn is_protected_data(place: &Candidate<'_>) -> bool {
    is_kind(place, BlockKind::Data) && place.entry.methods.0 >> 4 >= 2
}

fn is_second_data(place: &Candidate<'_>) -> bool {
    is_kind(place, BlockKind::Data) && place.entry.key().0 > 0
}

fn is_deep_data(place: &Candidate<'_>) -> bool {
    is_kind(place, BlockKind::Data) && place.depth > 0
}

fn is_raw_data(place: &Candidate<'_>) -> bool {
    is_protected_data(place) && place.entry.methods.0 & 0xf == 0
}

fn is_lz4_data(place: &Candidate<'_>) -> bool {
    is_protected_data(place) && place.entry.methods.compression() == Ok(Compression::Lz4)
}

fn is_zlib_data(place: &Candidate<'_>) -> bool {
    is_protected_data(place) && place.entry.methods.compression() == Ok(Compression::Zlib)
}

fn is_inode(place: &Candidate<'_>) -> bool {
    is_kind(place, BlockKind::Inode) && place.entry.key().0 > 0x404
}

/// An inode with something below it that none of the population's first files is: a directory.
fn is_directory_inode(place: &Candidate<'_>) -> bool {
    is_kind(place, BlockKind::Inode) && place.entry.leaf_count() > 10
}

fn is_blocks_inode(place: &Candidate<'_>) -> bool {
    is_kind(place, BlockKind::Inode) && place.entry.leaf_count() == 1
}

fn is_file_indirect(place: &Candidate<'_>) -> bool {
    is_kind(place, BlockKind::Indirect) && place.owner > Inum::PFS_ROOT && !place.entry.key().is_visible()
}

fn is_deep_inode(place: &Candidate<'_>) -> bool {
    is_inode(place) && place.depth > 0
}

fn is_deep_dirent(place: &Candidate<'_>) -> bool {
    is_dirent(place) && place.depth > 0
}

fn is_root_indirect(place: &Candidate<'_>) -> bool {
    is_kind(place, BlockKind::Indirect) && place.owner == Inum::PFS_ROOT
}

fn is_dirent(place: &Candidate<'_>) -> bool {
    is_kind(place, BlockKind::Dirent) && place.entry.data_off() == DataOff::NONE && place.owner.0 > 1
}

fn is_long_name(place: &Candidate<'_>) -> bool {
    is_kind(place, BlockKind::Dirent) && place.entry.data_off() != DataOff::NONE
}

fn is_pfs_root(place: &Candidate<'_>) -> bool {
    place.label.is_none() && place.owner == Inum::SUPER_ROOT && place.entry.key().is_visible()
}

fn is_super_root(place: &Candidate<'_>) -> bool {
    place.label.is_none() && place.entry.key() == Key(0)
}

fn flip_bit(bytes: &mut [u8]) {
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0x10;
}

fn lead_to_container(entry: &mut Blockref, container: &Blockref) {
    *entry = *container;
    // It has no check code, so that only the loop is wrong.
    entry.methods = Methods(0);
}

fn shift(entry: &mut Blockref, by: u64, radix: Radix) {
    entry.set_data_off(DataOff::new(MediaOffset(entry.data_off().offset().0 + by), radix));
}

fn set_radix(entry: &mut Blockref, radix: u64) {
    entry.set_data_off(DataOff(entry.data_off().offset().0 | radix));
}

fn set_kind(entry: &mut Blockref, kind: u8) {
    entry.as_mut_bytes()[0] = kind;
}

fn rename(entry: &mut Blockref, name: &[u8]) {
    entry.check.fill(0);
    entry.check[..name.len()].copy_from_slice(name);
    entry.embed[8..10].copy_from_slice(&(name.len() as u16).to_le_bytes());
}
