//! Writes by Linux's asynchronous I/O, which no program waits for one by one.

use std::fs::File;
use std::os::fd::AsRawFd as _;
use std::{io, ptr};

/// A request, in the kernel's layout.
#[repr(C)]
#[derive(Default)]
struct Request {
    data: u64,
    key: u32,
    flags: u32,
    operation: u16,
    priority: i16,
    file: u32,
    buffer: u64,
    bytes: u64,
    offset: i64,
    reserved: u64,
    more_flags: u32,
    event_file: u32,
}

/// The result of a request.
#[repr(C)]
#[derive(Clone, Default)]
struct Event {
    data: u64,
    request: u64,
    result: i64,
    more: i64,
}

const WRITE: u16 = 1;

/// A queue for requests, until it is dropped.
pub(crate) struct Queue(libc::c_ulong);

fn done(result: libc::c_long) -> libc::c_long {
    assert!(result >= 0, "{}", io::Error::last_os_error());
    result
}

impl Queue {
    pub(crate) fn new(depth: usize) -> Self {
        let mut context: libc::c_ulong = 0;
        // SAFETY: the context is where the kernel writes one.
        done(unsafe { libc::syscall(libc::SYS_io_setup, depth, &raw mut context) });
        Self(context)
    }

    /// Writes all of them at the same time, and waits for the end of the last.
    pub(crate) fn write_all(&self, file: &File, writes: &[(u64, &[u8])]) {
        let request = |(offset, bytes): &(u64, &[u8])| Request {
            operation: WRITE,
            file: file.as_raw_fd() as u32,
            buffer: bytes.as_ptr() as u64,
            bytes: bytes.len() as u64,
            offset: *offset as i64,
            ..Request::default()
        };
        let mut requests: Vec<Request> = writes.iter().map(request).collect();
        let mut pointers: Vec<*mut Request> = requests.iter_mut().map(ptr::from_mut).collect();
        let mut submitted = 0;
        while submitted < pointers.len() {
            let (left, first) = (pointers.len() - submitted, pointers[submitted..].as_mut_ptr());
            // SAFETY: the requests and what they write are there until all of them have ended.
            submitted += done(unsafe { libc::syscall(libc::SYS_io_submit, self.0, left, first) }) as usize;
        }
        let mut events = vec![Event::default(); writes.len()];
        let (count, first) = (writes.len(), events.as_mut_ptr());
        let no_limit = ptr::null::<libc::timespec>();
        // SAFETY: there is room for so many events.
        let ended = done(unsafe { libc::syscall(libc::SYS_io_getevents, self.0, count, count, first, no_limit) });
        assert_eq!(ended as usize, count);
        for event in events {
            let written = requests.iter().find(|request| ptr::from_ref(*request) as u64 == event.request).unwrap();
            assert_eq!(event.result, written.bytes as i64, "{}", io::Error::from_raw_os_error(-event.result as i32));
        }
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        // SAFETY: nothing is under way any more.
        unsafe { libc::syscall(libc::SYS_io_destroy, self.0) };
    }
}
