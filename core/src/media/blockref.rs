//! The blockref: where a block is, what it holds, and its check code (format 2).

use core::fmt;

use bitflags::bitflags;
use static_assertions::const_assert_eq;
use zerocopy::little_endian::{U16, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::check::{CHECK_BYTES, CheckField};
use super::{CheckMethod, Compression, Corruption, DataOff, Key, KeyBits, KeyRange, MediaOffset, MirrorTid, ModifyTid};

/// Bytes of a blockref.
pub const BLOCKREF_BYTES: usize = 128;

/// What a blockref points at (format 2.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum BlockKind {
    /// An inode.
    Inode = 1,
    /// An array of blockrefs.
    Indirect = 2,
    /// File data.
    Data = 3,
    /// A directory entry; its name is in the blockref or in a block.
    Dirent = 4,
    /// An array of freemap blockrefs.
    FreemapNode = 5,
    /// Freemap records.
    FreemapLeaf = 6,
}

impl BlockKind {
    pub(crate) fn from_code(code: u8) -> Result<Self, Corruption> {
        Ok(match code {
            1 => Self::Inode,
            2 => Self::Indirect,
            3 => Self::Data,
            4 => Self::Dirent,
            5 => Self::FreemapNode,
            6 => Self::FreemapLeaf,
            _ => return Err(Corruption::BlockType(code)),
        })
    }
}

impl fmt::Display for BlockKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Inode => "inode",
            Self::Indirect => "indirect",
            Self::Data => "data",
            Self::Dirent => "dirent",
            Self::FreemapNode => "freemap node",
            Self::FreemapLeaf => "freemap leaf",
        })
    }
}

/// The type code of the placeholders in the super-root sets of non-root volumes (format 1.4).
pub const KIND_INVALID: u8 = 7;

bitflags! {
    /// Flags of a blockref.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct BlockFlags: u8 {
        /// The inode is the root of a PFS.
        const PFSROOT = 0x01;
        /// Modified in place in an emergency (format 9.6); readers ignore it.
        const EMERGENCY = 0x04;
        const _ = !0;
    }
}

/// Check and compression methods in one byte: the check in the high nibble.
#[derive(Clone, Copy, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct Methods(pub u8);

impl Methods {
    /// The byte for these methods.
    pub const fn new(check: CheckMethod, compression: Compression) -> Self {
        Self((check as u8) << 4 | compression as u8)
    }

    /// How the block is protected.
    pub fn check(self) -> Result<CheckMethod, Corruption> {
        CheckMethod::from_code(self.0 >> 4)
    }

    /// How the block is compressed. Means something only for data blocks.
    pub fn compression(self) -> Result<Compression, Corruption> {
        Compression::from_code(self.0 & 0xf)
    }
}

impl fmt::Debug for Methods {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Methods({:#04x})", self.0)
    }
}

/// A blockref as it is on media. All zero is an empty entry.
#[derive(Clone, Copy, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct Blockref {
    kind: u8,
    /// Check and compression methods.
    pub methods: Methods,
    /// Unused; 255 on inodes made by newfs.
    pub copyid: u8,
    keybits: u8,
    /// Unused; 10 on inodes made by newfs.
    pub vradix: u8,
    flags: u8,
    leaf_count: U16,
    key: U64,
    mirror_tid: U64,
    modify_tid: U64,
    data_off: U64,
    /// Unused.
    pub update_tid: U64,
    /// The union at offset 0x30: a [`Dirent`](super::Dirent), or [`BlockStats`].
    pub embed: [u8; 16],
    /// The check code, or the name of a directory entry that has no block.
    pub check: CheckField,
}

const_assert_eq!(size_of::<Blockref>(), BLOCKREF_BYTES);
const_assert_eq!(core::mem::offset_of!(Blockref, leaf_count), 0x06);
const_assert_eq!(core::mem::offset_of!(Blockref, key), 0x08);
const_assert_eq!(core::mem::offset_of!(Blockref, mirror_tid), 0x10);
const_assert_eq!(core::mem::offset_of!(Blockref, modify_tid), 0x18);
const_assert_eq!(core::mem::offset_of!(Blockref, data_off), 0x20);
const_assert_eq!(core::mem::offset_of!(Blockref, embed), 0x30);
const_assert_eq!(core::mem::offset_of!(Blockref, check), 0x40);

/// Sums over what lies below an inode or indirect block; advisory (format 2.4).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BlockStats {
    /// Bytes of media blocks below.
    pub data_bytes: u64,
    /// Inodes below.
    pub inodes: u64,
}

impl Blockref {
    /// An empty entry.
    pub const EMPTY: Self = Self {
        kind: 0,
        methods: Methods(0),
        copyid: 0,
        keybits: 0,
        vradix: 0,
        flags: 0,
        leaf_count: U16::ZERO,
        key: U64::ZERO,
        mirror_tid: U64::ZERO,
        modify_tid: U64::ZERO,
        data_off: U64::ZERO,
        update_tid: U64::ZERO,
        embed: [0; 16],
        check: [0; CHECK_BYTES],
    };

    /// The placeholder in the super-root set of a non-root volume.
    pub const INVALID: Self = Self { kind: KIND_INVALID, ..Self::EMPTY };

    /// An entry without a block yet.
    pub fn new(kind: BlockKind, key: Key, keybits: KeyBits, methods: Methods) -> Self {
        Self { kind: kind as u8, methods, keybits: keybits.0, key: U64::new(key.0), ..Self::EMPTY }
    }

    /// The type code as stored.
    pub fn kind_code(&self) -> u8 {
        self.kind
    }

    /// True for an empty entry.
    pub fn is_empty(&self) -> bool {
        self.kind == 0
    }

    /// What it points at.
    pub fn kind(&self) -> Result<BlockKind, Corruption> {
        BlockKind::from_code(self.kind)
    }

    /// True if that is a block of this kind: cheaper than comparing [`kind`](Self::kind), with its error.
    pub fn is(&self, kind: BlockKind) -> bool {
        self.kind == kind as u8
    }

    /// The first key of its span.
    pub fn key(&self) -> Key {
        Key(self.key.get())
    }

    /// The width of its span.
    pub fn keybits(&self) -> KeyBits {
        KeyBits(self.keybits)
    }

    /// Its span, if it has a valid one: at most 63 bits wide and aligned to its width.
    pub fn span(&self) -> Result<KeyRange, Corruption> {
        let error = Corruption::KeySpan { key: self.key(), keybits: self.keybits };
        let below = 1u64.checked_shl(self.keybits.into()).ok_or(error)?.wrapping_sub(1);
        if self.key.get() & below != 0 {
            return Err(error);
        }
        Ok(KeyRange { first: self.key(), last: Key(self.key.get() | below) })
    }

    /// The last key of its span, where that was checked before.
    pub fn last_key(&self) -> Key {
        let below = 1u64.checked_shl(self.keybits.into()).unwrap_or(0).wrapping_sub(1);
        Key(self.key.get() | below)
    }

    /// Moves the entry to another key or span.
    pub fn set_span(&mut self, key: Key, keybits: KeyBits) {
        self.key = U64::new(key.0);
        self.keybits = keybits.0;
    }

    /// The block's place and size.
    pub fn data_off(&self) -> DataOff {
        DataOff(self.data_off.get())
    }

    /// Points the entry at another block.
    pub fn set_data_off(&mut self, data_off: DataOff) {
        self.data_off = U64::new(data_off.0);
    }

    /// The flush that wrote the block.
    pub fn mirror_tid(&self) -> MirrorTid {
        MirrorTid(self.mirror_tid.get())
    }

    /// Sets the flush that wrote the block.
    pub fn set_mirror_tid(&mut self, tid: MirrorTid) {
        self.mirror_tid = U64::new(tid.0);
    }

    /// The operation that last changed the block or what is below.
    pub fn modify_tid(&self) -> ModifyTid {
        ModifyTid(self.modify_tid.get())
    }

    /// Sets the operation that last changed the block.
    pub fn set_modify_tid(&mut self, tid: ModifyTid) {
        self.modify_tid = U64::new(tid.0);
    }

    /// The flags.
    pub fn flags(&self) -> BlockFlags {
        BlockFlags::from_bits_retain(self.flags)
    }

    /// Sets the flags.
    pub fn set_flags(&mut self, flags: BlockFlags) {
        self.flags = flags.bits();
    }

    /// The number of leaves below, saturating at 65535.
    pub fn leaf_count(&self) -> u16 {
        self.leaf_count.get()
    }

    /// Sets the number of leaves below.
    pub fn set_leaf_count(&mut self, leaves: u16) {
        self.leaf_count = U16::new(leaves);
    }

    /// The sums kept in the blockrefs of inodes and indirect blocks.
    pub fn stats(&self) -> BlockStats {
        let word = |at: usize| u64::from_le_bytes(core::array::from_fn(|i| self.embed[at + i]));
        BlockStats { data_bytes: word(0), inodes: word(8) }
    }

    /// Sets the sums.
    pub fn set_stats(&mut self, stats: BlockStats) {
        self.embed[..8].copy_from_slice(&stats.data_bytes.to_le_bytes());
        self.embed[8..].copy_from_slice(&stats.inodes.to_le_bytes());
    }

    /// Compares the block's stored bytes with the check code.
    pub fn verify(&self, block: &[u8]) -> Result<(), Corruption> {
        self.methods.check()?.verify(block, &self.check)
    }

    /// The name of the block in errors.
    pub fn name(&self) -> BlockName {
        BlockName { kind: self.kind, key: self.key(), data_off: self.data_off() }
    }
}

impl Default for Blockref {
    fn default() -> Self {
        Self::EMPTY
    }
}

impl fmt::Debug for Blockref {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Blockref")
            .field("kind", &self.kind)
            .field("methods", &self.methods)
            .field("key", &self.key())
            .field("keybits", &self.keybits)
            .field("data_off", &self.data_off())
            .field("mirror_tid", &self.mirror_tid())
            .field("modify_tid", &self.modify_tid())
            .finish_non_exhaustive()
    }
}

/// A block as errors name it: type, key and place.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct BlockName {
    /// The type code; 0 when only the place is known.
    pub kind: u8,
    /// The key.
    pub key: Key,
    /// The place and size.
    pub data_off: DataOff,
}

impl BlockName {
    /// The volume header: no blockref leads to it.
    pub const HEADER: Self = Self { kind: 0, key: Key(0), data_off: DataOff::NONE };

    /// The root of the freemap, in the volume header.
    pub const FREEMAP_ROOT: Self = Self { kind: BlockKind::FreemapNode as u8, ..Self::HEADER };

    /// Names whatever is written at a place.
    pub const fn at(place: MediaOffset) -> Self {
        Self { data_off: DataOff(place.0), ..Self::HEADER }
    }
}

impl fmt::Display for BlockName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.kind == 0 {
            return match self.data_off {
                DataOff::NONE => f.write_str("volume header"),
                DataOff(place) => write!(f, "block at {place:#x}"),
            };
        }
        match BlockKind::from_code(self.kind) {
            Ok(kind) => write!(f, "{kind}")?,
            Err(_) => write!(f, "type {}", self.kind)?,
        }
        if self.data_off == DataOff::NONE {
            return write!(f, " without a block (key {})", self.key);
        }
        write!(f, " block {} (key {})", self.data_off, self.key)
    }
}

impl fmt::Debug for BlockName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BlockName({self})")
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use std::format;

    use super::*;

    #[test]
    fn names_say_what_is_known() {
        assert_eq!(format!("{}", BlockName::HEADER), "volume header");
        assert_eq!(format!("{}", BlockName::FREEMAP_ROOT), "freemap node without a block (key 0x0)");
        assert_eq!(format!("{}", BlockName::at(MediaOffset(0x40_0000))), "block at 0x400000");
        let methods = Methods::new(CheckMethod::None, Compression::None);
        let mut bref = Blockref::new(BlockKind::Data, Key(0x1_0000), KeyBits(16), methods);
        bref.set_data_off(DataOff(0x80_000e));
        assert_eq!(format!("{}", bref.name()), "data block 0x800000/14 (key 0x10000)");
    }

    #[test]
    fn spans() {
        let bref = |key, keybits| Blockref::new(BlockKind::Data, Key(key), KeyBits(keybits), Methods(0));
        assert_eq!(bref(0, 0).span(), Ok(KeyRange::only(Key(0))));
        assert_eq!(bref(0x10000, 16).span(), Ok(KeyRange { first: Key(0x10000), last: Key(0x1ffff) }));
        assert_eq!(bref(1 << 63, 63).span(), Ok(KeyRange::VISIBLE));
        for (key, keybits) in [(0x8000, 16), (0, 64), (0, 255), (1, 63)] {
            assert_eq!(bref(key, keybits).span(), Err(Corruption::KeySpan { key: Key(key), keybits }));
        }
    }

    #[test]
    fn stats_and_verify() {
        let mut bref =
            Blockref::new(BlockKind::Inode, Key(1), KeyBits(0), Methods::new(CheckMethod::XxHash64, Compression::None));
        let stats = BlockStats { data_bytes: 0x1234_5678_9abc, inodes: 7 };
        bref.set_stats(stats);
        assert_eq!(bref.stats(), stats);
        assert_eq!(bref.verify(&[0; 1024]), Err(Corruption::Check(CheckMethod::XxHash64)));
        bref.check = CheckMethod::XxHash64.compute(&[0; 1024]);
        assert_eq!(bref.verify(&[0; 1024]), Ok(()));
    }
}
