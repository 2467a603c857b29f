//! Disks that can be broken and mended at will: files of a folder that this process serves by FUSE, so that a program that opens
//! one meets real failed requests, real hangs and real power cuts, without a kernel module.

mod disk;
mod front;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use fuser::{BackgroundSession, Config, MountOption, Session};

pub(crate) use disk::{Disk, Fault};

/// The disks, by number; none for one that was thrown away.
#[derive(Default)]
struct Slots(RwLock<Vec<Option<Arc<Disk>>>>);

impl Slots {
    fn get(&self, slot: usize) -> Option<Arc<Disk>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).get(slot).cloned().flatten()
    }
}

/// A folder of disks.
pub(crate) struct Disks {
    slots: Arc<Slots>,
    backing: PathBuf,
    folder: PathBuf,
    bytes: u64,
    seed: u64,
    /// The folder is unmounted when this is dropped.
    _session: BackgroundSession,
}

fn slot_of_name(name: &str) -> Option<usize> {
    name.strip_prefix("disk")?.parse().ok()
}

impl Disks {
    /// Serves disks of this size at `folder`; their bytes are kept in files in `backing`.
    pub(crate) fn serve(folder: &Path, backing: &Path, bytes: u64, seed: u64) -> io::Result<Self> {
        let slots = Arc::<Slots>::default();
        let mut config = Config::default();
        config.mount_options = vec![MountOption::FSName("disks".into()), MountOption::DefaultPermissions];
        let session = Session::new(front::Front { slots: slots.clone() }, folder, &config)?.spawn()?;
        let (backing, folder) = (backing.to_owned(), folder.to_owned());
        Ok(Self { slots, backing, folder, bytes, seed, _session: session })
    }

    /// Adds a blank disk; returns its number.
    pub(crate) fn add(&self) -> io::Result<usize> {
        let mut slots = self.slots.0.write().unwrap_or_else(PoisonError::into_inner);
        let number = slots.len();
        let disk = Disk::new(&self.file(number), self.bytes, self.seed ^ number as u64)?;
        slots.push(Some(Arc::new(disk)));
        Ok(number)
    }

    /// Throws a disk away.
    pub(crate) fn remove(&self, number: usize) -> io::Result<()> {
        self.slots.0.write().unwrap_or_else(PoisonError::into_inner)[number] = None;
        std::fs::remove_file(self.file(number))
    }

    /// A disk that is there.
    pub(crate) fn get(&self, number: usize) -> Arc<Disk> {
        self.slots.get(number).expect("a disk in use")
    }

    /// The path of a disk.
    pub(crate) fn path(&self, number: usize) -> PathBuf {
        self.folder.join(format!("disk{number}"))
    }

    fn file(&self, number: usize) -> PathBuf {
        self.backing.join(number.to_string())
    }
}
