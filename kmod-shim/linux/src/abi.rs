//! Structures and functions shared by C and Rust. `module/hammer2_abi.h` has the same; the module compares its layout with
//! [`LAYOUT`] and refuses to be loaded if they differ.

use core::ffi::c_void;
use core::mem::{offset_of, size_of};

/// What a request asks for.
pub(crate) mod op {
    pub(crate) const LOOKUP: u32 = 1;
    pub(crate) const GETATTR: u32 = 2;
    pub(crate) const SETATTR: u32 = 3;
    pub(crate) const READDIR: u32 = 4;
    pub(crate) const READLINK: u32 = 5;
    pub(crate) const READ: u32 = 6;
    pub(crate) const WRITE: u32 = 7;
    pub(crate) const CREATE: u32 = 8;
    pub(crate) const LINK: u32 = 9;
    pub(crate) const UNLINK: u32 = 10;
    pub(crate) const RMDIR: u32 = 11;
    pub(crate) const RENAME: u32 = 12;
    pub(crate) const EXCHANGE: u32 = 13;
    pub(crate) const RELEASE: u32 = 14;
    pub(crate) const STATFS: u32 = 15;
    pub(crate) const SYNC: u32 = 16;
    pub(crate) const UNMOUNT: u32 = 17;
    pub(crate) const SEEK_DATA: u32 = 18;
    pub(crate) const SEEK_HOLE: u32 = 19;
    pub(crate) const ALLOCATE: u32 = 20;
    pub(crate) const TRIM: u32 = 21;
    pub(crate) const SNAPSHOT: u32 = 22;
    pub(crate) const PANIC: u32 = 23;
    pub(crate) const STATUS: u32 = 24;
    pub(crate) const ORDER: u32 = 25;
    pub(crate) const OUTCOME: u32 = 26;
}

/// Which of [`Request::attributes`] are to be set.
pub(crate) mod set {
    pub(crate) const MODE: u32 = 1;
    pub(crate) const UID: u32 = 2;
    pub(crate) const GID: u32 = 4;
    pub(crate) const SIZE: u32 = 8;
    pub(crate) const ATIME: u32 = 16;
    pub(crate) const MTIME: u32 = 32;
    pub(crate) const CTIME: u32 = 64;
}

/// For [`op::RENAME`]: the new name must be free.
pub(crate) const FLAG_NO_REPLACE: u32 = 1;
/// For [`op::READDIR`], in the answer: entries are missing.
pub(crate) const FLAG_DAMAGED: u32 = 2;
/// For [`op::ALLOCATE`]: the file's end stays where it is.
pub(crate) const FLAG_KEEP_SIZE: u32 = 4;
/// For [`op::ALLOCATE`]: zeros in place of the content, instead of room.
pub(crate) const FLAG_ZERO_RANGE: u32 = 8;
/// For [`op::ALLOCATE`]: zeros in place of the content, but never beyond the file's end.
pub(crate) const FLAG_PUNCH_HOLE: u32 = 16;

/// For `hammer2_host_submit`: the operations of a device.
pub(crate) mod device {
    pub(crate) const READ: u32 = 0;
    pub(crate) const WRITE: u32 = 1;
    pub(crate) const FLUSH: u32 = 2;
    pub(crate) const DISCARD: u32 = 3;
}

/// The answer of `hammer2_host_status` for a request under way.
pub(crate) const UNDER_WAY: i32 = 1;

/// The attributes of a file.
#[repr(C)]
#[derive(Clone, Copy, Default)]
pub(crate) struct Attributes {
    pub(crate) inum: u64,
    pub(crate) size: u64,
    pub(crate) stored_bytes: u64,
    pub(crate) links: u64,
    pub(crate) atime_us: u64,
    pub(crate) mtime_us: u64,
    pub(crate) ctime_us: u64,
    pub(crate) mode: u32,
    pub(crate) kind: u32,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) major: u32,
    pub(crate) minor: u32,
}

/// Bytes that belong to C: names, targets, labels.
#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct Text {
    pub(crate) bytes: *const u8,
    pub(crate) length: u64,
}

/// The number of further files whose changed attributes an answer can include.
pub(crate) const REFRESHED: usize = 4;

/// A request, and its answer. It belongs to Rust from `hammer2_host_next` to `hammer2_host_done`.
#[repr(C)]
pub(crate) struct Request {
    pub(crate) op: u32,
    pub(crate) flags: u32,
    /// The file, or the directory of `name`.
    pub(crate) inum: u64,
    /// The directory of `other_name`, or the file to be linked.
    pub(crate) other: u64,
    /// A file that loses its last name while its content may be in use: it is kept until [`op::RELEASE`].
    pub(crate) kept: u64,
    pub(crate) offset: u64,
    pub(crate) name: Text,
    /// The second name, or the target of a symbolic link.
    pub(crate) other_name: Text,
    pub(crate) buffer: *mut u8,
    /// Or the length of the range of [`op::ALLOCATE`].
    pub(crate) buffer_length: u64,
    /// The result: bytes, a place or 0, or a negative error number.
    pub(crate) result: i64,
    /// For [`op::READDIR`]: where to continue; 0 at the end.
    pub(crate) next: u64,
    /// Which attributes are to be set.
    pub(crate) set: u32,
    pub(crate) reserved: u32,
    /// The attributes that a file is to get, and those it has afterwards.
    pub(crate) attributes: Attributes,
    /// Files whose number is here get their attributes filled in.
    pub(crate) refreshed: [Attributes; REFRESHED],
    /// For [`op::STATFS`].
    pub(crate) total_bytes: u64,
    pub(crate) free_bytes: u64,
    pub(crate) available_bytes: u64,
    pub(crate) inodes: u64,
}

/// A device of a mount.
#[repr(C)]
pub(crate) struct Device {
    /// The handle that the functions of the host take.
    pub(crate) device: *mut c_void,
    pub(crate) size_bytes: u64,
    pub(crate) name: Text,
    /// The node of which it is a volume.
    pub(crate) node: u32,
    pub(crate) is_read_only: u32,
}

/// What to mount, and how.
#[repr(C)]
pub(crate) struct Config {
    pub(crate) devices: *const Device,
    pub(crate) device_count: u64,
    /// The label of the PFS; empty for the default.
    pub(crate) label: Text,
    pub(crate) memory_bytes: u64,
    pub(crate) sync_seconds: u32,
    /// The number of requests that a device takes at a time.
    pub(crate) queue_depth: u32,
    pub(crate) is_writable: u32,
    /// If not 0, nothing is mounted: the suite of the core is run, and `hammer2_host_opened` gets its result.
    pub(crate) is_selftest: u32,
}

/// Sizes and offsets, in the order of `HAMMER2_LAYOUT` in the header.
pub(crate) static LAYOUT: [u32; 57] = [
    size_of::<Attributes>() as u32,
    offset_of!(Attributes, inum) as u32,
    offset_of!(Attributes, size) as u32,
    offset_of!(Attributes, stored_bytes) as u32,
    offset_of!(Attributes, links) as u32,
    offset_of!(Attributes, atime_us) as u32,
    offset_of!(Attributes, mtime_us) as u32,
    offset_of!(Attributes, ctime_us) as u32,
    offset_of!(Attributes, mode) as u32,
    offset_of!(Attributes, kind) as u32,
    offset_of!(Attributes, uid) as u32,
    offset_of!(Attributes, gid) as u32,
    offset_of!(Attributes, major) as u32,
    offset_of!(Attributes, minor) as u32,
    size_of::<Text>() as u32,
    offset_of!(Text, bytes) as u32,
    offset_of!(Text, length) as u32,
    size_of::<Request>() as u32,
    offset_of!(Request, op) as u32,
    offset_of!(Request, flags) as u32,
    offset_of!(Request, inum) as u32,
    offset_of!(Request, other) as u32,
    offset_of!(Request, kept) as u32,
    offset_of!(Request, offset) as u32,
    offset_of!(Request, name) as u32,
    offset_of!(Request, other_name) as u32,
    offset_of!(Request, buffer) as u32,
    offset_of!(Request, buffer_length) as u32,
    offset_of!(Request, result) as u32,
    offset_of!(Request, next) as u32,
    offset_of!(Request, set) as u32,
    offset_of!(Request, attributes) as u32,
    offset_of!(Request, refreshed) as u32,
    REFRESHED as u32,
    offset_of!(Request, total_bytes) as u32,
    offset_of!(Request, free_bytes) as u32,
    offset_of!(Request, available_bytes) as u32,
    offset_of!(Request, inodes) as u32,
    size_of::<Device>() as u32,
    offset_of!(Device, device) as u32,
    offset_of!(Device, size_bytes) as u32,
    offset_of!(Device, name) as u32,
    offset_of!(Device, node) as u32,
    offset_of!(Device, is_read_only) as u32,
    size_of::<Config>() as u32,
    offset_of!(Config, devices) as u32,
    offset_of!(Config, device_count) as u32,
    offset_of!(Config, label) as u32,
    offset_of!(Config, memory_bytes) as u32,
    offset_of!(Config, sync_seconds) as u32,
    offset_of!(Config, queue_depth) as u32,
    offset_of!(Config, is_writable) as u32,
    offset_of!(Config, is_selftest) as u32,
    op::OUTCOME,
    set::CTIME,
    FLAG_PUNCH_HOLE,
    device::DISCARD,
];

// SAFETY: the C part defines all of these, with the types that its header and this list have.
unsafe extern "C" {
    pub(crate) fn hammer2_host_allocate(bytes: usize, alignment: usize) -> *mut u8;
    pub(crate) fn hammer2_host_free(block: *mut u8, bytes: usize, alignment: usize);
    pub(crate) fn hammer2_host_say(severity: u32, bytes: *const u8, length: usize);
    pub(crate) fn hammer2_host_end_mount() -> !;
    pub(crate) safe fn hammer2_host_nanoseconds() -> u64;
    pub(crate) safe fn hammer2_host_wall_microseconds() -> u64;
    pub(crate) safe fn hammer2_host_random() -> u64;
    pub(crate) fn hammer2_host_crc32c(bytes: *const u8, length: usize) -> u32;
    pub(crate) fn hammer2_host_events(mount: *mut c_void) -> u64;
    pub(crate) fn hammer2_host_shall_stop(mount: *mut c_void) -> u32;
    pub(crate) fn hammer2_host_wait(mount: *mut c_void, seen: u64, deadline_ns: u64);
    pub(crate) fn hammer2_host_next(mount: *mut c_void) -> *mut Request;
    pub(crate) fn hammer2_host_done(mount: *mut c_void, request: *mut Request);
    pub(crate) fn hammer2_host_opened(mount: *mut c_void, status: i32);
    #[cfg(feature = "selftest")]
    pub(crate) fn hammer2_host_paint_stack(mount: *mut c_void) -> u64;
    #[cfg(feature = "selftest")]
    pub(crate) fn hammer2_host_stack_depth(mount: *mut c_void) -> u64;
    pub(crate) fn hammer2_host_submit(
        device: *mut c_void,
        ticket: u32,
        op: u32,
        offset: u64,
        buffer: *mut u8,
        length: u64,
    );
    pub(crate) fn hammer2_host_status(device: *mut c_void, ticket: u32) -> i32;
    pub(crate) fn hammer2_host_reopen(device: *mut c_void) -> i32;
    pub(crate) fn hammer2_host_size(device: *mut c_void) -> u64;
    pub(crate) fn hammer2_host_drain(device: *mut c_void) -> u32;
    pub(crate) fn hammer2_host_abandon(mount: *mut c_void, site: *mut c_void);
}
