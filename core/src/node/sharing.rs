//! Which blocks of a file another is to share.

use super::Slot;
use crate::media::{Key, KeyRange};

/// Which blocks are shared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sharing {
    /// The file that has them.
    pub from: Slot,
    /// Their offsets in it.
    pub range: KeyRange,
    /// The file that gets them. It may be the same, if the offsets are others.
    pub to: Slot,
    /// The offset there of the first.
    pub first: Key,
}

impl Sharing {
    /// Where in the target a key of the source's range comes to lie.
    pub(super) fn target_of(&self, key: Key) -> Key {
        Key(key.0.wrapping_sub(self.range.first.0).wrapping_add(self.first.0))
    }

    /// Where a part of the source's range comes to lie.
    pub(super) fn targets_of(&self, part: KeyRange) -> KeyRange {
        KeyRange { first: self.target_of(part.first), last: self.target_of(part.last) }
    }

    /// The offsets in the target.
    pub fn target(&self) -> KeyRange {
        self.targets_of(self.range)
    }

    /// The part of it that gives the target the blocks at these of its offsets.
    pub fn part(&self, target: KeyRange) -> Self {
        let source_of = |key: Key| Key(key.0.wrapping_sub(self.first.0).wrapping_add(self.range.first.0));
        let range = KeyRange { first: source_of(target.first), last: source_of(target.last) };
        Self { range, first: target.first, ..*self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(first: u64, last: u64) -> KeyRange {
        KeyRange { first: Key(first), last: Key(last) }
    }

    #[test]
    fn parts_of_what_is_shared_lie_where_they_did() {
        let sharing = Sharing { from: Slot(1), range: range(100, 199), to: Slot(2), first: Key(40) };
        assert_eq!(sharing.target(), range(40, 139));
        assert_eq!([100, 150].map(|key| sharing.target_of(Key(key))), [Key(40), Key(90)]);
        let part = sharing.part(range(60, 69));
        assert_eq!((part.range, part.first, part.target()), (range(120, 129), Key(60), range(60, 69)));
        assert_eq!(sharing.part(sharing.target()), sharing);
    }
}
