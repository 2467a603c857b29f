//! `hammer2-core` inside Linux's kernel: the functions that the C part of the module calls, and the functions it provides.
//!
//! A mount has its own stack, on which [`hammer2_serve`] is called once and stays until it is unmounted. When it has to wait, it
//! stops there, and the thread that was inside leaves; it continues when the next thread comes in (in C, `module/run.c`): one
//! that has queued a request, one that a device has woken, or the mount's own thread. So one thread at a time runs everything of
//! the core, and what is made inside stays inside. The interface is in `src/abi.rs` and in `module/hammer2_abi.h`, which are
//! compared when the module is loaded.
#![no_std]
#![deny(unsafe_op_in_unsafe_fn)]

mod abi;
mod attendant;
mod crew;
mod device;
mod facts;
mod foreman;
mod heap;
mod host;
mod mailbox;
mod mount;
mod operations;
#[cfg(feature = "selftest")]
mod selftest;

use core::ffi::c_void;
use core::panic::PanicInfo;

use heap::Kvmalloc;
use host::Severity;

#[global_allocator]
static GLOBAL: Kvmalloc = Kvmalloc;

/// Only code inside a mount can panic, so the panic is that mount's.
#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    let (file, line) = info.location().map_or(("", 0), |at| (at.file(), at.line()));
    host::say(Severity::Error, format_args!("panic at {file}:{line}: {}", info.message()));
    host::end_mount()
}

/// Mounts what `config` says, serves the requests of `mount` until one asks to unmount, and unmounts. It is called on the mount's
/// stack; `hammer2_host_opened` is told whether it is mounted.
///
/// # Safety
///
/// `mount` is the handle that the functions of the host take. `config` is a `struct hammer2_config`; it and everything it points
/// to must stay unchanged until this returns.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn hammer2_serve(mount: *mut c_void, config: *const c_void) {
    // SAFETY: the caller's promise.
    let (mount, config) = (host::Mount::new(mount), unsafe { &*config.cast::<abi::Config>() });
    match config.is_selftest {
        0 => mount::serve(mount, config),
        _ => serve_selftest(mount),
    }
}

/// Frees the memory of a mount that ended while devices still had buffers of it, once they have given them back.
///
/// # Safety
///
/// `site` must be what `hammer2_host_abandon` got, and is passed only once.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn hammer2_forget(site: *mut c_void) {
    // SAFETY: the caller's promise.
    unsafe { mount::forget(site) };
}

#[cfg(feature = "selftest")]
use selftest::serve as serve_selftest;

#[cfg(not(feature = "selftest"))]
fn serve_selftest(mount: host::Mount) {
    const EOPNOTSUPP: i32 = 95;
    host::say(
        Severity::Error,
        format_args!(
            "selftest: this module was built without the suite; `scripts/kmod --selftest` builds one that has it"
        ),
    );
    mount.opened(-EOPNOTSUPP);
}

/// The layout of the structures that C and Rust share: `count` numbers in the order of `HAMMER2_LAYOUT` in the header.
#[unsafe(no_mangle)]
pub extern "C" fn hammer2_layout(count: &mut u32) -> *const u32 {
    *count = abi::LAYOUT.len() as u32;
    abi::LAYOUT.as_ptr()
}
