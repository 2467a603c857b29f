//! What the kernel provides to a mount, behind safe functions: log, time, random numbers, check codes, the queue of requests.

use core::ffi::c_void;
use core::fmt::{self, Write};

use hammer2_core::fs::TimeSource;
use hammer2_core::media::Timestamp;
use hammer2_core::media::check_functions::{HostChecks, UnfitChecks, portable_xxh64, use_host_checks};
use hammer2_kmod_shim::timer::TickSource;

use crate::abi;
use crate::mailbox::Call;

/// The severity of a message.
#[derive(Clone, Copy)]
pub(crate) enum Severity {
    /// Something is lost, or can't be done.
    Error = 0,
    /// An administrator should look after something.
    Warning = 1,
    /// Something has happened.
    Notice = 2,
    /// Trouble met by a request: there may be more of it than anybody reads, and the kernel drops some.
    Complaint = 3,
}

/// A line for the kernel's log, cut off where it doesn't fit.
struct Line {
    bytes: [u8; 240],
    length: usize,
}

impl Write for Line {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let count = text.len().min(self.bytes.len() - self.length);
        self.bytes[self.length..self.length + count].copy_from_slice(&text.as_bytes()[..count]);
        self.length += count;
        Ok(())
    }
}

/// Writes a line into the kernel's log.
pub(crate) fn say(severity: Severity, words: fmt::Arguments<'_>) {
    let mut line = Line { bytes: [0; 240], length: 0 };
    // The line takes anything.
    let _ = line.write_fmt(words);
    // SAFETY: so many bytes are there.
    unsafe { abi::hammer2_host_say(severity as u32, line.bytes.as_ptr(), line.length) };
}

/// Ends the mount that this thread is inside of: requests that wait for it, and later ones, get an error. This never returns to
/// Rust.
pub(crate) fn end_mount() -> ! {
    // SAFETY: the thread is inside a mount, since only code there can panic. What that code held stays as it is, unused from now
    // on.
    unsafe { abi::hammer2_host_end_mount() }
}

/// The kernel's monotonic clock.
pub(crate) struct Ktime;

impl TickSource for Ktime {
    fn ticks(&self) -> u64 {
        abi::hammer2_host_nanoseconds()
    }

    fn ticks_per_second(&self) -> u64 {
        1_000_000_000
    }
}

/// The kernel's time of day and random numbers.
pub(crate) struct Wall;

impl TimeSource for Wall {
    fn now(&self) -> Timestamp {
        Timestamp { microseconds: abi::hammer2_host_wall_microseconds() }
    }

    fn random(&self) -> u64 {
        abi::hammer2_host_random()
    }
}

/// A mount, by its handle in C.
#[derive(Clone, Copy)]
pub(crate) struct Mount(*mut c_void);

impl Mount {
    pub(crate) fn new(mount: *mut c_void) -> Self {
        Self(mount)
    }

    /// The number of events so far: requests, and completions of devices.
    pub(crate) fn events(self) -> u64 {
        // SAFETY: the mount is there as long as `serve` runs.
        unsafe { abi::hammer2_host_events(self.0) }
    }

    /// True when the thread inside wants to leave although there is more to do.
    pub(crate) fn shall_stop(self) -> bool {
        // SAFETY: the same.
        unsafe { abi::hammer2_host_shall_stop(self.0) != 0 }
    }

    /// Lets the thread inside leave. A thread, perhaps another one, comes back when there are more events than `seen`, when the
    /// clock reaches `deadline_ns`, or with a request.
    pub(crate) fn wait(self, seen: u64, deadline_ns: u64) {
        // SAFETY: the same.
        unsafe { abi::hammer2_host_wait(self.0, seen, deadline_ns) };
    }

    /// Reports that it is mounted, or why not.
    pub(crate) fn opened(self, status: i32) {
        // SAFETY: the same; `serve` says it once.
        unsafe { abi::hammer2_host_opened(self.0, status) };
    }

    /// Paints all of the stack below this function so that it looks unused; returns how many bytes are above.
    #[cfg(feature = "selftest")]
    pub(crate) fn paint_stack(self) -> u64 {
        // SAFETY: the mount is there, and this runs on its stack.
        unsafe { abi::hammer2_host_paint_stack(self.0) }
    }

    /// The number of bytes of the stack used since it was painted, or since the beginning.
    #[cfg(feature = "selftest")]
    pub(crate) fn stack_depth(self) -> u64 {
        // SAFETY: the mount is there.
        unsafe { abi::hammer2_host_stack_depth(self.0) }
    }

    /// Keeps `site` until the devices have given back every buffer; `hammer2_forget` then gets it.
    pub(crate) fn abandon(self, site: *mut c_void) {
        // SAFETY: the mount is there as long as `serve` runs.
        unsafe { abi::hammer2_host_abandon(self.0, site) };
    }

    /// The next request, if there is one.
    pub(crate) fn next_call(self) -> Option<Call> {
        // SAFETY: the mount is there as long as `serve` runs.
        let request = unsafe { abi::hammer2_host_next(self.0) };
        // SAFETY: it is a request of this mount, and ours until it is answered.
        (!request.is_null()).then(|| unsafe { Call::new(self, request) })
    }

    /// Returns a request.
    ///
    /// # Safety
    ///
    /// It came from this mount's queue, and nobody uses it any more.
    pub(crate) unsafe fn done(self, request: *mut abi::Request) {
        // SAFETY: the caller's promise.
        unsafe { abi::hammer2_host_done(self.0, request) };
    }
}

/// Passes messages of the core on.
struct Log;

impl log::Log for Log {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        say(
            match record.level() {
                log::Level::Error => Severity::Error,
                log::Level::Warn => Severity::Warning,
                _ => Severity::Notice,
            },
            *record.args(),
        );
    }

    fn flush(&self) {}
}

/// CRC-32C by the processor's instruction, if it has one.
static CHECKS: HostChecks = HostChecks {
    // SAFETY: so many bytes are there.
    crc32c: |bytes| unsafe { abi::hammer2_host_crc32c(bytes.as_ptr(), bytes.len()) },
    xxh64: portable_xxh64,
};

/// Makes the core use the kernel's functions for check codes. The first mount does this for all.
pub(crate) fn lend_checks() {
    if let Err(error @ UnfitChecks::Differ { .. }) = use_host_checks(&CHECKS) {
        say(Severity::Warning, format_args!("{error}"));
    }
}

/// Writes messages of the core into the kernel's log.
pub(crate) fn log() {
    static LOG: Log = Log;
    // The first mount has done this.
    let _ = log::set_logger(&LOG);
    log::set_max_level(log::LevelFilter::Info);
}
