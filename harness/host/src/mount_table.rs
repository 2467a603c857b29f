//! The kernel's list of mounts for this process (`/proc/self/mountinfo`).

use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use rustix::fs::{Dev, makedev};

/// A mount.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mount {
    /// The number of the filesystem's device, which needn't be a real device.
    pub device: Dev,
    /// The directory that it is mounted on.
    pub directory: PathBuf,
    /// The filesystem's type.
    pub kind: String,
    /// The source, in the words of the program that mounted it.
    pub source: PathBuf,
    /// Options of the filesystem, separated by commas.
    options: String,
}

impl Mount {
    /// The value of an option `NAME=VALUE`.
    pub fn option(&self, name: &str) -> Option<&str> {
        self.options.split(',').find_map(|option| option.strip_prefix(name)?.strip_prefix('='))
    }
}

/// All mounts that this process sees, the topmost last; none without `/proc`.
pub fn mounts() -> Vec<Mount> {
    let list = fs::read("/proc/self/mountinfo").unwrap_or_default();
    list.split(|byte| *byte == b'\n').filter_map(parse).collect()
}

/// The topmost mount on its directory of the filesystem with this device number.
pub fn mount_of(device: Dev) -> Option<Mount> {
    mounts().into_iter().rev().find(|mount| mount.device == device)
}

/// Parses a line of proc_pid_mountinfo(5): `36 35 98:0 /root /directory rw master:1 - ext3 /dev/root rw,errors=continue`.
fn parse(line: &[u8]) -> Option<Mount> {
    let fields: Vec<&[u8]> = line.split(|byte| *byte == b' ').collect();
    let separator = fields.iter().skip(6).position(|field| *field == b"-")? + 6;
    let text = |field: &[u8]| String::from_utf8_lossy(field).into_owned();
    let number = text(fields.get(2)?);
    let (major, minor) = number.split_once(':')?;
    Some(Mount {
        device: makedev(major.parse().ok()?, minor.parse().ok()?),
        directory: unescaped(fields.get(4)?),
        kind: text(fields.get(separator + 1)?),
        source: unescaped(fields.get(separator + 2)?),
        options: text(fields.get(separator + 3)?),
    })
}

/// Decodes a path in which spaces and the like are written as a backslash and three octal digits.
pub fn unescaped(mut field: &[u8]) -> PathBuf {
    let mut bytes = Vec::new();
    while let [first, rest @ ..] = field {
        let octal =
            rest.get(..3).filter(|digits| *first == b'\\' && digits.iter().all(|digit| (b'0'..b'8').contains(digit)));
        match octal {
            Some(digits) => {
                bytes.push(digits.iter().fold(0u8, |value, digit| value.wrapping_mul(8).wrapping_add(digit - b'0')));
                field = &rest[3..];
            }
            None => {
                bytes.push(*first);
                field = rest;
            }
        }
    }
    PathBuf::from(OsString::from_vec(bytes))
}

/// The number of the block device that a path names.
pub fn block_device(path: &Path) -> Option<Dev> {
    use std::os::unix::fs::{FileTypeExt, MetadataExt};
    let metadata = fs::metadata(path).ok()?;
    metadata.file_type().is_block_device().then(|| metadata.rdev())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read_as_the_kernel_writes_them() {
        let line =
            br"36 35 98:0 /mnt1 /mnt\0402\134 rw master:1 shared:2 - fuse.hammer2 a\011b rw,user_id=1000,group_id=0";
        let mount = parse(line).unwrap();
        assert_eq!(mount.device, makedev(98, 0));
        assert_eq!(mount.directory, Path::new(r"/mnt 2\"));
        assert_eq!((mount.kind.as_str(), mount.source.as_path()), ("fuse.hammer2", Path::new("a\tb")));
        assert_eq!((mount.option("user_id"), mount.option("user")), (Some("1000"), None));
        for wrong in ["", "36 35 98:0", "36 35 x:0 / / rw - a b c", "36 35 98:0 / / rw -"] {
            assert_eq!(parse(wrong.as_bytes()), None, "{wrong}");
        }
    }

    #[test]
    fn the_root_is_mounted() {
        assert!(mounts().iter().any(|mount| mount.directory == Path::new("/")));
    }
}
