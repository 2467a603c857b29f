//! Labels of PFSs.

use hammer2_core::media::Timestamp;
use hammer2_core::media::inode::INODE_NAME_BYTES;

/// How much of a timestamp's text says the second.
const SECOND_LETTERS: usize = "2026-12-31 23:59:59".len();

/// True for a label that a PFS can have, and that can be named on the command line.
pub(crate) fn is_valid(label: &[u8]) -> bool {
    (1..INODE_NAME_BYTES).contains(&label.len()) && !label.iter().any(|byte| matches!(byte, b'/' | b'@' | b':'))
}

/// The label of a snapshot that nobody has named: that of its origin and the time (UTC), as `HOME.20261231.235959`.
pub(crate) fn dated(origin: &[u8], time: Timestamp) -> Vec<u8> {
    let time = time.to_string();
    let second = time.get(..SECOND_LETTERS).unwrap_or(&time);
    let second = second.replace(['-', ':'], "").replace(' ', ".");
    let room = INODE_NAME_BYTES - 1 - second.len() - 1;
    let origin = &origin[..origin.len().min(room)];
    if origin.is_empty() { second.into_bytes() } else { [origin, b".", second.as_bytes()].concat() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dated_label_says_when_and_of_what_and_is_valid() {
        let time = Timestamp { microseconds: 1_234_567_890_123_456 };
        assert_eq!(dated(b"HOME", time), b"HOME.20090213.233130");
        assert_eq!(dated(b"", time), b"20090213.233130");
        let longest = dated(&[b'x'; INODE_NAME_BYTES - 1], time);
        assert!(is_valid(&longest) && longest.ends_with(b".20090213.233130"));
    }
}
