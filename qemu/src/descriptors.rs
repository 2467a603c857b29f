//! GDT, TSS and IDT. Every gate switches to its own stack: so code compiled with a red zone survives interrupts, and a stack
//! overflow can be reported.

use core::array;
use core::cell::{OnceCell, UnsafeCell};

use x86_64::VirtAddr;
use x86_64::instructions::segmentation::{CS, SS, Segment};
use x86_64::instructions::tables::{lidt, load_tss};
use x86_64::registers::segmentation::SegmentSelector;
use x86_64::structures::DescriptorTablePointer;
use x86_64::structures::gdt::{Descriptor, GlobalDescriptorTable};
use x86_64::structures::tss::TaskStateSegment;

use crate::interrupts::{self, FIRST_IRQ, VECTORS};

const STACK_BYTES: usize = 32 << 10;

/// The number of the stack for interrupt handlers; the next one is for faults, which may come while a handler runs.
const INTERRUPT_STACK: u8 = 0;
const FAULT_STACK: u8 = 1;

#[repr(C, align(16))]
struct Stack(UnsafeCell<[u8; STACK_BYTES]>);

// SAFETY: only ever used as a stack, by the only CPU.
unsafe impl Sync for Stack {}

static STACKS: [Stack; 2] = [const { Stack(UnsafeCell::new([0; STACK_BYTES])) }; 2];

struct Tables {
    tss: OnceCell<TaskStateSegment>,
    gdt: OnceCell<(GlobalDescriptorTable, SegmentSelector, SegmentSelector, SegmentSelector)>,
    idt: OnceCell<[Gate; VECTORS]>,
}

// SAFETY: filled once, at boot, by the only CPU.
unsafe impl Sync for Tables {}

static TABLES: Tables = Tables { tss: OnceCell::new(), gdt: OnceCell::new(), idt: OnceCell::new() };

/// Loads all three. Call once, at boot.
pub(crate) fn load() {
    let tss = TABLES.tss.get_or_init(|| {
        let mut tss = TaskStateSegment::new();
        for (index, stack) in STACKS.iter().enumerate() {
            tss.interrupt_stack_table[index] = VirtAddr::from_ptr(stack.0.get()) + STACK_BYTES as u64;
        }
        tss
    });
    let (gdt, code, data, task) = TABLES.gdt.get_or_init(|| {
        let mut gdt = GlobalDescriptorTable::new();
        let code = gdt.append(Descriptor::kernel_code_segment());
        let data = gdt.append(Descriptor::kernel_data_segment());
        let task = gdt.append(Descriptor::tss_segment(tss));
        (gdt, code, data, task)
    });
    gdt.load();
    let idt = TABLES.idt.get_or_init(|| array::from_fn(|vector| Gate::new(vector as u8, *code)));
    let idt_pointer =
        DescriptorTablePointer { limit: (size_of_val(idt) - 1) as u16, base: VirtAddr::from_ptr(idt.as_ptr()) };
    // SAFETY: the selectors are of the table just loaded; both tables are static.
    unsafe {
        CS::set_reg(*code);
        SS::set_reg(*data);
        load_tss(*task);
        lidt(&idt_pointer);
    }
}

/// A 64-bit interrupt gate: the handler runs with interrupts off.
#[derive(Clone, Copy)]
#[repr(C)]
struct Gate {
    address_low: u16,
    selector: u16,
    /// 1 to 7: an entry of the TSS, counted from 1.
    stack: u8,
    kind: u8,
    address_middle: u16,
    address_high: u32,
    reserved: u32,
}

const PRESENT_INTERRUPT_GATE: u8 = 0x8e;

impl Gate {
    fn new(vector: u8, code: SegmentSelector) -> Self {
        let address = interrupts::stub_address(vector);
        let stack = if vector < FIRST_IRQ { FAULT_STACK } else { INTERRUPT_STACK };
        Self {
            address_low: address as u16,
            selector: code.0,
            stack: stack + 1,
            kind: PRESENT_INTERRUPT_GATE,
            address_middle: (address >> 16) as u16,
            address_high: (address >> 32) as u32,
            reserved: 0,
        }
    }
}
