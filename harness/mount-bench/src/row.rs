//! What is measured.

/// What is done on each mount and measured by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Row {
    SequentialWrite,
    SequentialRead,
    RandomRead,
    RandomWrite,
    Create,
    Stat,
    ReadDir,
    Unlink,
    Untar,
}

impl Row {
    /// All, in the order of the JSON object.
    pub(crate) const ALL: [Self; 9] = [
        Self::SequentialWrite,
        Self::SequentialRead,
        Self::RandomRead,
        Self::RandomWrite,
        Self::Create,
        Self::Stat,
        Self::Unlink,
        Self::ReadDir,
        Self::Untar,
    ];

    /// What it is called in a table.
    pub(crate) fn words(self) -> &'static str {
        match self {
            Self::SequentialWrite => "sequential write",
            Self::SequentialRead => "sequential cold read",
            Self::RandomRead => "random 4 KiB read",
            Self::RandomWrite => "random 4 KiB write",
            Self::Create => "create",
            Self::Stat => "stat",
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
            Self::RandomRead => "random_read",
            Self::RandomWrite => "random_write",
            Self::Create => "create",
            Self::Stat => "stat",
            Self::ReadDir => "readdir",
            Self::Unlink => "unlink",
            Self::Untar => "untar",
        }
    }
}
