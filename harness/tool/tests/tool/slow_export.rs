//! An export of an NBD server that can be made to hang, and to go on.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex};

use crate::export_server;

/// Whether the export hangs, and how many writes have passed.
#[derive(Default)]
struct Gate {
    is_closed: Mutex<bool>,
    opened: Condvar,
    writes: AtomicU64,
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
        self.gate.writes.fetch_add(1, Ordering::Relaxed);
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
        let gate = Arc::<Gate>::default();
        let wrapped = gate.clone();
        let port = export_server::serve(image, move |file| Gated { file, gate: wrapped.clone() });
        Self { port, gate }
    }

    /// Its address on a host of this name.
    pub(crate) fn name(&self, host: &str) -> String {
        format!("nbd://{host}:{}/data", self.port)
    }

    /// How many writes there were.
    pub(crate) fn writes(&self) -> u64 {
        self.gate.writes.load(Ordering::Relaxed)
    }

    /// Makes it answer nothing from here on.
    pub(crate) fn stall(&self) {
        self.gate.set(true);
    }

    /// Makes it answer its waiting requests, and go on.
    pub(crate) fn go_on(&self) {
        self.gate.set(false);
    }
}
