//! Time: the TSC, calibrated with the interval timer, which afterwards ends the executor's waits at a steady rate.

use core::arch::x86_64::_rdtsc;

use hammer2_core::fs::TimeSource;
use hammer2_core::media::Timestamp;
use hammer2_kmod_shim::timer::TickSource;
use x86_64::instructions::port::Port;

const PIT_HZ: u64 = 1_193_182;
const CHANNEL_0: u16 = 0x40;
const COMMAND: u16 = 0x43;

const LATCH_CHANNEL_0: u8 = 0x00;
const COUNT_DOWN_ONCE: u8 = 0x30;
const RATE_GENERATOR: u8 = 0x34;

/// How long calibration takes.
const CALIBRATION_TICKS: u64 = PIT_HZ / 100;

/// How many times a second a wait ends at the latest: the resolution of alarms.
const INTERRUPTS_PER_SECOND: u64 = 250;

/// The CPU's time-stamp counter.
pub(crate) struct Tsc {
    ticks_per_second: u64,
}

impl Tsc {
    /// Measures the counter's rate and starts the periodic interrupt.
    pub(crate) fn calibrate() -> Self {
        start_pit(COUNT_DOWN_ONCE, u16::MAX);
        let (pit_start, start) = (pit_count(), read());
        let (elapsed, end) = loop {
            let (elapsed, now) = (pit_start.saturating_sub(pit_count()), read());
            if u64::from(elapsed) >= CALIBRATION_TICKS {
                break (elapsed, now);
            }
        };
        start_pit(RATE_GENERATOR, (PIT_HZ / INTERRUPTS_PER_SECOND) as u16);
        let ticks_per_second = (u128::from(end - start) * u128::from(PIT_HZ) / u128::from(elapsed)) as u64;
        Self { ticks_per_second: ticks_per_second.max(1) }
    }
}

impl TickSource for Tsc {
    fn ticks(&self) -> u64 {
        read()
    }

    fn ticks_per_second(&self) -> u64 {
        self.ticks_per_second
    }
}

/// A time source without a time of day, which the machine doesn't know.
pub(crate) struct Undated;

impl TimeSource for Undated {
    fn now(&self) -> Timestamp {
        Timestamp { microseconds: 0 }
    }

    /// No two mounts begin at the same tick, and nobody here wants to guess it.
    fn random(&self) -> u64 {
        read().wrapping_mul(0x9e37_79b9_7f4a_7c15)
    }
}

fn read() -> u64 {
    // SAFETY: every 64-bit x86 has it.
    unsafe { _rdtsc() }
}

fn start_pit(mode: u8, count: u16) {
    let [low, high] = count.to_le_bytes();
    // SAFETY: the interval timer is this module's own.
    unsafe {
        Port::new(COMMAND).write(mode);
        Port::new(CHANNEL_0).write(low);
        Port::new(CHANNEL_0).write(high);
    }
}

fn pit_count() -> u16 {
    // SAFETY: as above.
    unsafe {
        Port::new(COMMAND).write(LATCH_CHANNEL_0);
        u16::from_le_bytes([Port::new(CHANNEL_0).read(), Port::new(CHANNEL_0).read()])
    }
}
