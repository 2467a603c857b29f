//! Writing past the kernel's cache (`O_DIRECT`): cached content of the file is dropped from that cache.
//! The kernel does that by itself when a program waits for its write. For writes that no program waits for (aio, io_uring) it
//! does so only before they are sent, and a program that reads meanwhile leaves stale pages there for ever. A request doesn't say
//! which kind it is, so this is done for all of them, after the content has changed and before the reply.
//! Dropping a page waits for programs that read or write it, and these wait for the server. So it has a thread of its own.

use std::io;
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;

use fuser::{INodeNo, Notifier, ReplyWrite};

use super::asked::Range;

/// A write that is done except for the kernel's cache.
struct Written {
    range: Range,
    bytes: u32,
    reply: ReplyWrite,
}

/// Where such writes go.
pub(super) struct DirectWrites(Sender<Written>);

/// The receiving end, until there is a mount.
pub(super) struct Finishing(Receiver<Written>);

impl Finishing {
    /// Finishes such writes from here on, for the mount of `notifier`.
    pub(super) fn begin(self, notifier: Notifier) -> io::Result<()> {
        thread::Builder::new().name("direct".into()).spawn(move || {
            for Written { range, bytes, reply } in self.0 {
                let (offset, file) = (range.offset.cast_signed(), INodeNo(range.file.0));
                if let Err(error) = notifier.inval_inode(file, offset, bytes.into()) {
                    // The mount is gone, and its cache with it.
                    log::debug!("inode {file:?}: its pages stay: {error}");
                }
                reply.written(bytes);
            }
        })?;
        Ok(())
    }
}

impl DirectWrites {
    /// Both ends of the queue.
    pub(super) fn new() -> (Self, Finishing) {
        let (sender, receiver) = mpsc::channel();
        (Self(sender), Finishing(receiver))
    }

    /// Drops the range from the kernel's cache, and replies.
    pub(super) fn finish(&self, range: Range, bytes: u32, reply: ReplyWrite) {
        // Without the thread, the dropped reply gives the kernel an error.
        let _ = self.0.send(Written { range, bytes, reply });
    }
}
