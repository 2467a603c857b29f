//! Finds out what the kernel uses a device or an image for, when it refuses to share it.

use std::ffi::OsStr;
use std::fmt;
use std::fs::{self, File, Metadata};
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::{Dev, major, minor};

use crate::mount_table::{block_device, mounts};

/// What the kernel uses a device for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Holder {
    /// A filesystem on it is mounted.
    Mount(PathBuf),
    /// It is used for swap.
    Swap,
    /// Part of it is in use.
    Partition {
        /// The partition.
        name: String,
        /// What for.
        by: Box<Holder>,
    },
    /// Another device is made of it.
    Device(String),
    /// It is an image behind a loop device.
    Loop(String),
}

impl Holder {
    /// True for a use that often ends by itself a moment later.
    pub(super) fn may_let_go(&self) -> bool {
        match self {
            Self::Mount(_) | Self::Swap => false,
            Self::Partition { by, .. } => by.may_let_go(),
            Self::Device(_) | Self::Loop(_) => true,
        }
    }
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Mount(directory) => write!(f, "it is mounted on {}; unmount it first", directory.display()),
            Self::Swap => write!(f, "it is swap space; `swapoff` it first"),
            Self::Partition { name, by } => write!(f, "it holds /dev/{name}, and that is in use: {by}"),
            Self::Device(name) => write!(f, "it is part of /dev/{name}; take that apart first"),
            Self::Loop(name) => {
                write!(f, "/dev/{name} stands for it; name that instead, or detach it with `losetup -d`")
            }
        }
    }
}

/// What a block device is used for, as far as this process can see.
pub(super) fn of_device(path: &Path) -> Option<Holder> {
    let device = block_device(path)?;
    let swaps = fs::read_to_string("/proc/swaps").unwrap_or_default();
    let swaps: Vec<Dev> = swaps.lines().skip(1).filter_map(swapped_to).collect();
    let mut directories = Vec::new();
    for mount in mounts() {
        directories.push((mount.device, mount.directory.clone()));
        // Btrfs has a device number of its own, so the source is compared. Other sources aren't looked at, as that could wait for
        // a server.
        if mount.source.starts_with("/dev") {
            directories.extend(block_device(&mount.source).map(|source| (source, mount.directory)));
        }
    }
    let direct = |device: Dev| {
        let mounted = directories.iter().find(|(mounted, _)| *mounted == device);
        let mounted = mounted.map(|(_, directory)| Holder::Mount(directory.clone()));
        mounted
            .or_else(|| swaps.contains(&device).then_some(Holder::Swap))
            .or_else(|| names_in(&facts(device).join("holders")).pop().map(Holder::Device))
    };
    direct(device).or_else(|| {
        partitions(device).into_iter().find_map(|(name, partition)| {
            let by = Box::new(direct(partition)?);
            Some(Holder::Partition { name, by })
        })
    })
}

/// The loop device in front of an open image, if there is one.
pub(super) fn of_image(image: &File) -> Option<Holder> {
    let place = |facts: Metadata| (facts.dev(), facts.ino());
    let (own, path) =
        (image.metadata().ok().map(place)?, fs::read_link(format!("/proc/self/fd/{}", image.as_raw_fd())));
    let own_name = path.ok().and_then(|path| path.file_name().map(OsStr::to_owned));
    let loops = names_in(Path::new("/sys/block")).into_iter().filter(|name| name.starts_with("loop"));
    let stands_for_it = |name: &String| {
        let backing = fs::read(format!("/sys/block/{name}/loop/backing_file")).unwrap_or_default();
        let backing = Path::new(OsStr::from_bytes(backing.strip_suffix(b"\n").unwrap_or(&backing)));
        // Files with other names aren't looked at: they may be on a server that doesn't answer.
        backing.file_name() == own_name.as_deref() && fs::metadata(backing).is_ok_and(|facts| place(facts) == own)
    };
    { loops }.find(stands_for_it).map(Holder::Loop)
}

/// The folder where the kernel describes a block device.
fn facts(device: Dev) -> PathBuf {
    PathBuf::from(format!("/sys/dev/block/{}:{}", major(device), minor(device)))
}

fn partitions(device: Dev) -> Vec<(String, Dev)> {
    let folder = facts(device);
    let names = names_in(&folder).into_iter().filter(|name| folder.join(name).join("partition").exists());
    let number = |name: String| {
        let device = block_device(&Path::new("/dev").join(&name))?;
        Some((name, device))
    };
    names.filter_map(number).collect()
}

fn swapped_to(line: &str) -> Option<Dev> {
    block_device(Path::new(line.split_ascii_whitespace().next()?))
}

fn names_in(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
}
