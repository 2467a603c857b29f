//! What the PVH loader hands over: the command line and the memory map.

use core::ffi::CStr;
use core::mem::MaybeUninit;
use core::ptr::NonNull;
use core::slice;

/// `hvm_start_info`, version 1.
#[repr(C)]
pub(crate) struct StartInfo {
    magic: u32,
    version: u32,
    flags: u32,
    modules: u32,
    module_list: u64,
    command_line: u64,
    rsdp: u64,
    memory_map: u64,
    memory_map_entries: u32,
    reserved: u32,
}

#[repr(C)]
struct MemoryMapEntry {
    address: u64,
    bytes: u64,
    kind: u32,
    reserved: u32,
}

const MAGIC: u32 = 0x336e_c578;
const KIND_RAM: u32 = 1;

/// The identity map is cached up to here; what lies above is left to the devices.
const USABLE_END: u64 = 3 << 30;

unsafe extern "C" {
    static image_end: u8;
}

impl StartInfo {
    /// The kernel's command line; empty if it isn't text.
    pub(crate) fn command_line(&self) -> &'static str {
        if self.command_line == 0 {
            return "";
        }
        // SAFETY: the loader's NUL-terminated string, in memory that the heap leaves alone.
        unsafe { CStr::from_ptr(self.command_line as *const _) }.to_str().unwrap_or("")
    }

    /// The largest free stretch of memory: above the kernel, and above what the loader has left there.
    pub(crate) fn free_memory(&self) -> Option<NonNull<[MaybeUninit<u8>]>> {
        if self.magic != MAGIC || self.version < 1 {
            return None;
        }
        // SAFETY: the loader's table.
        let map = unsafe {
            slice::from_raw_parts(self.memory_map as *const MemoryMapEntry, self.memory_map_entries as usize)
        };
        let taken_end = (&raw const image_end as u64).max(self.loader_end());
        let free = map.iter().filter(|entry| entry.kind == KIND_RAM).map(|entry| {
            let start = entry.address.max(taken_end);
            (start, entry.address.saturating_add(entry.bytes).min(USABLE_END).saturating_sub(start))
        });
        let (start, bytes) = free.max_by_key(|(_, bytes)| *bytes).filter(|(_, bytes)| *bytes > 0)?;
        Some(NonNull::slice_from_raw_parts(NonNull::new(start as *mut _)?, bytes as usize))
    }

    /// The end of the loader's tables if they lie above the kernel's start; QEMU puts them below it.
    fn loader_end(&self) -> u64 {
        let map_bytes = u64::from(self.memory_map_entries) * size_of::<MemoryMapEntry>() as u64;
        let command_line_bytes = self.command_line().len() as u64 + 1;
        let own_end = &raw const *self as u64 + size_of::<Self>() as u64;
        own_end.max(self.memory_map + map_bytes).max(self.command_line + command_line_bytes)
    }
}
