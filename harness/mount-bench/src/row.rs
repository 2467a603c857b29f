//! The rows of measurements.

/// A piece of work that is done on each mount and measured by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Row {
    SequentialWrite,
    SequentialRead,
    WarmRead,
    RandomRead,
    RandomWrite,
    Fsync,
    Create,
    Stat,
    WarmStat,
    ReadDir,
    Unlink,
    Untar,
}

impl Row {
    /// All rows, in the order of JSON objects, which have those that were measured.
    pub(crate) const ALL: [Self; 12] = [
        Self::SequentialWrite,
        Self::SequentialRead,
        Self::WarmRead,
        Self::RandomRead,
        Self::RandomWrite,
        Self::Fsync,
        Self::Create,
        Self::Stat,
        Self::WarmStat,
        Self::Unlink,
        Self::ReadDir,
        Self::Untar,
    ];

    /// Its name in a table.
    pub(crate) fn words(self) -> &'static str {
        match self {
            Self::SequentialWrite => "sequential write",
            Self::SequentialRead => "sequential cold read",
            Self::WarmRead => "warm 4 KiB read",
            Self::RandomRead => "random 4 KiB read",
            Self::RandomWrite => "random 4 KiB write",
            Self::Fsync => "write 4 KiB + fsync",
            Self::Create => "create",
            Self::Stat => "stat",
            Self::WarmStat => "warm stat",
            Self::ReadDir => "readdir",
            Self::Unlink => "unlink",
            Self::Untar => "untar",
        }
    }

    /// Its name in JSON.
    pub(crate) fn key(self) -> &'static str {
        match self {
            Self::SequentialWrite => "seq_write",
            Self::SequentialRead => "seq_read",
            Self::WarmRead => "warm_read",
            Self::RandomRead => "random_read",
            Self::RandomWrite => "random_write",
            Self::Fsync => "fsync",
            Self::Create => "create",
            Self::Stat => "stat",
            Self::WarmStat => "warm_stat",
            Self::ReadDir => "readdir",
            Self::Unlink => "unlink",
            Self::Untar => "untar",
        }
    }

    /// True for a row after which something is left to be written to the disks.
    pub(crate) fn is_change(self) -> bool {
        match self {
            Self::SequentialWrite | Self::RandomWrite | Self::Fsync | Self::Create | Self::Unlink | Self::Untar => true,
            Self::SequentialRead | Self::WarmRead | Self::RandomRead | Self::Stat | Self::WarmStat | Self::ReadDir => {
                false
            }
        }
    }
}
