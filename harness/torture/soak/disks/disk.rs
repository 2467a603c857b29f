//! One disk: a file that holds its bytes, its current fault, and its unflushed writes.
//! Unflushed writes are remembered, with the bytes before and after, so that the power can fail: the disk then holds the state of
//! its last flush and any part of later writes, in any order, torn between sectors.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use fuser::{Errno, ReplyData, ReplyEmpty, ReplyWrite};
use hammer2_core::random::Random;

const SECTOR_BYTES: usize = 512;

/// How long each request of a slow disk waits.
const SLOW: Duration = Duration::from_millis(15);

/// How many of a hundred reads of a lying disk have a bit flipped.
const LIES_PERCENT: u64 = 20;

/// A fault of a disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Nothing.
    None,
    /// It was pulled out: every request fails.
    Gone,
    /// Reads fail.
    ReadErrors,
    /// Writes fail.
    WriteErrors,
    /// Writes work, flushes fail.
    FlushErrors,
    /// It doesn't answer; it carries its requests out when it recovers.
    Hang,
    /// Every request is slow.
    Slow,
    /// Some reads succeed with a bit flipped.
    Lies,
}

impl Fault {
    /// All faults.
    pub(crate) const ALL: [Self; 7] =
        [Self::Gone, Self::ReadErrors, Self::WriteErrors, Self::FlushErrors, Self::Hang, Self::Slow, Self::Lies];
}

/// A request to a disk, and where its answer goes.
pub(super) enum Request {
    Read { offset: u64, len: usize, reply: ReplyData },
    Write { offset: u64, data: Vec<u8>, reply: ReplyWrite },
    Flush { reply: ReplyEmpty },
}

/// A disk.
pub(crate) struct Disk {
    file: File,
    bytes: u64,
    state: Mutex<State>,
}

struct State {
    fault: Fault,
    held: Vec<Request>,
    unflushed: Vec<Unflushed>,
    random: Random,
}

struct Unflushed {
    offset: u64,
    before: Vec<u8>,
    after: Vec<u8>,
}

impl Disk {
    /// An empty disk of this size.
    pub(super) fn new(path: &Path, bytes: u64, seed: u64) -> io::Result<Self> {
        let file = File::options().read(true).write(true).create(true).truncate(true).open(path)?;
        file.set_len(bytes)?;
        let state = State { fault: Fault::None, held: Vec::new(), unflushed: Vec::new(), random: Random::new(seed) };
        Ok(Self { file, bytes, state: Mutex::new(state) })
    }

    /// Its size.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Gives it this fault from now on. Requests that it held back are carried out, or fail with it.
    pub(crate) fn set(&self, fault: Fault) {
        let mut state = self.lock();
        state.fault = fault;
        if fault != Fault::Hang {
            for request in std::mem::take(&mut state.held) {
                self.execute(&mut state, request);
            }
        }
    }

    /// Its current fault.
    pub(crate) fn fault(&self) -> Fault {
        self.lock().fault
    }

    /// Loses its power: parts of its unflushed writes are lost.
    pub(crate) fn lose_power(&self) -> io::Result<()> {
        let mut state = self.lock();
        let mut unflushed = std::mem::take(&mut state.unflushed);
        for write in unflushed.iter().rev() {
            self.file.write_all_at(&write.before, write.offset)?;
        }
        // Sometimes all is lost, sometimes nothing.
        let kept_percent = state.random.below(101);
        state.random.shuffle(&mut unflushed);
        for write in unflushed {
            if !state.random.percent(kept_percent) {
                continue;
            }
            let sectors = write.after.len().div_ceil(SECTOR_BYTES);
            let kept = if state.random.percent(20) { state.random.index(sectors + 1) } else { sectors };
            let len = (kept * SECTOR_BYTES).min(write.after.len());
            self.file.write_all_at(&write.after[..len], write.offset)?;
        }
        Ok(())
    }

    /// Does a request, sooner or later.
    pub(super) fn submit(self: &Arc<Self>, request: Request) {
        let mut state = self.lock();
        match state.fault {
            Fault::Hang => {
                state.held.push(request);
            }
            Fault::Slow => {
                let disk = self.clone();
                thread::spawn(move || {
                    thread::sleep(SLOW);
                    disk.execute(&mut disk.lock(), request);
                });
            }
            _ => self.execute(&mut state, request),
        }
    }

    /// Punches a hole. That isn't undone when the power fails, as nothing refers to a discarded range.
    pub(super) fn punch(&self, offset: u64, bytes: u64) -> Result<(), Errno> {
        if self.lock().fault != Fault::None {
            return Err(Errno::EIO);
        }
        let hole = rustix::fs::FallocateFlags::PUNCH_HOLE | rustix::fs::FallocateFlags::KEEP_SIZE;
        rustix::fs::fallocate(&self.file, hole, offset, bytes).map_err(|error| Errno::from_i32(error.raw_os_error()))
    }

    fn execute(&self, state: &mut State, request: Request) {
        let fault = state.fault;
        let fails = match request {
            Request::Read { .. } => matches!(fault, Fault::Gone | Fault::ReadErrors),
            Request::Write { .. } => matches!(fault, Fault::Gone | Fault::WriteErrors),
            Request::Flush { .. } => matches!(fault, Fault::Gone | Fault::FlushErrors),
        };
        match request {
            Request::Read { reply, .. } if fails => reply.error(Errno::EIO),
            Request::Write { reply, .. } if fails => reply.error(Errno::EIO),
            Request::Flush { reply } if fails => reply.error(Errno::EIO),
            Request::Read { offset, len, reply } => match self.read(state, offset, len) {
                Ok(data) => reply.data(&data),
                Err(error) => reply.error(error.into()),
            },
            Request::Write { offset, data, reply } => {
                let len = data.len() as u32;
                match self.write(state, offset, data) {
                    Ok(()) => reply.written(len),
                    Err(error) => reply.error(error.into()),
                }
            }
            Request::Flush { reply } => {
                state.unflushed.clear();
                reply.ok();
            }
        }
    }

    fn read(&self, state: &mut State, offset: u64, len: usize) -> io::Result<Vec<u8>> {
        let mut data = vec![0; len.min(self.bytes.saturating_sub(offset) as usize)];
        self.file.read_exact_at(&mut data, offset)?;
        if state.fault == Fault::Lies && !data.is_empty() && state.random.percent(LIES_PERCENT) {
            let at = state.random.index(data.len());
            data[at] ^= 1 << state.random.index(8);
        }
        Ok(data)
    }

    fn write(&self, state: &mut State, offset: u64, after: Vec<u8>) -> io::Result<()> {
        let mut before = vec![0; after.len()];
        self.file.read_exact_at(&mut before, offset)?;
        self.file.write_all_at(&after, offset)?;
        state.unflushed.push(Unflushed { offset, before, after });
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::FileExt;

    use super::*;

    fn disk() -> (tempfile::TempDir, Disk) {
        let folder = tempfile::tempdir().unwrap();
        let disk = Disk::new(&folder.path().join("disk"), 65536, 1).unwrap();
        (folder, disk)
    }

    #[test]
    fn power_takes_only_what_was_not_flushed() {
        let (_folder, disk) = disk();
        let write = |byte: u8| disk.write(&mut disk.lock(), 4096, vec![byte; 8192]).unwrap();
        write(1);
        disk.lock().unflushed.clear();
        let mut losses = 0;
        for byte in 2..40 {
            write(byte);
            disk.lose_power().unwrap();
            let mut found = [0; 8192];
            disk.file.read_exact_at(&mut found, 4096).unwrap();
            assert!(found.iter().all(|found| (1..=byte).contains(found)));
            losses += u64::from(found.contains(&1));
            disk.file.write_all_at(&[1; 8192], 4096).unwrap();
        }
        assert!((5..38).contains(&losses), "{losses}");
    }
}
