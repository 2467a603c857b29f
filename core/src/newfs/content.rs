//! The blocks of an empty filesystem: its first inodes and its headers (format 8.1).

use zerocopy::{FromBytes, IntoBytes};

use super::layout::Layout;
use crate::io::Buffer;
use crate::media::blockref::BlockFlags;
use crate::media::geometry::{MAX_VOLUMES, SLOT_BYTES};
use crate::media::inode::{INODE_BYTES, InodeFlags};
use crate::media::volume_header::{SET_ENTRIES, VOLUME_HEADER_BYTES, VolumeVersion};
use crate::media::{
    BlockKind, Blockref, CheckMethod, Compression, DataOff, FileKind, Inode, Inum, Key, KeyBits, MediaOffset, Methods,
    MirrorTid, PfsKind, Radix, Timestamp, Uuid, VolumeHeader, directory_hash,
};
use crate::memory::{Heap, NoMemory};

/// The number that newfs's writes have as a flush.
const FIRST_TID: MirrorTid = MirrorTid(16);
/// The inode number that a new PFS counts as its last given one.
const FIRST_PFS_INUM: Inum = Inum(16);
/// The value that newfs puts into two unused fields of its blockrefs.
const COPYID: u8 = 255;
const VRADIX: u8 = 10;

/// The contents of the blocks of a new filesystem.
pub(super) struct Content<'a> {
    pub(super) layout: &'a Layout,
    pub(super) labels: &'a [&'a [u8]],
    pub(super) fsid: Uuid,
    pub(super) now: Timestamp,
}

impl Content<'_> {
    /// The buffer that holds the super-root followed by the PFS roots, and the entry for the super-root.
    pub(super) fn inodes(&self, heap: Heap, random: &mut dyn FnMut(&mut [u8])) -> Result<(Buffer, Blockref), NoMemory> {
        let mut buffer = Buffer::new(heap, SLOT_BYTES as usize)?;
        let (super_root_bytes, pfs_bytes) = buffer.bytes_mut().split_at_mut(INODE_BYTES);
        let mut entries: heapless::Vec<Blockref, { super::MAX_LABELS }> = heapless::Vec::new();
        for (index, (label, block)) in self.labels.iter().zip(pfs_bytes.chunks_exact_mut(INODE_BYTES)).enumerate() {
            let key = free_key(label, &entries);
            let inode = self.pfs_root(label, key, random);
            block.copy_from_slice(inode.as_bytes());
            let methods = Methods::new(CheckMethod::XxHash64, Compression::None);
            let mut entry = self.inode_blockref(key, methods, 1 + index, block);
            entry.set_flags(BlockFlags::PFSROOT);
            // There are no more labels than entries.
            let _ = entries.push(entry);
        }
        entries.sort_unstable_by_key(Blockref::key);
        let inode = self.super_root(&entries, random);
        super_root_bytes.copy_from_slice(inode.as_bytes());
        let methods = Methods::new(CheckMethod::XxHash64, Compression::AutoZero);
        let entry = self.inode_blockref(Key(0), methods, 0, super_root_bytes);
        Ok((buffer, entry))
    }

    /// The header of one volume.
    pub(super) fn header(&self, volume: usize, super_root: &Blockref, heap: Heap) -> Result<Buffer, NoMemory> {
        let mut buffer = Buffer::new(heap, VOLUME_HEADER_BYTES)?;
        if let Ok(header) = VolumeHeader::mut_from_bytes(buffer.bytes_mut()) {
            self.fill_header(header, volume, super_root);
        }
        Ok(buffer)
    }

    fn fill_header(&self, header: &mut VolumeHeader, volume: usize, super_root: &Blockref) {
        let layout = self.layout;
        header.initialize(layout.version);
        header.fsid = self.fsid;
        header.volu_id = volume as u8;
        header.set_volu_size(layout.volumes[volume].bytes);
        header.set_allocator_size(layout.allocator_bytes);
        header.set_mirror_tid(FIRST_TID);
        header.set_freemap_tid(FIRST_TID);
        if layout.version == VolumeVersion::V2 {
            header.nvolumes = layout.volumes.len() as u8;
            header.set_total_size(layout.total_bytes);
            let bases: heapless::Vec<MediaOffset, MAX_VOLUMES> =
                layout.volumes.iter().map(|volume| volume.base).collect();
            header.set_volume_bases(&bases);
        }
        if volume == 0 {
            header.set_boot_beg(layout.boot_beg());
            header.set_boot_end(layout.aux_beg());
            header.set_aux_beg(layout.aux_beg());
            header.set_aux_end(layout.inodes_beg());
            header.set_allocator_free(layout.allocator_bytes);
            header.set_allocator_beg(layout.allocator_beg(self.labels.len()));
            header.sroot_blockset[0] = *super_root;
        } else {
            header.sroot_blockset = [Blockref::INVALID; SET_ENTRIES];
        }
        header.seal();
    }

    fn super_root(&self, entries: &[Blockref], random: &mut dyn FnMut(&mut [u8])) -> Inode {
        let mut inode = self.directory(b"SUPROOT", Key(0), Compression::AutoZero, random);
        inode.meta.set_mode(0o700);
        inode.meta.set_inum(Inum::SUPER_ROOT);
        inode.meta.set_nlinks(2);
        inode.meta.set_pfs_kind(PfsKind::SuperRoot);
        inode.body[..size_of_val(entries)].copy_from_slice(entries.as_bytes());
        inode
    }

    fn pfs_root(&self, label: &[u8], key: Key, random: &mut dyn FnMut(&mut [u8])) -> Inode {
        // A boot loader may read the boot PFS, and need not know LZ4.
        let compression = if label.eq_ignore_ascii_case(b"BOOT") { Compression::AutoZero } else { Compression::Lz4 };
        let mut inode = self.directory(label, key, compression, random);
        inode.meta.set_mode(0o755);
        inode.meta.set_inum(Inum::PFS_ROOT);
        inode.meta.set_nlinks(1);
        inode.meta.set_pfs_kind(PfsKind::Master);
        inode.meta.set_flags(InodeFlags::PFSROOT);
        inode.meta.set_pfs_inum(FIRST_PFS_INUM);
        inode
    }

    fn directory(&self, name: &[u8], key: Key, compression: Compression, random: &mut dyn FnMut(&mut [u8])) -> Inode {
        let mut inode = Inode::new(FileKind::Directory);
        let meta = &mut inode.meta;
        meta.set_ctime(self.now);
        meta.set_mtime(self.now);
        meta.set_atime(self.now);
        meta.set_btime(self.now);
        meta.set_name(name);
        meta.set_name_key(key);
        meta.comp_algo = compression as u8;
        meta.check_algo = CheckMethod::XxHash64 as u8;
        meta.pfs_clid = random_uuid(random);
        meta.pfs_fsid = random_uuid(random);
        inode
    }

    /// The entry for the inode at place `index`.
    fn inode_blockref(&self, key: Key, methods: Methods, index: usize, block: &[u8]) -> Blockref {
        let mut entry = Blockref::new(BlockKind::Inode, key, KeyBits(0), methods);
        entry.copyid = COPYID;
        entry.vradix = VRADIX;
        entry.set_mirror_tid(FIRST_TID);
        let place = MediaOffset(self.layout.inodes_beg().0 + (index * INODE_BYTES) as u64);
        entry.set_data_off(DataOff::new(place, Radix::MIN));
        entry.check = CheckMethod::XxHash64.compute(block);
        entry
    }
}

/// The label's hash, or the first key above it that no earlier label with the same hash has.
fn free_key(label: &[u8], entries: &[Blockref]) -> Key {
    let mut key = directory_hash(label).first;
    while entries.iter().any(|entry| entry.key() == key) {
        key.0 += 1;
    }
    key
}

pub(super) fn random_uuid(random: &mut dyn FnMut(&mut [u8])) -> Uuid {
    let mut bytes = [0; 16];
    random(&mut bytes);
    Uuid::random(bytes)
}
