//! The content of an image or a device, apart from zeros; and what other programs recognize on it.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::Command;

use rustix::fs::SeekFrom;
use rustix::io::Errno;
use sha2::{Digest, Sha256};

const PIECE_BYTES: usize = 65536;

/// A digest of everything that isn't zero, with its places.
pub(crate) fn digest(path: &Path) -> [u8; 32] {
    let file = File::open(path).unwrap();
    let size = rustix::fs::seek(&file, SeekFrom::End(0)).unwrap();
    let mut digest = Sha256::new();
    digest.update(size.to_le_bytes());
    let (mut piece, mut at) = (vec![0; PIECE_BYTES], 0);
    while at < size {
        // Holes of an image are skipped; a block device has none.
        at = match rustix::fs::seek(&file, SeekFrom::Data(at)) {
            Ok(data) => data / PIECE_BYTES as u64 * PIECE_BYTES as u64,
            Err(Errno::NXIO) => break,
            Err(_) => at,
        };
        let piece = &mut piece[..PIECE_BYTES.min((size - at) as usize)];
        file.read_exact_at(piece, at).unwrap();
        if piece.iter().any(|byte| *byte != 0) {
            digest.update(at.to_le_bytes());
            digest.update(&*piece);
        }
        at += PIECE_BYTES as u64;
    }
    digest.finalize().into()
}

/// The findings of util-linux: kinds, and labels and UUIDs if they are plain text.
pub(crate) fn recognized(path: &Path) -> Vec<String> {
    let output = Command::new("wipefs").args(["--parsable", "--output", "TYPE,UUID,LABEL"]).arg(path).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let said = String::from_utf8(output.stdout).unwrap();
    let words = said.lines().flat_map(|line| line.split(','));
    words.filter(|word| !word.is_empty() && !word.contains('\\')).map(str::to_owned).collect()
}
