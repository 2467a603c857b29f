//! Interrupts and faults: entry stubs, the PIC, fault reports.
//!
//! Interrupts are on only while the executor waits (see [`wait`]). A handler only notes the interrupt, and returns with
//! interrupts off. A PCI line stays asserted until its device has been served, in the next turn; only then is the PIC told that
//! the interrupt is over, or it would report the same one again.

use core::arch::global_asm;
use core::sync::atomic::{AtomicU8, AtomicU64, Ordering::Relaxed};

use x86_64::VirtAddr;
use x86_64::instructions::interrupts;
use x86_64::instructions::port::Port;
use x86_64::registers::control::Cr2;
use x86_64::registers::rflags::RFlags;

use crate::verdict::{self, Verdict};
use crate::{println, stack};

/// The vector of the PIC's line 0; below are the CPU's faults.
pub(crate) const FIRST_IRQ: u8 = 32;

/// Faults and the PIC's 16 lines.
pub(crate) const VECTORS: usize = 48;

const STUB_BYTES: u64 = 16;

/// The stack frame that the stubs make.
#[repr(C)]
struct Frame {
    registers: [u64; 15],
    vector: u64,
    error: u64,
    rip: u64,
    cs: u64,
    rflags: u64,
    rsp: u64,
    ss: u64,
}

global_asm!(
    r#"
    .text
    .balign 16
    .globl interrupt_stubs
interrupt_stubs:
    .set vector, 0
    .rept {vectors}
    .balign 16
    /* The CPU pushes an error code for these. */
    .if (vector == 8) || (vector >= 10 && vector <= 14) || (vector == 17) || (vector == 21)
    .else
    pushq $0
    .endif
    pushq $vector
    jmp interrupt_common
    .set vector, vector + 1
    .endr

interrupt_common:
    cld
    pushq %rax
    pushq %rbx
    pushq %rcx
    pushq %rdx
    pushq %rsi
    pushq %rdi
    pushq %rbp
    pushq %r8
    pushq %r9
    pushq %r10
    pushq %r11
    pushq %r12
    pushq %r13
    pushq %r14
    pushq %r15
    movq %rsp, %rdi
    movq %rsp, %rbx
    subq $512, %rsp
    andq $-16, %rsp
    fxsave64 (%rsp)
    call {handle}
    fxrstor64 (%rsp)
    movq %rbx, %rsp
    popq %r15
    popq %r14
    popq %r13
    popq %r12
    popq %r11
    popq %r10
    popq %r9
    popq %r8
    popq %rbp
    popq %rdi
    popq %rsi
    popq %rdx
    popq %rcx
    popq %rbx
    popq %rax
    addq $16, %rsp
    iretq
    "#,
    vectors = const VECTORS,
    handle = sym handle,
    options(att_syntax)
);

unsafe extern "C" {
    static interrupt_stubs: u8;
}

/// The entry of a vector's stub.
pub(crate) fn stub_address(vector: u8) -> u64 {
    &raw const interrupt_stubs as u64 + u64::from(vector) * STUB_BYTES
}

/// The line of the interval timer, which only has to end waits.
const TIMER_LINE: u8 = 0;

/// The second PIC hangs on this line of the first.
const CASCADE_LINE: u8 = 2;

/// A wait ends with at most one interrupt: its line, or this value.
const NO_LINE: u8 = u8::MAX;

static DEVICE_LINE: AtomicU8 = AtomicU8::new(NO_LINE);
static DEVICE_INTERRUPTS: AtomicU64 = AtomicU64::new(0);

/// Calls `serve`, which silences the devices, if one of them has interrupted the last wait.
pub(crate) fn serve_devices(serve: impl FnOnce()) {
    let line = DEVICE_LINE.load(Relaxed);
    if line != NO_LINE {
        DEVICE_LINE.store(NO_LINE, Relaxed);
        serve();
        pic::end_of_interrupt(line);
    }
}

/// The number of interrupts from devices so far.
pub(crate) fn device_interrupts() -> u64 {
    DEVICE_INTERRUPTS.load(Relaxed)
}

/// Waits for an interrupt.
pub(crate) fn wait() {
    interrupts::enable_and_hlt();
    interrupts::disable();
}

extern "C" fn handle(frame: &mut Frame) {
    let Some(line) = (frame.vector as u8).checked_sub(FIRST_IRQ) else { report_fault(frame) };
    if line == TIMER_LINE {
        pic::end_of_interrupt(line);
    } else {
        DEVICE_LINE.store(line, Relaxed);
        DEVICE_INTERRUPTS.fetch_add(1, Relaxed);
    }
    frame.rflags &= !RFlags::INTERRUPT_FLAG.bits();
}

const FAULT_NAMES: [&str; 32] = [
    "divide error",
    "debug",
    "non-maskable interrupt",
    "breakpoint",
    "overflow",
    "bound range",
    "invalid opcode",
    "no FPU",
    "double fault",
    "reserved (9)",
    "invalid TSS",
    "segment not present",
    "stack segment fault",
    "general protection fault",
    "page fault",
    "reserved (15)",
    "x87 error",
    "alignment check",
    "machine check",
    "SIMD error",
    "virtualization",
    "control protection",
    "reserved (22)",
    "reserved (23)",
    "reserved (24)",
    "reserved (25)",
    "reserved (26)",
    "reserved (27)",
    "hypervisor injection",
    "VMM communication",
    "security",
    "reserved (31)",
];

fn report_fault(frame: &Frame) -> ! {
    let name = FAULT_NAMES[frame.vector as usize];
    let cr2 = Cr2::read_raw();
    println!("FAULT {name}: error {:#x} rip {:#x} cr2 {cr2:#x} rsp {:#x}", frame.error, frame.rip, frame.rsp);
    if VirtAddr::try_new(cr2).is_ok_and(stack::guard_contains) {
        println!("      the stack has overflowed");
    }
    verdict::exit(Verdict::Crash)
}

/// The two 8259 interrupt controllers.
pub(crate) mod pic {
    use super::{CASCADE_LINE, FIRST_IRQ, Port, TIMER_LINE};

    const COMMAND: [u16; 2] = [0x20, 0xa0];
    const DATA: [u16; 2] = [0x21, 0xa1];
    const TRIGGER_MODE: [u16; 2] = [0x4d0, 0x4d1];
    const LINES_EACH: u8 = 8;
    const END_OF_INTERRUPT: u8 = 0x20;

    fn write(port: u16, value: u8) {
        // SAFETY: a register of the interrupt controllers, which this module has to itself.
        unsafe { Port::new(port).write(value) };
    }

    fn read(port: u16) -> u8 {
        // SAFETY: as above.
        unsafe { Port::new(port).read() }
    }

    /// Moves the lines to [`FIRST_IRQ`] and lets only the timer through.
    pub(crate) fn start() {
        for chip in 0..2 {
            let first_vector = FIRST_IRQ + chip as u8 * LINES_EACH;
            let wiring = [1 << CASCADE_LINE, CASCADE_LINE][chip];
            write(COMMAND[chip], 0x11);
            write(DATA[chip], first_vector);
            write(DATA[chip], wiring);
            write(DATA[chip], 0x01);
            write(DATA[chip], 0xff);
        }
        enable(TIMER_LINE);
        enable(CASCADE_LINE);
    }

    fn enable(line: u8) {
        let data = DATA[usize::from(line / LINES_EACH)];
        write(data, read(data) & !(1 << (line % LINES_EACH)));
    }

    /// Lets a PCI device's line through; it is level triggered.
    pub(crate) fn enable_device(line: u8) {
        if line < 2 * LINES_EACH {
            let mode = TRIGGER_MODE[usize::from(line / LINES_EACH)];
            write(mode, read(mode) | 1 << (line % LINES_EACH));
            enable(line);
        }
    }

    pub(super) fn end_of_interrupt(line: u8) {
        if line >= LINES_EACH {
            write(COMMAND[1], END_OF_INTERRUPT);
        }
        write(COMMAND[0], END_OF_INTERRUPT);
    }
}
