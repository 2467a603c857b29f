//! The console: the first serial port.

use core::arch::x86_64::_rdtsc;
use core::fmt::{self, Write};
use core::sync::atomic::{AtomicU64, Ordering};

use x86_64::instructions::port::Port;

const BASE: u16 = 0x3f8;
const LINE_STATUS: u16 = BASE + 5;
const DATA_READY: u8 = 1;
const TRANSMITTER_EMPTY: u8 = 1 << 5;

/// The number of bytes that the transmitter takes once it is empty. Asking before every byte would be most of the console's cost.
const FIFO_BYTES: usize = 16;

/// The time that a byte takes, in ticks of the TSC: 0, unless the console is to be slow.
static TICKS_PER_BYTE: AtomicU64 = AtomicU64::new(0);

/// Writes to the port without changing newlines.
#[derive(Clone, Copy)]
pub(crate) struct Console;

impl Console {
    /// Sets the port up: 115200 baud, 8 bits, FIFO on, no interrupts.
    pub(crate) fn start() {
        for (register, value) in [(1, 0x00), (3, 0x80), (0, 0x01), (1, 0x00), (3, 0x03), (2, 0x07), (4, 0x03)] {
            // SAFETY: a register of the serial port, which nothing else here uses.
            unsafe { Port::<u8>::new(BASE + register).write(value) };
        }
    }
}

/// The next byte that was typed, if there is one.
pub(crate) fn typed() -> Option<u8> {
    // SAFETY: reading the status has no side effect that matters here, and the data register has a byte when it says so.
    unsafe {
        let is_there = Port::<u8>::new(LINE_STATUS).read() & DATA_READY != 0;
        is_there.then(|| Port::<u8>::new(BASE).read())
    }
}

/// Makes the console as slow as a real line: the emulated one takes everything at once.
pub(crate) fn slow_down(ticks_per_byte: u64) {
    TICKS_PER_BYTE.store(ticks_per_byte, Ordering::Relaxed);
}

fn pause(bytes: usize) {
    // SAFETY: every 64-bit x86 has it.
    let now = || unsafe { _rdtsc() };
    let end = now() + TICKS_PER_BYTE.load(Ordering::Relaxed) * bytes as u64;
    while now() < end {
        core::hint::spin_loop();
    }
}

impl Write for Console {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let mut data = Port::<u8>::new(BASE);
        let mut status = Port::<u8>::new(LINE_STATUS);
        for chunk in text.as_bytes().chunks(FIFO_BYTES) {
            // SAFETY: reading the status has no side effect that matters here.
            while unsafe { status.read() } & TRANSMITTER_EMPTY == 0 {
                core::hint::spin_loop();
            }
            for byte in chunk {
                // SAFETY: the port's data register.
                unsafe { data.write(*byte) };
            }
            pause(chunk.len());
        }
        Ok(())
    }
}

/// Prints a line on the console.
#[macro_export]
macro_rules! println {
    ($($argument:tt)*) => {{
        // The console takes everything.
        let _ = core::fmt::Write::write_fmt(&mut $crate::serial::Console, format_args!("{}\n", format_args!($($argument)*)));
    }};
}
