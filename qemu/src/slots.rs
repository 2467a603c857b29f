//! Disks that are taken out and put back while the machine runs, through registers of QEMU's PIIX4.
//!
//! Real firmware drives these from tables that a kernel interprets. Each bit of a register stands for a slot of the first bus.

use x86_64::instructions::port::Port;

const ARRIVED: u16 = 0xae00;
const LEAVING: u16 = 0xae04;
const EJECT: u16 = 0xae08;

/// The slots into which something was put.
pub(crate) fn arrived() -> u32 {
    read(ARRIVED)
}

/// The slots whose devices are to be taken out.
pub(crate) fn leaving() -> u32 {
    read(LEAVING)
}

/// Releases the device in a slot. Nothing may use it any more.
pub(crate) fn eject(slot: u32) {
    // SAFETY: a register of the hotplug controller, which nothing else here uses.
    unsafe { Port::new(EJECT).write(slot) };
}

fn read(register: u16) -> u32 {
    // SAFETY: as above.
    unsafe { Port::new(register).read() }
}
