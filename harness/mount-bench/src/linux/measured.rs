//! The cost of a row in the guest, as a line from the guest to the host.

use std::fmt;

use clap::ValueEnum;

use crate::row::Row;

/// The beginning of every line of the guest.
const MARK: &str = "MEASURED";

/// A filesystem that is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub(crate) enum Filesystem {
    /// The module, one disk
    Hammer2,
    /// The module, one disk, nothing compressed
    Plain,
    /// The module, three masters
    #[value(name = "hammer2_3")]
    Masters,
    /// The tool, by FUSE, one disk
    Fuse,
    Ext4,
    Xfs,
    /// btrfs, one disk
    Btrfs,
    /// btrfs, everything on three disks
    Raid1c3,
}

impl Filesystem {
    /// All of them, in the order of tables.
    pub(crate) const ALL: [Self; 8] =
        [Self::Hammer2, Self::Plain, Self::Masters, Self::Fuse, Self::Ext4, Self::Xfs, Self::Btrfs, Self::Raid1c3];

    /// Its name in JSON, and between the guest and the host.
    pub(crate) fn key(self) -> &'static str {
        match self {
            Self::Hammer2 => "hammer2",
            Self::Plain => "plain",
            Self::Masters => "hammer2_3",
            Self::Fuse => "fuse",
            Self::Ext4 => "ext4",
            Self::Xfs => "xfs",
            Self::Btrfs => "btrfs",
            Self::Raid1c3 => "raid1c3",
        }
    }

    /// Its name in a table.
    pub(crate) fn words(self) -> &'static str {
        match self {
            Self::Masters => "3 masters",
            Self::Fuse => "FUSE",
            other => other.key(),
        }
    }
}

/// The requests to the disks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct DiskRequests {
    pub(crate) reads: u64,
    pub(crate) writes: u64,
    pub(crate) flushes: u64,
}

/// The cost of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Measured {
    pub(crate) filesystem: Filesystem,
    pub(crate) row: Row,
    pub(crate) operations: u64,
    /// Processor time of the whole guest, for all operations.
    pub(crate) busy_ns: u64,
    pub(crate) requests: DiskRequests,
}

impl fmt::Display for Measured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { filesystem, row, operations, busy_ns, requests } = self;
        let DiskRequests { reads, writes, flushes } = requests;
        write!(f, "{MARK} {} {} {operations} {busy_ns} {reads} {writes} {flushes}", filesystem.key(), row.key())
    }
}

impl Measured {
    /// Parses a line of the guest's console, if it is such a line.
    pub(crate) fn parse(line: &str) -> Option<Self> {
        let mut words = line.split_whitespace();
        if words.next()? != MARK {
            return None;
        }
        let filesystem = words.next()?;
        let row = words.next()?;
        let numbers: Vec<u64> = words.map_while(|word| word.parse().ok()).collect();
        let [operations, busy_ns, reads, writes, flushes] = numbers.try_into().ok()?;
        Some(Self {
            filesystem: Filesystem::ALL.into_iter().find(|known| known.key() == filesystem)?,
            row: Row::ALL.into_iter().find(|known| known.key() == row)?,
            operations,
            busy_ns,
            requests: DiskRequests { reads, writes, flushes },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_all_that_was_measured() {
        for filesystem in Filesystem::ALL {
            for row in Row::ALL {
                let requests = DiskRequests { reads: 1, writes: 22, flushes: 333 };
                let measured = Measured { filesystem, row, operations: 4, busy_ns: 55, requests };
                assert_eq!(Measured::parse(&format!("{measured}\r")), Some(measured));
            }
        }
    }

    #[test]
    fn other_lines_say_nothing() {
        let lines =
            ["", "guest: the end", "MEASURED", "MEASURED ext4 create 1 2 3 4", "MEASURED ext5 create 1 2 3 4 5"];
        assert!(lines.iter().all(|line| Measured::parse(line).is_none()));
    }

    #[test]
    fn the_guest_is_told_of_filesystems_by_the_names_they_have_here() {
        for filesystem in Filesystem::ALL {
            assert_eq!(filesystem.to_possible_value().unwrap().get_name(), filesystem.key());
        }
    }
}
