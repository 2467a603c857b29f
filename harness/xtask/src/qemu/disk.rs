//! Disks of a virtual machine, as options of QEMU.

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use crate::trouble::{Done, Trouble};

/// The slots of the machine that QEMU itself leaves free.
pub(crate) const MOST: usize = 28;

/// What becomes of the file of a disk.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Use {
    /// What is written goes to a file of QEMU's own, which goes away with it.
    Snapshot,
    /// The same, and QEMU never waits for the host's disk.
    Unsafe,
    /// It is written to, and what is discarded is given back, past the host's cache or through it.
    Scratch {
        /// Through the cache, where a filesystem knows no other way.
        cached: bool,
    },
}

impl Use {
    fn settings(self) -> &'static str {
        match self {
            Self::Snapshot => "snapshot=on",
            Self::Unsafe => "snapshot=on,cache=unsafe",
            Self::Scratch { cached: false } => "discard=unmap,cache=none",
            Self::Scratch { cached: true } => "discard=unmap,cache=writeback",
        }
    }
}

/// A disk.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Disk {
    /// A file with what is on the disk.
    File(PathBuf, Use),
    /// A disk whose writes and flushes are also written to a log.
    Logged {
        /// What is on the disk.
        disk: PathBuf,
        /// The log.
        log: PathBuf,
    },
}

/// The options for these disks.
///
/// # Errors
///
/// The machine has no slots for so many.
pub(crate) fn options(disks: &[Disk]) -> Done<Vec<OsString>> {
    if disks.len() > MOST {
        return Err(Trouble::unusable(format!("at most {MOST} disks can be attached")));
    }
    Ok(disks.iter().enumerate().flat_map(|(number, disk)| disk.options(number)).collect())
}

impl Disk {
    fn options(&self, number: usize) -> Vec<OsString> {
        match self {
            Self::File(file, usage) => vec![
                "-drive".into(),
                joined(&[
                    format!("if=none,id=disk{number},format=raw,file=").as_ref(),
                    &doubled(file),
                    format!(",{}", usage.settings()).as_ref(),
                ]),
                "-device".into(),
                format!("virtio-blk-pci,drive=disk{number}").into(),
            ],
            Self::Logged { disk, log } => vec![
                "-blockdev".into(),
                joined(&["driver=file,filename=".as_ref(), &doubled(disk), ",node-name=disk".as_ref()]),
                "-blockdev".into(),
                joined(&["driver=file,filename=".as_ref(), &doubled(log), ",node-name=log".as_ref()]),
                "-blockdev".into(),
                "driver=blklogwrites,file=disk,log=log,node-name=logged".into(),
                "-device".into(),
                "virtio-blk-pci,drive=logged".into(),
            ],
        }
    }
}

fn joined(parts: &[&std::ffi::OsStr]) -> OsString {
    OsString::from_vec(parts.iter().flat_map(|part| part.as_bytes()).copied().collect())
}

/// A path as QEMU wants it in a list: with its commas doubled.
fn doubled(path: &Path) -> OsString {
    let bytes = path.as_os_str().as_bytes().iter();
    OsString::from_vec(bytes.flat_map(|byte| std::iter::repeat_n(*byte, if *byte == b',' { 2 } else { 1 })).collect())
}

#[cfg(test)]
mod tests {
    use super::{Disk, MOST, Use, options};
    use crate::trouble::Trouble;

    #[test]
    fn disks_are_numbered_and_used_as_said() {
        let disks = [
            Disk::File("/a.img".into(), Use::Snapshot),
            Disk::File("/b.img".into(), Use::Scratch { cached: false }),
            Disk::File("/c.img".into(), Use::Scratch { cached: true }),
        ];
        let expected = [
            "-drive",
            "if=none,id=disk0,format=raw,file=/a.img,snapshot=on",
            "-device",
            "virtio-blk-pci,drive=disk0",
            "-drive",
            "if=none,id=disk1,format=raw,file=/b.img,discard=unmap,cache=none",
            "-device",
            "virtio-blk-pci,drive=disk1",
            "-drive",
            "if=none,id=disk2,format=raw,file=/c.img,discard=unmap,cache=writeback",
            "-device",
            "virtio-blk-pci,drive=disk2",
        ];
        assert_eq!(options(&disks).expect("three disks"), expected);
    }

    #[test]
    fn a_comma_in_a_path_ends_no_option() {
        let logged = Disk::Logged { disk: "/a,b.img".into(), log: "/a,,b.log".into() };
        let expected = [
            "-blockdev",
            "driver=file,filename=/a,,b.img,node-name=disk",
            "-blockdev",
            "driver=file,filename=/a,,,,b.log,node-name=log",
            "-blockdev",
            "driver=blklogwrites,file=disk,log=log,node-name=logged",
            "-device",
            "virtio-blk-pci,drive=logged",
        ];
        assert_eq!(options(&[logged]).expect("a disk"), expected);
    }

    #[test]
    fn there_are_slots_for_so_many_and_no_more() {
        let disk = Disk::File("/a.img".into(), Use::Snapshot);
        assert_eq!(options(&vec![disk.clone(); MOST]).expect("all slots").len(), 4 * MOST);
        let refused = options(&vec![disk; MOST + 1]);
        assert_eq!(refused, Err(Trouble::unusable("at most 28 disks can be attached")));
    }
}
