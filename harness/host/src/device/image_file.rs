//! Loads a disk in memory from a file, and saves it into one. Zeros aren't written, so files stay sparse.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use hammer2_core::io::MemoryDisk;
use hammer2_core::memory::Heap;

/// Bytes copied at a time, unless they are zero.
const PIECE_BYTES: usize = 16384;

/// Copies a file whose size is a multiple of 16 KiB into memory.
pub fn load_image(heap: Heap, file: &File) -> io::Result<MemoryDisk> {
    let disk = MemoryDisk::new(heap, file.metadata()?.len());
    let mut piece = vec![0; PIECE_BYTES];
    for offset in (0..disk.size_bytes()).step_by(PIECE_BYTES) {
        file.read_exact_at(&mut piece, offset)?;
        if piece.iter().any(|byte| *byte != 0) {
            disk.write_at(offset, &piece).map_err(io::Error::other)?;
        }
    }
    Ok(disk)
}

/// Copies a disk into an empty file.
pub fn save_image(disk: &MemoryDisk, file: &File) -> io::Result<()> {
    file.set_len(disk.size_bytes())?;
    let mut piece = vec![0; PIECE_BYTES];
    for offset in (0..disk.size_bytes()).step_by(PIECE_BYTES) {
        disk.read_at(offset, &mut piece).map_err(io::Error::other)?;
        if piece.iter().any(|byte| *byte != 0) {
            file.write_all_at(&piece, offset)?;
        }
    }
    Ok(())
}
