//! The volume header, 64 KiB in slot 0 of every 2 GiB (format 1.3).

use static_assertions::const_assert_eq;
use zerocopy::little_endian::{U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

pub use super::block_array::{Blockset, SET_ENTRIES};
use super::check::crc32c;
use super::corruption::HeaderCrc;
use super::geometry::{
    HEADER_COPIES, INNER_VOLUME_ALIGN_BYTES, MAX_TOTAL_BYTES, MAX_VOLUMES, VOLUME_ALIGN_BYTES, allocator_size,
};
use super::record_table::RecordTable;
use super::{BlockKind, Blockref, Corruption, MediaOffset, MirrorTid, Uuid};

/// Bytes of a volume header.
pub const VOLUME_HEADER_BYTES: usize = 65536;
/// The first eight bytes of a volume.
pub const MAGIC: u64 = 0x4841_4d32_0517_2011;
/// The magic as written by a machine of the other byte order.
pub const MAGIC_SWAPPED: u64 = MAGIC.swap_bytes();
/// The code of the volume's maker that newfs writes.
pub const PEER_HAMMER2: u8 = 3;

/// A volume header as it is on media.
#[derive(Clone, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct VolumeHeader {
    magic: U64,
    boot_beg: U64,
    boot_end: U64,
    aux_beg: U64,
    aux_end: U64,
    volu_size: U64,
    version: U32,
    flags: U32,
    copyid: u8,
    freemap_version: u8,
    /// The maker of the volume.
    pub peer_type: u8,
    /// The volume's number in its set.
    pub volu_id: u8,
    /// Volumes of the set; 0 in version 1.
    pub nvolumes: u8,
    reserved_3d: [u8; 3],
    /// The id of the filesystem, the same on all its volumes.
    pub fsid: Uuid,
    /// [`Uuid::HAMMER2`].
    pub fstype: Uuid,
    allocator_size: U64,
    allocator_free: U64,
    allocator_beg: U64,
    mirror_tid: U64,
    reserved_80: [u8; 16],
    freemap_tid: U64,
    bulkfree_tid: U64,
    reserved_a0: [u8; 32],
    total_size: U64,
    copyexists: [u8; 32],
    reserved_e8: [u8; 248],
    icrc_sects: [U32; 8],
    /// Leads to the super-root.
    pub sroot_blockset: Blockset,
    reserved_400: [u8; 1024],
    /// Leads to the freemap.
    pub freemap_blockset: Blockset,
    reserved_a00: [u8; 1024],
    volu_loff: [U64; MAX_VOLUMES],
    /// The cluster records, in the place of an old array of the format that was never used.
    pub cluster_records: RecordTable,
    reserved_9000: [u8; 28668],
    icrc_volheader: U32,
}

const_assert_eq!(size_of::<VolumeHeader>(), VOLUME_HEADER_BYTES);
const_assert_eq!(core::mem::offset_of!(VolumeHeader, volu_size), 0x28);
const_assert_eq!(core::mem::offset_of!(VolumeHeader, fsid), 0x40);
const_assert_eq!(core::mem::offset_of!(VolumeHeader, allocator_size), 0x60);
const_assert_eq!(core::mem::offset_of!(VolumeHeader, freemap_tid), 0x90);
const_assert_eq!(core::mem::offset_of!(VolumeHeader, total_size), 0xc0);
const_assert_eq!(core::mem::offset_of!(VolumeHeader, icrc_sects), SECTOR_CRCS);
const_assert_eq!(core::mem::offset_of!(VolumeHeader, sroot_blockset), SROOT_BLOCKSET);
const_assert_eq!(core::mem::offset_of!(VolumeHeader, freemap_blockset), 0x800);
const_assert_eq!(core::mem::offset_of!(VolumeHeader, volu_loff), 0xe00);
const_assert_eq!(core::mem::offset_of!(VolumeHeader, cluster_records), 0x1000);
const_assert_eq!(core::mem::offset_of!(VolumeHeader, icrc_volheader), WHOLE_CRC);

const SECTOR_CRCS: usize = 0x1e0;
const SROOT_BLOCKSET: usize = 0x200;
const SECTOR_BYTES: usize = 0x200;
const CRC_SROOT: usize = 6;
const CRC_SECTOR0: usize = 7;
const CRC_SECTOR0_END: usize = SECTOR_CRCS + 4 * CRC_SECTOR0;
const WHOLE_CRC: usize = 0xfffc;
/// In `volu_loff`: the volume doesn't exist.
const NO_VOLUME: u64 = u64::MAX;

/// The format of a volume set: the two versions differ only in how the header names the volumes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u32)]
pub enum VolumeVersion {
    /// One volume.
    V1 = 1,
    /// One volume or more.
    V2 = 2,
}

macro_rules! fields {
    ($($(#[$doc:meta])* $field:ident, $set:ident: $type:ty = $wrap:expr, $unwrap:expr;)*) => {
        $(
            $(#[$doc])*
            pub fn $field(&self) -> $type {
                ($wrap)(self.$field.get())
            }

            #[doc = concat!("Sets `", stringify!($field), "`.")]
            pub fn $set(&mut self, value: $type) {
                self.$field = U64::new(($unwrap)(value));
            }
        )*
    };
}

/// A damaged header that claims to be newer by more flushes than this is garbage.
const MOST_FLUSHES_LOST: u64 = 1 << 32;

impl VolumeHeader {
    fields! {
        /// Start of the boot area.
        boot_beg, set_boot_beg: MediaOffset = MediaOffset, |offset: MediaOffset| offset.0;
        /// End of the boot area.
        boot_end, set_boot_end: MediaOffset = MediaOffset, |offset: MediaOffset| offset.0;
        /// Start of the aux area.
        aux_beg, set_aux_beg: MediaOffset = MediaOffset, |offset: MediaOffset| offset.0;
        /// End of the aux area.
        aux_end, set_aux_end: MediaOffset = MediaOffset, |offset: MediaOffset| offset.0;
        /// Bytes of this volume.
        volu_size, set_volu_size: u64 = |bytes| bytes, |bytes| bytes;
        /// Capacity for statistics, in bytes.
        allocator_size, set_allocator_size: u64 = |bytes| bytes, |bytes| bytes;
        /// Bytes not allocated, in units of 16 KiB.
        allocator_free, set_allocator_free: u64 = |bytes| bytes, |bytes| bytes;
        /// The first byte that newfs didn't use.
        allocator_beg, set_allocator_beg: MediaOffset = MediaOffset, |offset: MediaOffset| offset.0;
        /// The last complete flush.
        mirror_tid, set_mirror_tid: MirrorTid = MirrorTid, |tid: MirrorTid| tid.0;
        /// The last flush that included the freemap.
        freemap_tid, set_freemap_tid: MirrorTid = MirrorTid, |tid: MirrorTid| tid.0;
        /// Bytes of all volumes; 0 in version 1.
        total_size, set_total_size: u64 = |bytes| bytes, |bytes| bytes;
    }

    /// Makes all-zero bytes a header of `version` without volumes, areas or blocks.
    pub fn initialize(&mut self, version: VolumeVersion) {
        self.magic = U64::new(MAGIC);
        self.version = U32::new(version as u32);
        self.peer_type = PEER_HAMMER2;
        self.fstype = Uuid::HAMMER2;
    }

    /// The format of the volume.
    pub fn version(&self) -> Result<VolumeVersion, Corruption> {
        match self.version.get() {
            1 => Ok(VolumeVersion::V1),
            2 => Ok(VolumeVersion::V2),
            other => Err(Corruption::Version(other)),
        }
    }

    /// The start of volume `index`; none if the volume doesn't exist.
    pub fn volume_base(&self, index: usize) -> Option<MediaOffset> {
        let base = self.volu_loff.get(index)?.get();
        (base != NO_VOLUME).then_some(MediaOffset(base))
    }

    /// Sets the starts of the volumes of a set (version 2; version 1 leaves the table zero).
    pub fn set_volume_bases(&mut self, bases: &[MediaOffset]) {
        self.volu_loff = core::array::from_fn(|i| U64::new(bases.get(i).map_or(NO_VOLUME, |base| base.0)));
    }

    /// Sets the header's number, in the blockref of the super-root too. Only this makes every torn header detectable: the first
    /// sector ends in its own check code, so the code of the whole header doesn't depend on it, and only the super-root's code,
    /// which is in that sector, ties it to the rest. Two headers must never have the same number.
    pub fn set_tids(&mut self, tid: MirrorTid) {
        self.set_mirror_tid(tid);
        self.set_freemap_tid(tid);
        for entry in self.sroot_blockset.iter_mut().filter(|entry| !entry.is_empty()) {
            entry.set_mirror_tid(tid);
        }
    }

    /// Sets the three check codes, each covering those before it.
    pub fn seal(&mut self) {
        self.icrc_sects[CRC_SROOT] = U32::new(self.super_root_crc());
        self.icrc_sects[CRC_SECTOR0] = U32::new(crc32c(&self.as_bytes()[..CRC_SECTOR0_END]));
        self.icrc_volheader = U32::new(crc32c(&self.as_bytes()[..WHOLE_CRC]));
    }

    fn super_root_crc(&self) -> u32 {
        crc32c(&self.as_bytes()[SROOT_BLOCKSET..][..SECTOR_BYTES])
    }

    fn crcs(&self) -> Crcs {
        let bytes = self.as_bytes();
        Crcs {
            sroot: self.super_root_crc(),
            sector0: crc32c(&bytes[..CRC_SECTOR0_END]),
            whole: crc32c(&bytes[..WHOLE_CRC]),
        }
    }

    /// Checks magic, check codes and type, so that it is an undamaged header. Before this, its fields mean nothing.
    pub fn check_identity(&self) -> Result<(), Corruption> {
        match self.magic.get() {
            MAGIC => {}
            MAGIC_SWAPPED => return Err(Corruption::ForeignEndian),
            _ => return Err(Corruption::NoHeader),
        }
        let crcs = self.crcs();
        for (stored, computed, which) in [
            (self.icrc_sects[CRC_SROOT], crcs.sroot, HeaderCrc::SuperRoot),
            (self.icrc_sects[CRC_SECTOR0], crcs.sector0, HeaderCrc::Sector0),
            (self.icrc_volheader, crcs.whole, HeaderCrc::Whole),
        ] {
            if stored.get() != computed {
                return Err(Corruption::HeaderCheck(which));
            }
        }
        if self.fstype != Uuid::HAMMER2 {
            return Err(Corruption::FsType);
        }
        self.version().map(drop)
    }

    /// The newest flush that is mentioned in a part of this header which can be believed by itself, however damaged the rest is:
    /// the first sector, which has its own check code, and the blockrefs of the two sets.
    pub fn newest_trace(&self) -> Option<MirrorTid> {
        let of_kinds = |set: &Blockset, kinds: [BlockKind; 2]| {
            let is_one = |entry: &&Blockref| entry.kind().is_ok_and(|kind| kinds.contains(&kind));
            set.iter().filter(is_one).map(Blockref::mirror_tid).max()
        };
        let first = Self::tid_of_first_sector(self.as_bytes());
        let super_root = of_kinds(&self.sroot_blockset, [BlockKind::Inode, BlockKind::Indirect]);
        let freemap = of_kinds(&self.freemap_blockset, [BlockKind::FreemapNode, BlockKind::FreemapLeaf]);
        first.max(super_root).max(freemap)
    }

    /// The flush that was lost, if damaged headers with this [trace](Self::newest_trace) were newer than the newest whole header.
    pub fn lost_flush(trace: Option<MirrorTid>, newest: MirrorTid) -> Option<MirrorTid> {
        let newer = newest.0.saturating_add(1)..=newest.0.saturating_add(MOST_FLUSHES_LOST);
        trace.filter(|trace| newer.contains(&trace.0))
    }

    /// The number of the header that begins with this sector; none if it isn't the first sector of a header.
    pub fn tid_of_first_sector(sector: &[u8]) -> Option<MirrorTid> {
        let word = |offset: usize| sector.get(offset..offset + 8)?.first_chunk().copied().map(u64::from_le_bytes);
        let code = sector.get(CRC_SECTOR0_END..CRC_SECTOR0_END + 4)?.first_chunk().copied().map(u32::from_le_bytes)?;
        let is_header = word(0)? == MAGIC && code == crc32c(&sector[..CRC_SECTOR0_END]);
        is_header.then(|| word(core::mem::offset_of!(Self, mirror_tid)).map(MirrorTid)).flatten()
    }

    /// Checks the fields of a header with good identity, on a device of `device_bytes` bytes (format 1.3 to 1.5).
    pub fn check_fields(&self, device_bytes: u64) -> Result<(), Corruption> {
        let require = |good: bool, field| if good { Ok(()) } else { Err(Corruption::HeaderField(field)) };
        let size = self.volu_size();
        require(size > 0 && size.is_multiple_of(VOLUME_ALIGN_BYTES), "volu_size")?;
        require(size <= device_bytes && size <= MAX_TOTAL_BYTES, "volu_size (larger than the device)")?;
        match self.version()? {
            VolumeVersion::V1 => {
                require(self.nvolumes == 0, "nvolumes")?;
                require(self.volu_id == 0, "volu_id")?;
                require(self.total_size() == 0, "total_size")?;
                require(self.volu_loff.iter().all(|base| base.get() == 0), "volu_loff")?;
            }
            VolumeVersion::V2 => self.check_volume_table(&require)?,
        }
        if self.volu_id != 0 {
            return Ok(());
        }
        let areas = [self.boot_beg(), self.boot_end(), self.aux_beg(), self.aux_end(), self.allocator_beg()];
        require(areas.is_sorted() && areas[4].0 <= size, "boot, aux and allocator areas")
    }

    fn check_volume_table(
        &self,
        require: &impl Fn(bool, &'static str) -> Result<(), Corruption>,
    ) -> Result<(), Corruption> {
        let volumes = usize::from(self.nvolumes);
        require((1..=MAX_VOLUMES).contains(&volumes), "nvolumes")?;
        require(usize::from(self.volu_id) < volumes, "volu_id")?;
        let total = self.total_size();
        require(total <= MAX_TOTAL_BYTES && total.is_multiple_of(VOLUME_ALIGN_BYTES), "total_size")?;
        let mut end = 0;
        for index in 0..MAX_VOLUMES {
            match self.volume_base(index) {
                Some(MediaOffset(base)) if index < volumes => {
                    let grows = if index == 0 { base == 0 } else { base > end };
                    require(grows && base.is_multiple_of(INNER_VOLUME_ALIGN_BYTES) && base < total, "volu_loff")?;
                    end = base;
                }
                other => require(other.is_none() && index >= volumes, "volu_loff")?,
            }
        }
        let id = usize::from(self.volu_id);
        let base = self.volume_base(id).map_or(0, |base| base.0);
        let next = self.volume_base(id + 1).map_or(total, |next| next.0);
        require(next - base == self.volu_size(), "volu_size (not what the volume table says)")
    }

    /// Bytes of the whole filesystem, in either version.
    pub fn filesystem_bytes(&self) -> u64 {
        if self.nvolumes == 0 { self.volu_size() } else { self.total_size() }
    }

    /// The number of volumes of the filesystem, in either version.
    pub fn volume_count(&self) -> usize {
        usize::from(self.nvolumes.max(1))
    }

    /// Makes the volume larger; the filesystem then has `total_bytes` bytes.
    pub fn grow(&mut self, volume_bytes: u64, total_bytes: u64) {
        self.set_volu_size(volume_bytes);
        if self.nvolumes != 0 {
            self.set_total_size(total_bytes);
        }
    }

    /// The capacity that follows from the sizes, for `allocator_size`. None for sizes that leave nothing.
    pub fn capacity(&self) -> Option<u64> {
        self.capacity_of(self.filesystem_bytes())
    }

    /// The capacity of the filesystem of which this is the root's header, once it has `total_bytes` bytes.
    pub fn capacity_of(&self, total_bytes: u64) -> Option<u64> {
        let bytes = |from: MediaOffset, to: MediaOffset| to.0.saturating_sub(from.0);
        let boot = bytes(self.boot_beg(), self.boot_end());
        let aux = bytes(self.aux_beg(), self.aux_end());
        allocator_size(total_bytes, boot, aux)
    }

    /// Sets the figures of space to what follows from the sizes, with `free_bytes` free as far as is known. The growfs of other
    /// systems counts reserved space as capacity (format 6.6).
    pub fn set_space(&mut self, free_bytes: u64) {
        let capacity = self.capacity().unwrap_or(self.allocator_size());
        self.set_allocator_size(capacity);
        self.set_allocator_free(free_bytes.min(capacity));
    }

    /// The header copy to be written after copy `last` (format 7.4).
    pub fn next_copy(&self, last: usize) -> usize {
        let next = (last + 1) % HEADER_COPIES;
        if next < super::geometry::header_copies(self.volu_size()) { next } else { 0 }
    }
}

struct Crcs {
    sroot: u32,
    sector0: u32,
    whole: u32,
}

#[cfg(test)]
mod tests {
    extern crate std;

    use super::*;
    use std::boxed::Box;
    use zerocopy::FromZeros;

    fn header() -> Box<VolumeHeader> {
        let mut header = Box::new(VolumeHeader::new_zeroed());
        header.initialize(VolumeVersion::V2);
        header.nvolumes = 2;
        header.set_volu_size(1 << 30);
        header.set_total_size((1 << 30) + (64 << 20));
        header.set_volume_bases(&[MediaOffset(0), MediaOffset(1 << 30)]);
        header.seal();
        header
    }

    #[test]
    fn a_sealed_header_is_good_and_any_bit_matters() {
        let mut header = header();
        assert_eq!(header.check_identity(), Ok(()));
        assert_eq!(header.check_fields(1 << 30), Ok(()));
        for at in [0x38, 0x78, 0x1fb, 0x210, 0x850, 0xe00, 0x9000, 0xfffb, 0xffff] {
            header.as_mut_bytes()[at] ^= 0x40;
            assert!(header.check_identity().is_err(), "{at:#x}");
            header.as_mut_bytes()[at] ^= 0x40;
        }
    }

    #[test]
    fn fields_that_contradict() {
        type Damage = fn(&mut VolumeHeader);
        let cases: [(&str, Damage); 8] = [
            ("larger than the device", |h| h.set_volu_size(2 << 30)),
            ("no size", |h| h.set_volu_size(0)),
            ("odd size", |h| h.set_volu_size(1 << 20)),
            ("no volumes", |h| h.nvolumes = 0),
            ("too many volumes", |h| h.nvolumes = 65),
            ("id", |h| h.volu_id = 2),
            ("total", |h| h.set_total_size(1 << 30)),
            ("areas", |h| h.set_boot_beg(MediaOffset(1))),
        ];
        for (what, break_it) in cases {
            let mut header = header();
            break_it(&mut header);
            assert!(matches!(header.check_fields(1 << 30), Err(Corruption::HeaderField(_))), "{what}");
        }
        let mut other = header();
        other.as_mut_bytes()[..8].copy_from_slice(&MAGIC.to_be_bytes());
        assert_eq!(other.check_identity(), Err(Corruption::ForeignEndian));
    }

    #[test]
    fn the_copy_written_next() {
        let mut header = header();
        for (bytes, last, next) in [(1 << 30, 0, 0), (5 << 30, 0, 1), (5 << 30, 2, 0), (8 << 30, 2, 3), (8 << 30, 3, 0)]
        {
            header.set_volu_size(bytes);
            assert_eq!(header.next_copy(last), next, "{bytes:#x} after {last}");
        }
    }
}
