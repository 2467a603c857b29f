//! The ways to protect a block (format 2.3); [`check`](super::check) computes their codes.

use core::fmt;

/// How a block is protected: the high nibble of a blockref's methods.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum CheckMethod {
    /// Not protected.
    None = 0,
    /// Not protected, and neither is metadata below.
    Disabled = 1,
    /// CRC-32C.
    Iscsi32 = 2,
    /// XXH64; the default.
    XxHash64 = 3,
    /// Folded SHA-256.
    Sha192 = 4,
    /// CRC-32C and the hints of a freemap leaf.
    Freemap = 5,
}

impl CheckMethod {
    /// The number of bytes of the check field that are compared; the following bytes may be stale.
    pub const fn code_bytes(self) -> usize {
        match self {
            Self::None | Self::Disabled => 0,
            Self::Iscsi32 | Self::Freemap => 4,
            Self::XxHash64 => 8,
            Self::Sha192 => 24,
        }
    }
}

impl fmt::Display for CheckMethod {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "none",
            Self::Disabled => "disabled",
            Self::Iscsi32 => "iscsi32",
            Self::XxHash64 => "xxhash64",
            Self::Sha192 => "sha192",
            Self::Freemap => "freemap",
        })
    }
}
