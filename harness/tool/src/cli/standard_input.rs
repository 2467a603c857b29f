//! Standard input, read by a thread of its own, so that the caller can look after a mount while it waits.

use std::io::{self, Read};
use std::sync::mpsc;
use std::thread;

use futures_channel::oneshot;

/// A buffer to be filled, and where to send it then.
type Request = (Vec<u8>, oneshot::Sender<io::Result<Vec<u8>>>);

pub(super) struct StandardInput(mpsc::Sender<Request>);

impl StandardInput {
    pub(super) fn open() -> Self {
        let (requests, received) = mpsc::channel::<Request>();
        // Ends with the process, or when nobody asks any more.
        thread::spawn(move || {
            for (mut buffer, asker) in received {
                let filled = fill(&mut io::stdin().lock(), &mut buffer).map(|count| {
                    buffer.truncate(count);
                    buffer
                });
                // The caller may have given up.
                let _ = asker.send(filled);
            }
        });
        Self(requests)
    }

    /// The next bytes, as many as `buffer` has unless the input ends before.
    pub(super) async fn read(&self, buffer: Vec<u8>) -> io::Result<Vec<u8>> {
        let gone = || io::Error::other("the thread that reads it has ended");
        let (asker, filled) = oneshot::channel();
        self.0.send((buffer, asker)).map_err(|_| gone())?;
        filled.await.map_err(|_| gone())?
    }
}

/// Reads until the buffer is full or nothing more comes: pipes give little at a time.
fn fill(from: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match from.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}
