//! Requests on their way through Rust: each is answered exactly once, whatever happens.

use core::cell::{Cell, RefCell};
use core::slice;
use core::task::{Context, Poll, Waker};

use crate::abi::{Request, Text};
use crate::host::Mount;

const EIO: i64 = 5;

/// A request that nobody else has. It is answered when this is dropped.
pub(crate) struct Call {
    mount: Mount,
    request: *mut Request,
}

/// The names and memory of a request.
pub(crate) struct Parts<'c> {
    pub(crate) request: &'c mut Request,
    pub(crate) name: &'c [u8],
    pub(crate) other_name: &'c [u8],
    pub(crate) buffer: &'c mut [u8],
}

impl Call {
    /// Takes over a request.
    ///
    /// # Safety
    ///
    /// The request must come from the queue of `mount`, its pointers must be null or lead to as many bytes as it says, and nobody
    /// else may use any of that before it is answered.
    pub(crate) unsafe fn new(mount: Mount, request: *mut Request) -> Self {
        // SAFETY: the caller's promise. A request that is dropped unanswered returns an error.
        unsafe { (*request).result = -EIO };
        Self { mount, request }
    }

    pub(crate) fn op(&self) -> u32 {
        // SAFETY: the request is ours.
        unsafe { (*self.request).op }
    }

    pub(crate) fn answer(&mut self, result: i64) {
        // SAFETY: the request is ours.
        unsafe { (*self.request).result = result };
    }

    pub(crate) fn parts(&mut self) -> Parts<'_> {
        // SAFETY: the request is ours, and only this reference leads to it for as long as that lives.
        let request = unsafe { &mut *self.request };
        let buffer = match request.buffer.is_null() {
            true => &mut [][..],
            // SAFETY: so many bytes are there, and nobody else uses them before the answer.
            false => unsafe { slice::from_raw_parts_mut(request.buffer, request.buffer_length as usize) },
        };
        // SAFETY: the texts are C's, and stay as they are until the answer.
        let (name, other_name) = unsafe { (request.name.bytes(), request.other_name.bytes()) };
        Parts { request, name, other_name, buffer }
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        // SAFETY: it is from this mount's queue, and goes.
        unsafe { self.mount.done(self.request) };
    }
}

impl Text {
    /// The bytes.
    ///
    /// # Safety
    ///
    /// They must exist and stay unchanged for `'t`.
    pub(crate) unsafe fn bytes<'t>(&self) -> &'t [u8] {
        match self.bytes.is_null() {
            true => &[],
            // SAFETY: the caller's promise.
            false => unsafe { slice::from_raw_parts(self.bytes, self.length as usize) },
        }
    }
}

/// Tasks that wait for requests, and the number of requests under way.
#[derive(Default)]
pub(crate) struct Mailbox {
    waiting: RefCell<Option<Waker>>,
    under_way: Cell<u32>,
    /// The request to unmount.
    unmount: RefCell<Option<Call>>,
}

/// Work during which the mount doesn't end.
pub(crate) struct Begun<'m>(&'m Mailbox);

impl Mailbox {
    /// Wakes the tasks that wait: something has come, or has ended.
    pub(crate) fn ring(&self) {
        if let Some(waker) = self.waiting.borrow_mut().take() {
            waker.wake();
        }
    }

    pub(crate) fn begin(&self) -> Begun<'_> {
        self.under_way.set(self.under_way.get() + 1);
        Begun(self)
    }

    /// True when the mount is to end: nothing more is begun.
    pub(crate) fn is_ending(&self) -> bool {
        self.unmount.borrow().is_some()
    }

    pub(crate) fn end(&self, unmount: Call) {
        *self.unmount.borrow_mut() = Some(unmount);
    }

    pub(crate) fn take_unmount(&self) -> Option<Call> {
        self.unmount.borrow_mut().take()
    }

    /// Ready when the mount is to end and nothing is under way; woken at each change.
    pub(crate) fn poll_ended(&self, cx: &mut Context<'_>) -> Poll<()> {
        *self.waiting.borrow_mut() = Some(cx.waker().clone());
        if self.is_ending() && self.under_way.get() == 0 { Poll::Ready(()) } else { Poll::Pending }
    }
}

impl Drop for Begun<'_> {
    fn drop(&mut self) {
        self.0.under_way.set(self.0.under_way.get() - 1);
        // Only the end of the mount waits for this.
        if self.0.is_ending() {
            self.0.ring();
        }
    }
}
