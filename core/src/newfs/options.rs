//! What the user may choose.

use super::error::{LabelError, NewfsError};
use super::limits::MAX_LABELS;
use crate::media::geometry::MAX_NAME_BYTES;
use crate::media::volume_header::VolumeVersion;

/// The label every filesystem has.
pub const LOCAL: &[u8] = b"LOCAL";
/// The label made when none is given.
pub const DEFAULT_LABEL: &[u8] = b"DATA";

/// How a filesystem shall be made.
#[derive(Clone, Copy, Debug)]
pub struct NewfsOptions<'a> {
    /// The format.
    pub version: VolumeVersion,
    /// The labels to make besides LOCAL; with an empty list, only LOCAL is made.
    pub labels: &'a [&'a [u8]],
    /// Size of the boot area; computed if not given.
    pub boot_bytes: Option<u64>,
    /// Size of the aux area; computed if not given.
    pub aux_bytes: Option<u64>,
    /// How much of the one device to use; all of it if not given.
    pub size_bytes: Option<u64>,
}

impl Default for NewfsOptions<'_> {
    fn default() -> Self {
        Self {
            version: VolumeVersion::V2,
            labels: &[DEFAULT_LABEL],
            boot_bytes: None,
            aux_bytes: None,
            size_bytes: None,
        }
    }
}

impl<'a> NewfsOptions<'a> {
    /// All labels to make, LOCAL first.
    pub(super) fn all_labels(&self) -> Result<heapless::Vec<&'a [u8], MAX_LABELS>, NewfsError> {
        let mut all = heapless::Vec::from_array([LOCAL]);
        for (index, label) in self.labels.iter().enumerate() {
            check_label(label, &all).map_err(|error| NewfsError::Label { index: index + 1, error })?;
            all.push(*label).map_err(|_| NewfsError::TooManyLabels(self.labels.len()))?;
        }
        Ok(all)
    }
}

fn check_label(label: &[u8], before: &[&[u8]]) -> Result<(), LabelError> {
    if label.is_empty() {
        Err(LabelError::Empty)
    } else if label.len() > MAX_NAME_BYTES {
        Err(LabelError::TooLong)
    } else if label.iter().any(|byte| matches!(byte, 0 | b'/')) {
        Err(LabelError::Forbidden)
    } else if before.contains(&label) {
        Err(LabelError::Duplicate)
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_in_order_and_good_ones_only() {
        let all = |labels| NewfsOptions { labels, ..Default::default() }.all_labels();
        assert_eq!(NewfsOptions::default().all_labels().unwrap(), [LOCAL, DEFAULT_LABEL]);
        assert_eq!(all(&[]).unwrap(), [LOCAL]);
        assert_eq!(all(&[b"z", b"a", b"local"]).unwrap(), [LOCAL, b"z", b"a", b"local"]);
        assert_eq!(all(&[b"a", b"b", b"c", b"d"]), Err(NewfsError::TooManyLabels(4)));
        let bad = |index, error| Err(NewfsError::Label { index, error });
        assert_eq!(all(&[b"a", b""]), bad(2, LabelError::Empty));
        assert_eq!(all(&[&[b'x'; 256]]), bad(1, LabelError::TooLong));
        assert_eq!(all(&[b"a/b"]), bad(1, LabelError::Forbidden));
        assert_eq!(all(&[b"a\0"]), bad(1, LabelError::Forbidden));
        assert_eq!(all(&[b"a", b"a"]), bad(2, LabelError::Duplicate));
        assert_eq!(all(&[b"LOCAL"]), bad(1, LabelError::Duplicate));
    }
}
