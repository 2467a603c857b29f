//! Labels of PFSs.

use hammer2_core::media::Timestamp;
use hammer2_core::media::inode::INODE_NAME_BYTES;

/// The length of a timestamp's text up to the second.
const SECOND_LETTERS: usize = "2026-12-31 23:59:59".len();

/// An example of the time in a label.
const DATED: &[u8] = b"20261231.235959";

/// True for a label that a PFS can have, and that can be named on the command line.
pub(crate) fn is_valid(label: &[u8]) -> bool {
    (1..INODE_NAME_BYTES).contains(&label.len()) && !label.iter().any(|byte| matches!(byte, b'/' | b'@' | b':'))
}

/// The default label of a snapshot: that of its origin and the time (UTC), as `HOME.20261231.235959`.
pub(crate) fn dated(origin: &[u8], time: Timestamp) -> Vec<u8> {
    let time = time.to_string();
    let second = time.get(..SECOND_LETTERS).unwrap_or(&time);
    let second = second.replace(['-', ':'], "").replace(' ', ".");
    let room = INODE_NAME_BYTES - 1 - second.len() - 1;
    let origin = &origin[..origin.len().min(room)];
    if origin.is_empty() { second.into_bytes() } else { [origin, b".", second.as_bytes()].concat() }
}

/// The label that a [`dated`] one begins with.
pub(crate) fn origin_of(label: &[u8]) -> &[u8] {
    &label[..label.len().saturating_sub(DATED.len() + 1)]
}

/// Year, month, day, hour, minute and second of a label that [`dated`] has made of this origin; none for any other.
pub(crate) fn date_of(label: &[u8], origin: &[u8]) -> Option<[u16; 6]> {
    let time = label.strip_prefix(origin)?.strip_prefix(b".")?;
    let is_dated = time.len() == DATED.len()
        && time
            .iter()
            .zip(DATED)
            .all(|(byte, shape)| if *shape == b'.' { byte == shape } else { byte.is_ascii_digit() });
    let number = |range: std::ops::Range<usize>| {
        time[range].iter().fold(0u16, |number, digit| number * 10 + u16::from(digit - b'0'))
    };
    is_dated.then(|| [number(0..4), number(4..6), number(6..8), number(9..11), number(11..13), number(13..15)])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dated_label_says_when_and_of_what_and_is_valid() {
        let time = Timestamp { microseconds: 1_234_567_890_123_456 };
        assert_eq!(dated(b"HOME", time), b"HOME.20090213.233130");
        assert_eq!(dated(b"", time), b"20090213.233130");
        assert_eq!(date_of(b"HOME.20090213.233130", b"HOME"), Some([2009, 2, 13, 23, 31, 30]));
        assert_eq!(date_of(b"HOME.20090213.233130", b"WORK"), None);
        let longest = dated(&[b'x'; INODE_NAME_BYTES - 1], time);
        assert!(is_valid(&longest) && longest.ends_with(b".20090213.233130"));
    }
}
