//! UUIDs as the format stores them: the first three fields little-endian (format 1.3).

use core::fmt;
use core::str::FromStr;

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// A UUID, 16 bytes in media order.
#[derive(
    Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned,
)]
#[repr(C)]
pub struct Uuid(pub [u8; 16]);

impl Uuid {
    /// The file system type of every HAMMER2 volume: 5cbb9ad1-862d-11dc-a94d-01301bb8a9f5.
    pub const HAMMER2: Self =
        Self::from_fields(0x5cbb_9ad1, 0x862d, 0x11dc, [0xa9, 0x4d, 0x01, 0x30, 0x1b, 0xb8, 0xa9, 0xf5]);
    /// No UUID.
    pub const NIL: Self = Self([0; 16]);

    /// A UUID from its fields as they are printed.
    pub const fn from_fields(low: u32, mid: u16, high: u16, rest: [u8; 8]) -> Self {
        let (l, m, h, r) = (low.to_le_bytes(), mid.to_le_bytes(), high.to_le_bytes(), rest);
        Self([l[0], l[1], l[2], l[3], m[0], m[1], h[0], h[1], r[0], r[1], r[2], r[3], r[4], r[5], r[6], r[7]])
    }

    /// A random (version 4) UUID from 16 random bytes.
    pub fn random(mut bytes: [u8; 16]) -> Self {
        bytes[7] = bytes[7] & 0x0f | 0x40;
        bytes[8] = bytes[8] & 0x3f | 0x80;
        Self(bytes)
    }

    /// The UUID that stands for a numeric Unix user or group (format 3.1).
    pub fn from_unix_id(id: u32) -> Self {
        let mut bytes = [0; 16];
        bytes[12..].copy_from_slice(&id.to_le_bytes());
        Self(bytes)
    }

    /// The numeric Unix user or group this UUID stands for.
    pub const fn unix_id(self) -> u32 {
        u32::from_le_bytes([self.0[12], self.0[13], self.0[14], self.0[15]])
    }
}

impl fmt::Display for Uuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let b = &self.0;
        let low = u32::from_le_bytes([b[0], b[1], b[2], b[3]]);
        let (mid, high) = (u16::from_le_bytes([b[4], b[5]]), u16::from_le_bytes([b[6], b[7]]));
        write!(f, "{low:08x}-{mid:04x}-{high:04x}-{:02x}{:02x}-", b[8], b[9])?;
        b[10..].iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// The text isn't a UUID.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no UUID: write 8-4-4-4-12 hexadecimal digits")]
pub struct NoUuid;

impl FromStr for Uuid {
    type Err = NoUuid;

    fn from_str(text: &str) -> Result<Self, NoUuid> {
        let digits = |from: usize, to: usize| {
            let part = text.get(from..to).filter(|part| part.bytes().all(|byte| byte.is_ascii_hexdigit()));
            u64::from_str_radix(part.ok_or(NoUuid)?, 16).map_err(|_| NoUuid)
        };
        let is_dash = |at: &usize| text.as_bytes().get(*at) == Some(&b'-');
        if text.len() != 36 || ![8, 13, 18, 23].iter().all(is_dash) {
            return Err(NoUuid);
        }
        let [.., a, b] = digits(19, 23)?.to_be_bytes();
        let [_, _, c, d, e, f, g, h] = digits(24, 36)?.to_be_bytes();
        let (low, mid, high) = (digits(0, 8)? as u32, digits(9, 13)? as u16, digits(14, 18)? as u16);
        Ok(Self::from_fields(low, mid, high, [a, b, c, d, e, f, g, h]))
    }
}

impl fmt::Debug for Uuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Uuid({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_system_type_bytes() {
        let documented =
            [0xd1, 0x9a, 0xbb, 0x5c, 0x2d, 0x86, 0xdc, 0x11, 0xa9, 0x4d, 0x01, 0x30, 0x1b, 0xb8, 0xa9, 0xf5];
        assert_eq!(Uuid::HAMMER2.0, documented);
    }

    #[test]
    fn what_is_printed_can_be_read() {
        extern crate std;
        use std::string::ToString;
        for uuid in [Uuid::HAMMER2, Uuid::NIL, Uuid::random([0xf3; 16])] {
            assert_eq!(uuid.to_string().parse(), Ok(uuid));
        }
        for text in [
            "",
            "5cbb9ad1-862d-11dc-a94d-01301bb8a9f",
            "5cbb9ad1x862d-11dc-a94d-01301bb8a9f5",
            "+cbb9ad1-862d-11dc-a94d-01301bb8a9f5",
        ] {
            assert_eq!(text.parse::<Uuid>(), Err(NoUuid), "{text}");
        }
    }

    #[test]
    fn unix_ids_round_trip() {
        assert_eq!(Uuid::from_unix_id(0x0102_0304).unix_id(), 0x0102_0304);
        assert_eq!(Uuid::from_unix_id(1000).0[..12], [0; 12]);
    }
}
