//! The type of a file (format 3.4), which inodes, directory entries and errors name.

/// The type of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum FileKind {
    /// A directory.
    Directory = 1,
    /// A regular file.
    Regular = 2,
    /// A named pipe.
    Fifo = 4,
    /// A character device.
    CharDevice = 5,
    /// A block device.
    BlockDevice = 6,
    /// A symbolic link.
    Symlink = 7,
    /// A socket.
    Socket = 9,
    /// A whiteout.
    Whiteout = 10,
}
