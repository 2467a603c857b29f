//! Disks in memory, made from an input's bytes.

use std::rc::Rc;

use allocator_api2::alloc::Global;
use hammer2_core::io::{Disk, DiskOptions, MemoryDevice, MemoryDisk, boxed_device};
use hammer2_core::memory::{self, Heap, NoMemory, Vec};

use crate::run::clock;

/// Memory that isn't counted, for the disks themselves.
pub const HEAP: Heap = &Global;

/// Opens a set of disks, with memory from `heap`.
pub fn open(heap: Heap, disks: &[Rc<MemoryDisk>]) -> Result<Vec<Disk>, NoMemory> {
    let mut opened = Vec::new_in(heap);
    for disk in disks {
        let device = boxed_device(heap, MemoryDevice::new(heap, disk.clone(), &"memory", 4)?)?;
        memory::push(&mut opened, Disk::new(heap, device, clock(), DiskOptions::default())?)?;
    }
    Ok(opened)
}
