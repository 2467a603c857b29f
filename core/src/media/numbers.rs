//! The format's numbers, each with a type of its own, so that a key is never taken for an offset or a transaction id.

use core::fmt;

use super::geometry::{MAX_RADIX, MIN_RADIX};

macro_rules! hex_number {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub u64);

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({:#x})"), self.0)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:#x}", self.0)
            }
        }
    };
}

hex_number! {
    /// A position in a topology: a file offset, an inode number or a directory hash, depending on the kind of block.
    Key
}
hex_number! {
    /// A byte offset in the filesystem's flat address space, in which all volumes are laid end to end (format 1.2).
    MediaOffset
}
hex_number! {
    /// The device's flush that last wrote a block (format 7.1).
    MirrorTid
}
hex_number! {
    /// The operation on the PFS that last changed a block or anything below it (format 7.1).
    ModifyTid
}
hex_number! {
    /// An inode number (format 3.6).
    Inum
}

impl Inum {
    /// The super-root's inode.
    pub const SUPER_ROOT: Self = Self(0);
    /// The root inode of every PFS.
    pub const PFS_ROOT: Self = Self(1);
    /// The first number given to a new inode.
    pub const FIRST_DYNAMIC: Self = Self(0x400);

    /// The key under which the inode index of its PFS holds the inode.
    pub const fn key(self) -> Key {
        Key(self.0)
    }
}

impl Key {
    /// The greatest key.
    pub const MAX: Self = Self(u64::MAX);
    /// Set in the keys of directory entries, clear in those of the inode index (format 3.2).
    pub const VISIBLE: u64 = 1 << 63;

    /// True for the keys of directory entries.
    pub const fn is_visible(self) -> bool {
        self.0 & Self::VISIBLE != 0
    }
}

/// Keys from `first` to `last`, both included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyRange {
    /// The lowest key.
    pub first: Key,
    /// The greatest key.
    pub last: Key,
}

impl KeyRange {
    /// All keys.
    pub const ALL: Self = Self { first: Key(0), last: Key::MAX };
    /// The inode index of a PFS root.
    pub const INODE_INDEX: Self = Self { first: Key(0), last: Key(Key::VISIBLE - 1) };
    /// Directory entries.
    pub const VISIBLE: Self = Self { first: Key(Key::VISIBLE), last: Key::MAX };

    /// The range of one key.
    pub const fn only(key: Key) -> Self {
        Self { first: key, last: key }
    }

    /// The aligned range of `keybits` bits that contains a key; none if there is no such range.
    pub fn around(key: Key, keybits: KeyBits) -> Option<Self> {
        let below = 1u64.checked_shl(keybits.0.into())?.wrapping_sub(1);
        Some(Self { first: Key(key.0 & !below), last: Key(key.0 | below) })
    }

    /// True when `other` lies within `self`.
    pub fn contains(&self, other: KeyRange) -> bool {
        self.first <= other.first && other.last <= self.last
    }

    /// The part of the range above `key`; none when there is none.
    pub fn above(&self, key: Key) -> Option<Self> {
        let first = Key(key.0.checked_add(1)?);
        (first <= self.last).then_some(Self { first: first.max(self.first), last: self.last })
    }
}

/// The width of a key span as a power of two; at most 63 on media.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyBits(pub u8);

/// A block size as a power of two: 1 KiB to 64 KiB (format 1.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Radix(pub(super) u8);

impl Radix {
    /// 1 KiB.
    pub const MIN: Self = Self(MIN_RADIX);
    /// 64 KiB.
    pub const MAX: Self = Self(MAX_RADIX);
    /// 4 KiB, the smallest indirect block.
    pub const MIN_INDIRECT: Self = Self(12);
    /// 16 KiB, the usual indirect block.
    pub const INDIRECT: Self = Self(14);

    /// The smallest block that holds `bytes`, or none if no block does.
    pub fn holding(bytes: usize) -> Option<Self> {
        let radix = bytes.max(1).next_power_of_two().trailing_zeros() as u8;
        (radix <= MAX_RADIX).then_some(Self(radix.max(MIN_RADIX)))
    }

    /// The exponent.
    pub const fn value(self) -> u8 {
        self.0
    }

    /// The size in bytes.
    pub const fn bytes(self) -> usize {
        1 << self.0
    }
}

/// A block's place and size as a blockref stores it: the offset with the radix in its low six bits; a radix of 0 is no block.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DataOff(pub u64);

impl DataOff {
    /// No block.
    pub const NONE: Self = Self(0);
    const RADIX_MASK: u64 = 0x3f;

    /// The block of size `radix` at `offset`.
    pub const fn new(offset: MediaOffset, radix: Radix) -> Self {
        Self(offset.0 | radix.0 as u64)
    }

    /// Where the block starts.
    pub const fn offset(self) -> MediaOffset {
        MediaOffset(self.0 & !Self::RADIX_MASK)
    }

    /// The bits of the radix, whether or not they are a valid one.
    pub(super) const fn radix_bits(self) -> u8 {
        (self.0 & Self::RADIX_MASK) as u8
    }
}

impl fmt::Debug for DataOff {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DataOff({:#x})", self.0)
    }
}

impl fmt::Display for DataOff {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}/{}", self.0 & !Self::RADIX_MASK, self.0 & Self::RADIX_MASK)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn radix_of_sizes() {
        for (bytes, radix) in [(0, 10), (1, 10), (1024, 10), (1025, 11), (4096, 12), (65535, 16), (65536, 16)] {
            assert_eq!(Radix::holding(bytes).map(Radix::value), Some(radix), "{bytes}");
        }
        assert_eq!(Radix::holding(65537), None);
    }

    #[test]
    fn data_off_keeps_place_and_size_apart() {
        let off = DataOff(0x0440_080a);
        assert_eq!(off.offset(), MediaOffset(0x0440_0800));
        assert_eq!(off.radix_bits(), 10);
    }

    #[test]
    fn what_remains_of_a_range() {
        assert_eq!(KeyRange::ALL.above(Key::MAX), None);
        assert_eq!(KeyRange::only(Key(5)).above(Key(5)), None);
        assert_eq!(
            KeyRange { first: Key(5), last: Key(9) }.above(Key(2)),
            Some(KeyRange { first: Key(5), last: Key(9) })
        );
        assert_eq!(KeyRange { first: Key(5), last: Key(9) }.above(Key(8)), Some(KeyRange::only(Key(9))));
    }
}
