//! The heartbeat of a mount, which tells who writes to a volume, and that this mount is still alive (protocol 8).
//!
//! It is one sector in a reserved slot that known readers ignore, so it is written as a whole or not at all. A mount that writes
//! to a volume which other machines can reach writes it again and again, with a rising number. A mount that finds one which
//! wasn't released watches it: as long as it moves, the volume has a writer.

use core::fmt;
use core::time::Duration;

use static_assertions::const_assert_eq;
use zerocopy::little_endian::{U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use super::Timestamp;
use super::check::crc32c;
use super::geometry::SLOT_BYTES;

/// Bytes of a heartbeat on media: a sector.
pub const HEARTBEAT_BYTES: usize = 512;

/// Its offset on a root volume.
pub const HEARTBEAT_OFFSET: u64 = 43 * SLOT_BYTES;

/// How often a mount writes its heartbeat.
pub const HEARTBEAT_PERIOD: Duration = Duration::from_secs(2);

/// The longest period that is believed: nobody waits for longer ones.
const MOST_PERIOD: Duration = Duration::from_secs(60);

const MAGIC: [u8; 8] = *b"H2BEAT\x01\0";
const HOST_BYTES: usize = 32;

/// The random number that distinguishes a mount from all others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct MountNonce(pub u64);

/// The name of a machine, as far as it fits.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct HostName([u8; HOST_BYTES]);

impl HostName {
    /// A machine that doesn't give its name.
    pub const UNKNOWN: Self = Self([0; HOST_BYTES]);

    /// The name of a machine, cut off where it doesn't fit.
    pub fn new(name: &[u8]) -> Self {
        let mut bytes = [0; HOST_BYTES];
        let len = name.len().min(HOST_BYTES);
        bytes[..len].copy_from_slice(&name[..len]);
        Self(bytes)
    }

    fn bytes(&self) -> &[u8] {
        let len = self.0.iter().position(|byte| *byte == 0).unwrap_or(HOST_BYTES);
        &self.0[..len]
    }
}

impl fmt::Display for HostName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.bytes() {
            [] => f.write_str("a machine without a name"),
            // Content of media is hostile, and this goes to terminals.
            name => write!(f, "{}", name.escape_ascii()),
        }
    }
}

impl fmt::Debug for HostName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HostName({self})")
    }
}

/// A heartbeat.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heartbeat {
    /// The mount.
    pub nonce: MountNonce,
    /// The number of heartbeats written before it.
    pub counter: u64,
    /// The time of writing, by the clock of its machine.
    pub time: Timestamp,
    /// The mount's machine.
    pub host: HostName,
    /// How often it is written.
    pub period: Duration,
    /// True if the mount has ended properly: the volume has no writer.
    pub is_released: bool,
}

/// A heartbeat on media.
#[derive(FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
struct Sector {
    magic: [u8; 8],
    nonce: U64,
    counter: U64,
    time: U64,
    host: [u8; HOST_BYTES],
    period_milliseconds: U32,
    is_released: U32,
    reserved: [u8; 436],
    check: U32,
}

const_assert_eq!(size_of::<Sector>(), HEARTBEAT_BYTES);

const HELD: u32 = 0;
const RELEASED: u32 = 1;

impl Heartbeat {
    /// How long the mount that wrote it may rely on it.
    pub fn lease(&self) -> Duration {
        2 * self.period
    }

    /// How long other mounts watch it: longer than the [lease](Self::lease), because clocks differ.
    pub fn watch(&self) -> Duration {
        self.period * 5 / 2
    }

    /// Reads the heartbeat on media; none if there never was one, or if the bytes aren't one.
    pub fn read(bytes: &[u8]) -> Option<Self> {
        let sector = Sector::ref_from_bytes(bytes).ok()?;
        let is_whole = sector.magic == MAGIC && sector.check.get() == check(sector);
        let period = Duration::from_millis(u64::from(sector.period_milliseconds.get()));
        is_whole.then(|| Self {
            nonce: MountNonce(sector.nonce.get()),
            counter: sector.counter.get(),
            time: Timestamp { microseconds: sector.time.get() },
            host: HostName(sector.host),
            period: period.min(MOST_PERIOD),
            is_released: sector.is_released.get() != HELD,
        })
    }

    /// Writes the heartbeat in its form on media.
    pub fn write(&self, bytes: &mut [u8; HEARTBEAT_BYTES]) {
        let mut sector = Sector {
            magic: MAGIC,
            nonce: self.nonce.0.into(),
            counter: self.counter.into(),
            time: self.time.microseconds.into(),
            host: self.host.0,
            period_milliseconds: u32::try_from(self.period.as_millis()).unwrap_or(u32::MAX).into(),
            is_released: (if self.is_released { RELEASED } else { HELD }).into(),
            reserved: [0; 436],
            check: 0.into(),
        };
        sector.check = check(&sector).into();
        bytes.copy_from_slice(sector.as_bytes());
    }
}

fn check(sector: &Sector) -> u32 {
    crc32c(&sector.as_bytes()[..HEARTBEAT_BYTES - size_of::<U32>()])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn some() -> Heartbeat {
        Heartbeat {
            nonce: MountNonce(0x1234_5678_9abc_def0),
            counter: 17,
            time: Timestamp { microseconds: 1_700_000_000_000_000 },
            host: HostName::new(b"disk.example"),
            period: HEARTBEAT_PERIOD,
            is_released: false,
        }
    }

    #[test]
    fn what_is_written_is_read() {
        let mut bytes = [0; HEARTBEAT_BYTES];
        assert_eq!(Heartbeat::read(&bytes), None, "there never was one");
        for heartbeat in [some(), Heartbeat { is_released: true, ..some() }] {
            heartbeat.write(&mut bytes);
            assert_eq!(Heartbeat::read(&bytes), Some(heartbeat));
        }
        for index in 0..HEARTBEAT_BYTES {
            bytes[index] ^= 4;
            assert_eq!(Heartbeat::read(&bytes), None, "byte {index}");
            bytes[index] ^= 4;
        }
    }

    #[test]
    fn hostile_ones_keep_nobody_waiting_and_no_terminal_busy() {
        extern crate std;
        use std::string::ToString;

        let mut bytes = [0; HEARTBEAT_BYTES];
        let host = HostName::new(&[b'\x1b'; 200]);
        Heartbeat { period: Duration::from_secs(1 << 20), host, ..some() }.write(&mut bytes);
        let found = Heartbeat::read(&bytes).unwrap();
        assert_eq!(found.period, MOST_PERIOD);
        assert!(found.host.to_string().starts_with("\\x1b\\x1b"));
        assert_eq!(HostName::UNKNOWN.to_string(), "a machine without a name");
    }
}
