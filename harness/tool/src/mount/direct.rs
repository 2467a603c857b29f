//! Writing past the kernel's cache (`O_DIRECT`): what others have of the file's content in that cache is taken out of it.
//!
//! The kernel does that by itself when a program waits for its write. For writes that nobody waits for (aio, io_uring) it does so
//! only before they are sent, and whoever reads meanwhile leaves stale pages there for ever. Which kind a write is, nobody says;
//! so it is done for all of them, after the content has changed and before the kernel is told that it has.
//!
//! Taking a page out waits for whoever reads or writes it, and these wait for the server. So it has a thread of its own.

use std::io;
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;

use fuser::{INodeNo, Notifier, ReplyWrite};

use super::asked::Range;

/// A write that is done, but for the kernel's cache.
struct Written {
    range: Range,
    bytes: u32,
    reply: ReplyWrite,
}

/// Where such writes go.
pub(super) struct DirectWrites(Sender<Written>);

/// What becomes of them, once there is a mount.
pub(super) struct Finishing(Receiver<Written>);

impl Finishing {
    /// Finishes them from here on, for the mount that is told by `notifier`.
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
    /// None yet; and who is to finish them.
    pub(super) fn new() -> (Self, Finishing) {
        let (sender, receiver) = mpsc::channel();
        (Self(sender), Finishing(receiver))
    }

    /// Takes out of the kernel's cache what was there, and replies.
    pub(super) fn finish(&self, range: Range, bytes: u32, reply: ReplyWrite) {
        // Without the thread nobody replies, and the kernel is told an error.
        let _ = self.0.send(Written { range, bytes, reply });
    }
}
