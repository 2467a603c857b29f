//! An export of an NBD server that can be made to hang, and to go on.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::net::TcpListener;
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex};
use std::thread;

use nbd::server::{Export as Served, handshake, transmission};

/// Whether it hangs.
#[derive(Default)]
struct Gate {
    is_closed: Mutex<bool>,
    opened: Condvar,
}

impl Gate {
    fn pass(&self) {
        drop(self.opened.wait_while(self.is_closed.lock().unwrap(), |is_closed| *is_closed).unwrap());
    }

    fn set(&self, is_closed: bool) {
        *self.is_closed.lock().unwrap() = is_closed;
        self.opened.notify_all();
    }
}

/// An image behind a gate.
struct Gated {
    file: File,
    gate: Arc<Gate>,
}

impl Read for Gated {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        self.gate.pass();
        self.file.read(bytes)
    }
}

impl Write for Gated {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.gate.pass();
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.gate.pass();
        self.file.sync_data()
    }
}

impl Seek for Gated {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.file.seek(to)
    }
}

/// An image that is served until the test ends.
pub(crate) struct Export {
    port: u16,
    gate: Arc<Gate>,
}

impl Export {
    pub(crate) fn of(image: PathBuf) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let gate = Arc::<Gate>::default();
        let export = Self { port, gate: gate.clone() };
        thread::spawn(move || {
            for socket in listener.incoming() {
                let (mut socket, gate) = (socket.unwrap(), gate.clone());
                let Ok(file) = File::options().read(true).write(true).open(&image) else { return };
                let size = file.metadata().unwrap().len();
                thread::spawn(move || {
                    let exports = |_: &str| Ok(Served::<()> { size, ..Served::default() });
                    if handshake(&mut socket, exports).is_ok() {
                        // Ends with the connection.
                        let _ = transmission(socket, Gated { file, gate });
                    }
                });
            }
        });
        export
    }

    /// What it is called on a host of this name.
    pub(crate) fn name(&self, host: &str) -> String {
        format!("nbd://{host}:{}/data", self.port)
    }

    /// From here on it answers nothing.
    pub(crate) fn stall(&self) {
        self.gate.set(true);
    }

    /// It answers what it was asked, and everything else.
    pub(crate) fn go_on(&self) {
        self.gate.set(false);
    }
}
