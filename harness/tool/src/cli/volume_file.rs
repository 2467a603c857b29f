//! Deciding which files of the host can be volumes: block devices, and files that hold a volume of HAMMER2, or nothing yet.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

use hammer2_core::io::SECTOR_BYTES;
use hammer2_core::media::geometry::{HEADER_COPIES, HEADER_TWINS, VOLUME_ALIGN_BYTES, header_offset, twin_offset};
use hammer2_core::media::{is_zero, volume_header};
use hammer2_host::unsynced;
use rustix::fs::FileType;

/// True for a file that can be a volume. A file that can't be read couldn't be used as one.
pub(super) fn can_be_volume(path: &Path) -> bool {
    match unsynced::kind(path) {
        Some(FileType::BlockDevice) => true,
        Some(FileType::RegularFile) => File::open(path).is_ok_and(|file| is_free_or_ours(&file)),
        _ => false,
    }
}

/// True for a device, and for a file that holds a volume.
pub(super) fn holds_volume(path: &Path) -> bool {
    match unsynced::kind(path) {
        Some(FileType::BlockDevice) => true,
        Some(FileType::RegularFile) => File::open(path).is_ok_and(|file| has_header(&file)),
        _ => false,
    }
}

/// True for a file of enough bytes for a volume that holds one, or nothing.
fn is_free_or_ours(file: &File) -> bool {
    let is_large_enough = file.metadata().is_ok_and(|facts| facts.len() >= VOLUME_ALIGN_BYTES);
    is_large_enough && (is_blank(file) || has_header(file))
}

/// True when nothing was written where a volume begins.
fn is_blank(file: &File) -> bool {
    let mut sector = [0; SECTOR_BYTES as usize];
    file.read_exact_at(&mut sector, 0).is_ok() && is_zero(&sector)
}

/// True when any copy of a volume's header has its magic number, however damaged the rest is.
fn has_header(file: &File) -> bool {
    let places = (0..HEADER_COPIES).map(header_offset).chain((0..HEADER_TWINS).map(twin_offset));
    { places }.any(|offset| {
        let mut magic = [0; 8];
        file.read_exact_at(&mut magic, offset).is_ok() && u64::from_le_bytes(magic) == volume_header::MAGIC
    })
}
