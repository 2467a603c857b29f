//! Claims of this machine's processes on exports.
//! An export can't be locked. But processes of one machine can know of each other: a writer holds the lock of a file whose name
//! stands for the export, in a [directory](crate::runtime_dir) that only its user can write to. So nobody can keep another user
//! from an export. All users see root's claims, in the kernel's list of locks; only a user itself sees its own. Another machine
//! sees none of them.

use std::fmt::Write as _;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use rustix::fs::{OFlags, major, minor};
use rustix::process::{Uid, geteuid};
use sha2::{Digest, Sha256};

use crate::device::Access;
use crate::runtime_dir::{self, Readers};

/// The folder of the locks.
const FOLDER: &str = "nbd";

/// How often a taken lock is tried: a reader takes it for a moment to see whether it is free.
const TRIES: usize = 3;
const BETWEEN_TRIES: Duration = Duration::from_millis(5);

/// A claim on an export. While there is one for writing, there is no other.
pub(super) struct Claim {
    _lock: Option<Lock>,
}

/// Why an export can't be claimed.
pub(super) enum Unclaimed {
    /// Another process writes to it.
    InUse,
    /// There is no place for a lock.
    Nowhere(io::Error),
}

impl Claim {
    /// Claims an export. A reader keeps nobody out.
    pub(super) fn of(name: &str, access: Access) -> Result<Self, Unclaimed> {
        let mut file_name = String::new();
        for byte in Sha256::digest(name) {
            let _ = write!(file_name, "{byte:02x}");
        }
        let of_root = runtime_dir::of(Uid::ROOT, FOLDER).map(|folder| folder.join(&file_name));
        if !geteuid().is_root() && { of_root }.any(|path| is_locked_by_another_user(&path)) {
            return Err(Unclaimed::InUse);
        }
        let own = runtime_dir::own(FOLDER, Readers::All).map(|folder| folder.join(&file_name));
        match access {
            Access::Write => {
                let lock = Lock::of(own.map_err(Unclaimed::Nowhere)?)?;
                Ok(Self { _lock: Some(lock) })
            }
            Access::Read if own.is_ok_and(|path| is_locked(&path)) => Err(Unclaimed::InUse),
            Access::Read | Access::Look => Ok(Self { _lock: None }),
        }
    }

    /// Claims nothing.
    pub(super) fn none() -> Self {
        Self { _lock: None }
    }
}

/// A file that exists, and is locked, until this is dropped.
struct Lock {
    path: PathBuf,
    _file: File,
}

impl Lock {
    fn of(path: PathBuf) -> Result<Self, Unclaimed> {
        for tried in 1.. {
            let mut options = OpenOptions::new();
            options.read(true).write(true).create(true).mode(0o600).custom_flags(OFlags::NOFOLLOW.bits().cast_signed());
            let file = options.open(&path).map_err(Unclaimed::Nowhere)?;
            match file.try_lock() {
                // The process that had it may have removed it meanwhile.
                Ok(()) if is_at(&file, &path) => return Ok(Self { path, _file: file }),
                Ok(()) => {}
                Err(TryLockError::Error(error)) => return Err(Unclaimed::Nowhere(error)),
                Err(TryLockError::WouldBlock) if tried >= TRIES => break,
                Err(TryLockError::WouldBlock) => thread::sleep(BETWEEN_TRIES),
            }
        }
        Err(Unclaimed::InUse)
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // It is removed while it is locked, so that no other process takes it. If that fails, the file does no harm.
        let _ = fs::remove_file(&self.path);
    }
}

fn is_at(file: &File, path: &Path) -> bool {
    let place = |facts: io::Result<fs::Metadata>| facts.map(|facts| (facts.dev(), facts.ino())).ok();
    place(file.metadata()) == place(fs::symlink_metadata(path))
}

/// True when a process of this user has locked a file.
fn is_locked(path: &Path) -> bool {
    File::open(path).is_ok_and(|file| matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock)))
}

/// True when a file that this user can't open is locked, by the kernel's list.
fn is_locked_by_another_user(path: &Path) -> bool {
    let Ok(facts) = fs::symlink_metadata(path) else { return false };
    let locks = fs::read_to_string("/proc/locks").unwrap_or_default();
    let place = format!("{:02x}:{:02x}:{}", major(facts.dev()), minor(facts.dev()), facts.ino());
    locks.lines().any(|lock| lock.contains(" FLOCK ") && lock.split_ascii_whitespace().any(|field| field == place))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_writer_is_alone() {
        let name = format!("nbd://claimed-by-{}", std::process::id());
        let claim = |access| Claim::of(&name, access);
        let readers = [Access::Read; 2].map(claim);
        assert!(readers.iter().all(Result::is_ok));
        let writer = claim(Access::Write);
        assert!(writer.is_ok());
        let is_refused = |access| matches!(claim(access), Err(Unclaimed::InUse));
        assert!(is_refused(Access::Write) && is_refused(Access::Read));
        drop(writer);
        assert!(claim(Access::Read).is_ok() && claim(Access::Write).is_ok());
    }

    #[test]
    fn the_kernel_lists_who_has_a_lock() {
        let folder = tempfile::tempdir_in("/dev/shm").unwrap();
        let path = folder.path().join("lock");
        assert!(!is_locked(&path) && !is_locked_by_another_user(&path));
        let lock = Lock::of(path.clone());
        assert!(lock.is_ok() && is_locked(&path) && is_locked_by_another_user(&path));
        drop(lock);
        fs::write(&path, "").unwrap();
        assert!(!is_locked(&path) && !is_locked_by_another_user(&path), "what a killed process left");
    }
}
