//! The unmapped page under the stack. Without it an overflow would run into the kernel's data unseen, or end in a triple
//! fault, which QEMU reports as success.

use core::cell::UnsafeCell;

use x86_64::VirtAddr;
use x86_64::instructions::tlb;

const PAGE_BYTES: u64 = 4096;
const LARGE_PAGE_BYTES: u64 = 2 << 20;
const ENTRIES: usize = 512;
const PRESENT_WRITABLE: u64 = 3;

#[repr(C, align(4096))]
struct Table(UnsafeCell<[u64; ENTRIES]>);

// SAFETY: changed once, at boot, by the only CPU.
unsafe impl Sync for Table {}

static SMALL_PAGES: Table = Table(UnsafeCell::new([0; ENTRIES]));

unsafe extern "C" {
    static stack_guard: u8;
    static boot_directories: UnsafeCell<[u64; 4 * ENTRIES]>;
}

/// Splits the 2 MiB page the guard lies in and leaves the guard out. Call once, at boot.
pub(crate) fn arm() {
    let guard = &raw const stack_guard as u64;
    let large = guard / LARGE_PAGE_BYTES;
    // SAFETY: the CPU reads the tables but doesn't use the new one before the last write here; the identity map stays as
    // it is, apart from the guard, which nobody uses.
    unsafe {
        let small = SMALL_PAGES.0.get();
        for (index, entry) in (*small).iter_mut().enumerate() {
            let address = large * LARGE_PAGE_BYTES + index as u64 * PAGE_BYTES;
            *entry = if address == guard { 0 } else { address | PRESENT_WRITABLE };
        }
        (*boot_directories.get())[large as usize] = small as u64 | PRESENT_WRITABLE;
    }
    tlb::flush_all();
}

/// True for an address in the guard page.
pub(crate) fn contains(address: VirtAddr) -> bool {
    let guard = &raw const stack_guard as u64;
    (guard..guard + PAGE_BYTES).contains(&address.as_u64())
}
