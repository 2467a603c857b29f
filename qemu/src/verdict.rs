//! The end of a run: an exit code through QEMU's isa-debug-exit, and the panic handler.

use core::panic::PanicInfo;

use x86_64::instructions::{hlt, interrupts, port::Port};

use crate::println;

/// The device turns a value into the exit code 2 × value + 1.
const DEBUG_EXIT: u16 = 0xf4;

/// The verdict that scripts/boot sees as QEMU's exit code.
#[derive(Clone, Copy)]
#[repr(u32)]
pub(crate) enum Verdict {
    /// 33: everything requested succeeded.
    Pass = 16,
    /// 35: something failed, and the console says what.
    Fail = 17,
    /// 37: a panic or a fault.
    Crash = 18,
}

/// Ends the run.
pub(crate) fn exit(verdict: Verdict) -> ! {
    // SAFETY: the device ends QEMU. Where it doesn't exist nothing listens on this port.
    unsafe { Port::new(DEBUG_EXIT).write(verdict as u32) };
    interrupts::disable();
    loop {
        hlt();
    }
}

#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    match info.location() {
        Some(location) => println!("PANIC {location}: {}", info.message()),
        None => println!("PANIC {}", info.message()),
    }
    exit(Verdict::Crash)
}
