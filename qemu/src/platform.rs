//! What this kernel provides to the shim and the core: memory, the disks it finds, a clock, a place to wait.

use core::alloc::Layout;
use core::future::poll_fn;
use core::mem::MaybeUninit;
use core::ptr::NonNull;
use core::task::Poll;

use allocator_api2::alloc::Allocator;
use hammer2_core::io::{Clock, DeviceName, Duration};
use hammer2_core::memory::{self, Box, Heap, NoMemory, Vec};
use hammer2_kmod_shim::budget::Budget;
use hammer2_kmod_shim::executor::{Executor, Machine};
use hammer2_kmod_shim::heap::KernelHeap;
use hammer2_kmod_shim::pci::{self, Found, Place, PortAccess, Ports};
use hammer2_kmod_shim::timer::{TickSource, Timer};
use hammer2_kmod_shim::virtio_blk::VirtioBlk;
use log::error;
use virtio_drivers::transport::pci::PciTransport;
use virtio_drivers::{BufferDirection, Hal, PAGE_SIZE, PhysAddr};
use x86_64::instructions::port::Port;

use crate::interrupts::{self, pic};
use crate::println;
use crate::slots;
use crate::time::Tsc;

/// This is also the global allocator, since the `alloc` crate is linked; nothing here allocates in a way that can't fail.
#[global_allocator]
static HEAP: KernelHeap = KernelHeap::empty();

/// All the machine's memory.
pub(crate) const MEMORY: Heap = &HEAP;

/// The default memory of a mount, and a little more for what it gets at its start.
const CORE_BUDGET_BYTES: usize = 17 << 20;

pub(crate) static CORE_BUDGET: Budget<&KernelHeap> = Budget::new(&HEAP, CORE_BUDGET_BYTES);

/// The memory the core may use for the filesystems on the disks.
pub(crate) const CORE_MEMORY: Heap = &CORE_BUDGET;

/// The memory that a mount of four nodes is told it has, which is the most it takes.
pub(crate) const CLUSTER_MOUNT_BYTES: usize = 24 << 20;
const CLUSTER_BUDGET_BYTES: usize = 32 << 20;

pub(crate) static CLUSTER_BUDGET: Budget<&KernelHeap> = Budget::new(&HEAP, CLUSTER_BUDGET_BYTES);

/// The memory the core may use for a cluster.
pub(crate) const CLUSTER_MEMORY: Heap = &CLUSTER_BUDGET;

/// Memory that the self-tests limit as they like.
pub(crate) static METERED: Budget<&KernelHeap> = Budget::new(&HEAP, usize::MAX);

/// The number of tasks that may wait for an alarm at the same time without polling.
const ALARMS: usize = 256;

/// A virtio disk.
pub(crate) type BlockDriver = VirtioBlk<IdentityMap, PciTransport>;

/// The machine, once it is set up.
pub(crate) struct Platform {
    /// The disks in the order of their PCI slots, which is QEMU's order on its command line.
    pub(crate) disks: Vec<&'static BlockDriver>,
    /// The place of each disk.
    places: Vec<Place>,
    /// The clock.
    pub(crate) timer: &'static Timer<Tsc>,
    /// The rate of the TSC.
    pub(crate) ticks_per_second: u64,
    /// Memory that was free at the start.
    pub(crate) memory_bytes: usize,
}

impl Platform {
    /// Takes the machine over: memory, timer, disks.
    pub(crate) fn start(free_memory: &'static mut [MaybeUninit<u8>]) -> Result<Self, NoMemory> {
        let memory_bytes = free_memory.len();
        HEAP.add(free_memory);
        pic::start();
        let tsc = Tsc::calibrate();
        let ticks_per_second = tsc.ticks_per_second();
        let timer = leak(Timer::new(MEMORY, tsc, ALARMS)?)?;
        let mut platform =
            Self { disks: Vec::new_in(MEMORY), places: Vec::new_in(MEMORY), timer, ticks_per_second, memory_bytes };
        let mut out_of_memory = false;
        pci::for_each_block_device::<IdentityMap, _>(PortAccess(CpuPorts), |found| match found {
            Ok(found) => out_of_memory |= platform.attach(found).is_err(),
            Err((function, error)) => error!("PCI {function}: {error}"),
        });
        if out_of_memory { Err(NoMemory) } else { Ok(platform) }
    }

    fn attach(&mut self, found: Found) -> Result<(), NoMemory> {
        let mut name = heapless::String::<16>::new();
        // The name of a slot is shorter.
        let _ = core::fmt::write(&mut name, format_args!("virtio {}", found.function));
        let name = DeviceName::new(leak(leak(name)?.as_str())?);
        match VirtioBlk::new(MEMORY, found.transport, name) {
            Ok(driver) => {
                pic::enable_device(found.interrupt_line);
                memory::push(&mut self.places, Place::of(&PortAccess(CpuPorts), found.function))?;
                memory::push(&mut self.disks, leak(driver)?)
            }
            Err(error) => {
                error!("{name}: {error}");
                Ok(())
            }
        }
    }

    /// Releases disks that are to be taken out, and takes in those that are put back in their places.
    pub(crate) fn serve_slots(&self) {
        let (leaving, arrived) = (slots::leaving(), slots::arrived());
        for (disk, place) in self.disks.iter().zip(&self.places) {
            let slot = 1 << place.function.device;
            if leaving & slot != 0 && disk.take_out() {
                slots::eject(slot);
                println!("kernel: the disk in slot {} is taken out", place.function.device);
            }
            if arrived & slot != 0 {
                put_back(disk, place);
            }
        }
    }

    /// Runs a future, and the tasks it spawns on `executor`.
    pub(crate) fn run<F: Future>(&self, executor: &Executor<'_>, main: F) -> F::Output {
        executor.block_on(self, main)
    }

    /// Ready once `pause` is over.
    pub(crate) async fn sleep(&self, pause: Duration) {
        let end = self.timer.now().after(pause);
        poll_fn(|cx| {
            if self.timer.now() >= end {
                return Poll::Ready(());
            }
            self.timer.wake_at(end, cx.waker());
            Poll::Pending
        })
        .await;
    }
}

impl Machine for Platform {
    fn turn(&self) {
        interrupts::serve_devices(|| self.disks.iter().for_each(|disk| disk.acknowledge_interrupt()));
        self.disks.iter().for_each(|disk| disk.turn());
        self.timer.ring_due();
    }

    fn wait(&self, _: &dyn Fn() -> bool) {
        // No handler wakes a task, so nothing can have changed since the executor looked.
        interrupts::wait();
    }
}

/// Continues with the disk that is now in a place.
fn put_back(disk: &BlockDriver, place: &Place) {
    match place.switch_on::<IdentityMap, _>(PortAccess(CpuPorts)) {
        None => {}
        Some(Err(error)) => error!("PCI {}: {error}", place.function),
        Some(Ok(transport)) => match disk.put_back(transport) {
            Ok(()) => println!("kernel: a disk is put into slot {}", place.function.device),
            Err(error) => error!("PCI {}: {error}", place.function),
        },
    }
}

/// Puts `value` into memory that stays for as long as the machine runs.
pub(crate) fn leak<T: 'static>(value: T) -> Result<&'static T, NoMemory> {
    Ok(Box::leak(memory::boxed(MEMORY, value)?))
}

/// Translates addresses: virtual addresses are physical addresses here.
pub(crate) struct IdentityMap;

fn pages_layout(pages: usize) -> Option<Layout> {
    Layout::from_size_align(pages.checked_mul(PAGE_SIZE)?, PAGE_SIZE).ok()
}

// SAFETY: the identity map covers all memory and all devices; DMA memory is the heap's, page aligned and zeroed.
unsafe impl Hal for IdentityMap {
    fn dma_alloc(pages: usize, _: BufferDirection) -> (PhysAddr, NonNull<u8>) {
        match pages_layout(pages).and_then(|layout| HEAP.allocate_zeroed(layout).ok()) {
            Some(block) => (block.cast::<u8>().addr().get() as PhysAddr, block.cast()),
            // The address 0 means that there is none.
            None => (0, NonNull::dangling()),
        }
    }

    unsafe fn dma_dealloc(_: PhysAddr, start: NonNull<u8>, pages: usize) -> i32 {
        let Some(layout) = pages_layout(pages) else { return -1 };
        // SAFETY: the caller's promise: it comes from `dma_alloc`, with as many pages.
        unsafe { HEAP.deallocate(start, layout) };
        0
    }

    unsafe fn mmio_phys_to_virt(address: PhysAddr, _: usize) -> NonNull<u8> {
        NonNull::new(core::ptr::with_exposed_provenance_mut(address as usize)).unwrap_or(NonNull::dangling())
    }

    unsafe fn share(buffer: NonNull<[u8]>, _: BufferDirection) -> PhysAddr {
        buffer.cast::<u8>().as_ptr().expose_provenance() as PhysAddr
    }

    unsafe fn unshare(_: PhysAddr, _: NonNull<[u8]>, _: BufferDirection) {}
}

/// The CPU's port instructions.
#[derive(Clone, Copy)]
struct CpuPorts;

impl Ports for CpuPorts {
    fn write(self, port: u16, value: u32) {
        // SAFETY: the PCI scan writes its own two ports only.
        unsafe { Port::new(port).write(value) };
    }

    fn read(self, port: u16) -> u32 {
        // SAFETY: as above.
        unsafe { Port::new(port).read() }
    }
}
