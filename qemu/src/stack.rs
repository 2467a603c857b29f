//! The stack: the unmapped page under it, and measuring how much of it is used.
//!
//! Without that page an overflow would run into the kernel's data unnoticed, or end in a triple fault, which QEMU reports as
//! success.

use core::cell::UnsafeCell;
use core::hint::black_box;
use core::slice;

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
    static stack_bottom: u8;
    static boot_directories: UnsafeCell<[u64; 4 * ENTRIES]>;
}

/// Splits the 2 MiB page that contains the guard and leaves the guard unmapped. Call once, at boot.
pub(crate) fn arm_guard() {
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
pub(crate) fn guard_contains(address: VirtAddr) -> bool {
    let guard = &raw const stack_guard as u64;
    (guard..guard + PAGE_BYTES).contains(&address.as_u64())
}

/// The content of unused parts of the stack.
const UNUSED: u64 = 0x5555_aaaa_5555_aaaa;

/// The part of the stack right below a call that isn't looked at: the call itself, and what compilers put below the stack
/// pointer.
const MARGIN_BYTES: usize = 512;

/// Runs `work`; returns the most bytes of the stack that it took. The stack below the caller is filled before, and looked at
/// after.
#[inline(never)]
pub(crate) fn bytes_of(work: &mut dyn FnMut()) -> usize {
    let here = black_box(0u64);
    let top = (&raw const here as usize - MARGIN_BYTES) & !(size_of::<u64>() - 1);
    fill(top);
    work();
    let deepest = first_used(top);
    &raw const here as usize - deepest
}

/// Fills the stack up to an address below everything in use.
#[inline(never)]
fn fill(top: usize) {
    unused(top).fill(UNUSED);
}

/// The lowest address below `top` whose content has changed since it was filled.
#[inline(never)]
fn first_used(top: usize) -> usize {
    let stack = unused(top);
    let unused_words = stack.iter().position(|word| *word != UNUSED).unwrap_or(stack.len());
    top - (stack.len() - unused_words) * size_of::<u64>()
}

/// The stack below an address.
fn unused(top: usize) -> &'static mut [u64] {
    let bottom = &raw const stack_bottom as usize;
    // SAFETY: the stack is mapped from its bottom on, aligned to pages, and whatever of it is below the stack pointer is
    // nobody's. Neither of the two callers needs more than the margin while it has this, and interrupts have stacks of their
    // own.
    unsafe { slice::from_raw_parts_mut(bottom as *mut u64, (top - bottom) / size_of::<u64>()) }
}
