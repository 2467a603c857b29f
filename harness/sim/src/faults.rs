//! Faults of disks.

use hammer2_core::io::DeviceError;
use hammer2_core::io::wrap::{Effect, Fault, Operations};
use hammer2_core::random::Random;

use crate::nodes::Drive;

/// A kind of fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FaultKind {
    ReadError,
    WriteError,
    FlushError,
    BadRange,
    Hang,
    HungWrite,
    Slow,
    Detached,
    WrongRead,
    TornWrite,
    LostWrite,
    LyingFlush,
    WrongWrite,
    FlippedBit,
    FlippedHeader,
}

impl FaultKind {
    pub(crate) const ALL: [Self; 15] = [
        Self::ReadError,
        Self::WriteError,
        Self::FlushError,
        Self::BadRange,
        Self::Hang,
        Self::HungWrite,
        Self::Slow,
        Self::Detached,
        Self::WrongRead,
        Self::TornWrite,
        Self::LostWrite,
        Self::LyingFlush,
        Self::WrongWrite,
        Self::FlippedBit,
        Self::FlippedHeader,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::ReadError => "read-error",
            Self::WriteError => "write-error",
            Self::FlushError => "flush-error",
            Self::BadRange => "bad-range",
            Self::Hang => "hang",
            Self::HungWrite => "hung-write",
            Self::Slow => "slow",
            Self::Detached => "detached",
            Self::WrongRead => "wrong-read",
            Self::TornWrite => "torn-write",
            Self::LostWrite => "lost-write",
            Self::LyingFlush => "lying-flush",
            Self::WrongWrite => "wrong-write",
            Self::FlippedBit => "flipped-bit",
            Self::FlippedHeader => "flipped-header",
        }
    }

    /// True if the disk reports something as done that wasn't, or forgets it: its content can't be relied on afterwards.
    pub(crate) fn is_damaging(self) -> bool {
        matches!(
            self,
            Self::TornWrite
                | Self::LostWrite
                | Self::LyingFlush
                | Self::WrongWrite
                | Self::FlippedBit
                | Self::FlippedHeader
        )
    }

    /// Brings the fault upon a drive. False if there is nothing that it could strike.
    pub(crate) fn strike(self, drive: &Drive, random: &mut Random) -> bool {
        let error = Effect::Fail(DeviceError::Io(5));
        let few = 1 + random.below(3);
        let some =
            |operations, effect| Fault { times: few, skip: random_skip(few), ..Fault::always(operations, effect) };
        let fault = match self {
            Self::ReadError => some(Operations::READ, error),
            Self::WriteError => some(Operations::WRITE, error),
            Self::FlushError => some(Operations::FLUSH, error),
            Self::BadRange => {
                let start = random.below(drive.disk.medium.borrow().size_bytes());
                Fault::always(Operations::READ | Operations::WRITE, error).within(start..start + (32 << 20))
            }
            Self::Hang => Fault::always(Operations::all(), Effect::Hang),
            Self::HungWrite => some(Operations::WRITE, Effect::Hang),
            Self::Detached => Fault::always(Operations::all(), Effect::Fail(DeviceError::Gone)),
            Self::WrongRead => some(Operations::READ, Effect::Corrupt { mask: 1 << random.below(8) }),
            Self::TornWrite => {
                let kept_bytes = random.below(32) * 512;
                some(Operations::WRITE, Effect::Torn { kept_bytes, report: Ok(()) })
            }
            Self::LostWrite => some(Operations::WRITE, Effect::Lost),
            Self::LyingFlush => Fault::always(Operations::FLUSH, Effect::Lost),
            Self::WrongWrite => some(Operations::WRITE, Effect::Corrupt { mask: 1 << random.below(8) }),
            Self::Slow => {
                drive.disk.slowness.set(random.pick(&[5, 50]));
                return true;
            }
            Self::FlippedBit => return drive.disk.medium.borrow_mut().flip(random, |offset| !is_header(offset)),
            Self::FlippedHeader => return drive.disk.medium.borrow_mut().flip(random, is_header),
        };
        drive.plan.add(fault).is_ok()
    }

    /// True for kinds that strike at once: others strike when requests come.
    pub(crate) fn strikes_at_once(self) -> bool {
        matches!(self, Self::Slow | Self::FlippedBit | Self::FlippedHeader)
    }
}

/// How many requests pass before the first is struck.
fn random_skip(few: u64) -> u64 {
    few * few % 4
}

/// True for a place of headers and their twins.
fn is_header(offset: u64) -> bool {
    const SLOT_BYTES: u64 = 64 << 10;
    matches!(offset % (2 << 30) / SLOT_BYTES, 0 | 41 | 42)
}
