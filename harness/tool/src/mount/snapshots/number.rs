//! Numbers of files in snapshots: a snapshot has the same inode numbers as its origin, but the kernel wants each number once.
//! No inode number of a PFS has the highest bit set, as keys with it belong to names. Below it are 15 bits for the snapshot, and
//! 48 for the file.

use fuser::{Errno, INodeNo};
use hammer2_core::media::{Inum, Key};

/// The bits of a file within its snapshot.
const FILE_BITS: u32 = 48;

/// The highest number of a snapshot.
pub(super) const MOST: u16 = (1 << (63 - FILE_BITS)) - 1;

/// The place of a file in a snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::mount) enum KeptPlace {
    /// The folder of all snapshots.
    Folder,
    /// In the snapshot of this number.
    Within(u16, Inum),
}

/// True for files in a snapshot, and for the folder of snapshots, which can't be changed.
pub(in crate::mount) fn is_kept(number: INodeNo) -> bool {
    KeptPlace::of(Inum(number.0)).is_some()
}

impl KeptPlace {
    /// The place that a number stands for; none if that isn't in a snapshot.
    pub(in crate::mount) fn of(number: Inum) -> Option<Self> {
        if number.0 & Key::VISIBLE == 0 {
            return None;
        }
        let (snapshot, file) = ((number.0 & !Key::VISIBLE) >> FILE_BITS, number.0 & ((1 << FILE_BITS) - 1));
        // Only 15 bits are left.
        Some(if snapshot == 0 { Self::Folder } else { Self::Within(snapshot as u16, Inum(file)) })
    }

    /// The number of another file in the same snapshot.
    pub(in crate::mount) fn beside(self, file: Inum) -> Result<Inum, Errno> {
        match self {
            Self::Folder => Err(Errno::EINVAL),
            Self::Within(snapshot, _) => Ok(Inum(Self::Within(snapshot, file).number()?.0)),
        }
    }

    /// Its number; an error if the file's own number is too high. Such files can be read in a mount of the snapshot.
    pub(super) fn number(self) -> Result<INodeNo, Errno> {
        match self {
            Self::Folder => Ok(INodeNo(Key::VISIBLE)),
            Self::Within(_, file) if file.0 >> FILE_BITS != 0 => Err(Errno::EOVERFLOW),
            Self::Within(snapshot, file) => Ok(INodeNo(Key::VISIBLE | u64::from(snapshot) << FILE_BITS | file.0)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_place_has_a_number_of_its_own_and_no_file_of_the_mounted_one() {
        let places = [
            KeptPlace::Folder,
            KeptPlace::Within(1, Inum::PFS_ROOT),
            KeptPlace::Within(2, Inum::PFS_ROOT),
            KeptPlace::Within(MOST, Inum((1 << FILE_BITS) - 1)),
        ];
        let mut numbers: Vec<u64> = places.iter().map(|place| place.number().unwrap().0).collect();
        for (place, number) in places.iter().zip(&numbers) {
            assert_eq!(KeptPlace::of(Inum(*number)), Some(*place));
            assert!(Key(*number).is_visible(), "no inode has such a key");
        }
        numbers.sort_unstable();
        numbers.dedup();
        assert_eq!(numbers.len(), places.len());
        assert_eq!(KeptPlace::of(Inum(Key::VISIBLE - 1)), None);
        assert!(KeptPlace::Within(1, Inum(1 << FILE_BITS)).number().is_err());
    }
}
