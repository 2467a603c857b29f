//! The cost of a row on this machine: wall time, and processor time of client and server.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::Advice;
use rustix::time::{ClockId, clock_gettime};

use crate::candidates::Mounted;
use crate::row::Row;
use crate::workloads::{Scale, Subject};

/// The amounts of work on each mount.
pub(crate) const SCALE: Scale = Scale {
    stream_bytes: 256 << 20,
    random_bytes: 64 << 20,
    random_operations: 8_000,
    warm_reads: 0,
    fsyncs: 0,
    files: 9_000,
    directories: 300,
};

/// The cost of some work.
#[derive(Clone, Copy)]
pub(crate) struct Cost {
    /// Wall time.
    pub(crate) wall: Duration,
    /// Processor time of client and server.
    pub(crate) cpu: Duration,
}

/// A mount whose costs are recorded.
pub(crate) struct Timed<'t, 'c> {
    pub(crate) mounted: &'t mut Mounted<'c>,
    pub(crate) note: &'t mut dyn FnMut(Row, Cost),
}

impl Subject for Timed<'_, '_> {
    fn directory(&self) -> PathBuf {
        self.mounted.directory().to_owned()
    }

    fn remount(&mut self) -> io::Result<()> {
        self.mounted.remount()
    }

    fn cool(&mut self, path: &Path) -> io::Result<()> {
        let file = File::open(path)?;
        file.sync_all()?;
        rustix::fs::fadvise(&file, 0, None, Advice::DontNeed)?;
        Ok(())
    }

    fn measure(&mut self, row: Row, work: &mut dyn FnMut() -> io::Result<()>) -> io::Result<()> {
        let (server, client, start) = (self.mounted.server_time(), client_time(), Instant::now());
        work()?;
        let wall = start.elapsed();
        let cpu = self.mounted.server_time() - server + client_time() - client;
        (self.note)(row, Cost { wall, cpu });
        Ok(())
    }
}

fn client_time() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec.unsigned_abs() as u32)
}
