//! Recognizes content of others on a device: filesystems, swap space, partition tables, members of arrays, encrypted volumes.
//! `wipefs` of util-linux does that, with the library that `mkfs` and `mount` use, too: every distribution keeps it up to date,
//! while crates for the purpose know only a few kinds. A binding of the library itself would make everybody who builds the tool
//! install its headers and a C compiler's front end, for an answer that the program prints in a line.
//! Everything that it recognizes lies at the beginning or the end of a device, so `wipefs` is given a copy of these. So exports
//! work like files, a device that hangs meets its deadline, and only we open the device. Zeros hold nothing, and aren't looked
//! at.

use std::env;
use std::ffi::OsString;
use std::fmt;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::process::{Command, Stdio};

use hammer2_core::io::{Buffer, DeviceError, DeviceOffset, Disk, SECTOR_BYTES};
use hammer2_core::media::is_zero;
use hammer2_core::memory::{Heap, NoMemory};
use rustix::fs::MemfdFlags;

/// How many bytes of the beginning and of the end are copied: more than the library looks at.
const END_BYTES: u64 = 8 << 20;

/// Bytes copied at a time.
const PIECE_BYTES: u64 = 64 << 10;

/// The folders of system programs, which not every user has in `PATH`.
const SYSTEM_PATH: &str = "/usr/sbin:/sbin:/usr/bin:/bin";

/// Something that was recognized.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signature {
    /// What it is, as blkid(8) calls it: `ext4`, `swap`, `gpt`.
    pub kind: String,
    /// Its label.
    pub label: Option<String>,
    /// Its id.
    pub uuid: Option<String>,
}

impl fmt::Display for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, label, uuid } = self;
        write!(f, "{kind}")?;
        match (label, uuid) {
            (Some(label), Some(uuid)) => write!(f, " (label {label}, UUID {uuid})"),
            (Some(label), None) => write!(f, " (label {label})"),
            (None, Some(uuid)) => write!(f, " (UUID {uuid})"),
            (None, None) => Ok(()),
        }
    }
}

/// Why the content of a device is unknown.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ContentUnknown {
    /// It can't be read.
    #[error("{error} at {:#x}", offset.0)]
    Device {
        /// Where.
        offset: DeviceOffset,
        /// How it failed.
        error: DeviceError,
    },
    /// No memory for a buffer.
    #[error(transparent)]
    NoMemory(#[from] NoMemory),
    /// The copy can't be made.
    #[error("no copy of it can be made in memory: {0}")]
    Copy(io::Error),
    /// `wipefs` can't be run.
    #[error("`wipefs` can't be asked what it holds: {0}")]
    Program(io::Error),
}

/// The signatures on a device, each kind once.
pub async fn signatures(disk: &Disk, heap: Heap) -> Result<Vec<Signature>, ContentUnknown> {
    let Some(copy) = copy_of_ends(disk, heap).await? else { return Ok(Vec::new()) };
    let mut found = recognized(copy).map_err(ContentUnknown::Program)?;
    let mut seen = Vec::new();
    found.retain(|signature| {
        let is_new = !seen.contains(signature);
        seen.push(signature.clone());
        is_new
    });
    Ok(found)
}

/// A file in memory, as long as the device and with a copy of its ends; none if these are all zero.
async fn copy_of_ends(disk: &Disk, heap: Heap) -> Result<Option<File>, ContentUnknown> {
    let size_bytes = disk.info().size_bytes;
    let sectors_end = size_bytes / SECTOR_BYTES * SECTOR_BYTES;
    let copy = rustix::fs::memfd_create("ends of a device", MemfdFlags::CLOEXEC).map(File::from);
    let copy = copy.map_err(|error| ContentUnknown::Copy(error.into()))?;
    copy.set_len(size_bytes).map_err(ContentUnknown::Copy)?;
    let head_end = END_BYTES.min(sectors_end);
    let tail = sectors_end.saturating_sub(END_BYTES).max(head_end);
    let pieces = (0..head_end).step_by(PIECE_BYTES as usize).map(|offset| (offset, head_end));
    let pieces = pieces.chain((tail..sectors_end).step_by(PIECE_BYTES as usize).map(|offset| (offset, sectors_end)));
    let mut buffer = Buffer::empty(heap);
    let mut is_blank = true;
    for (offset, end) in pieces {
        let bytes = PIECE_BYTES.min(end - offset) as usize;
        if buffer.len() != bytes {
            buffer = Buffer::new(heap, bytes)?;
        }
        let offset = DeviceOffset(offset);
        let failed = |error| ContentUnknown::Device { offset, error };
        buffer = disk.read(offset, buffer).await.map_err(failed)?;
        if !is_zero(buffer.bytes()) {
            is_blank = false;
            copy.write_all_at(buffer.bytes(), offset.0).map_err(ContentUnknown::Copy)?;
        }
    }
    Ok((!is_blank).then_some(copy))
}

/// The signatures that `wipefs` finds on a file. Without options to erase, it only looks.
fn recognized(file: File) -> io::Result<Vec<Signature>> {
    let mut path = OsString::from(SYSTEM_PATH);
    if let Some(own) = env::var_os("PATH") {
        path.push(":");
        path.push(own);
    }
    let mut command = Command::new("wipefs");
    // Its JSON is invalid when a label isn't text.
    command.args(["--parsable", "--output", "TYPE,UUID,LABEL", "/proc/self/fd/0"]).env("PATH", path).env("LC_ALL", "C");
    let output = command.stdin(Stdio::from(file)).output()?;
    if !output.status.success() {
        return Err(io::Error::other(String::from_utf8_lossy(&output.stderr).trim().to_owned()));
    }
    let said = String::from_utf8_lossy(&output.stdout);
    Ok(said.lines().filter(|line| !line.starts_with('#')).map(signature).collect())
}

/// Parses a line `TYPE,UUID,LABEL`; a label may have commas.
fn signature(line: &str) -> Signature {
    let mut fields = line.trim().splitn(3, ',').map(unescaped);
    let kind = fields.next().unwrap_or_default();
    let [uuid, label] = [fields.next(), fields.next()].map(|field| field.filter(|field| !field.is_empty()));
    Signature { kind, label, uuid }
}

/// Decodes text in which bytes may be written as `\x` and two digits. Bytes that aren't text become replacement characters.
fn unescaped(field: &str) -> String {
    let (mut bytes, mut rest) = (Vec::new(), field.as_bytes());
    while let [first, others @ ..] = rest {
        let digits = others.strip_prefix(b"x").and_then(|others| str::from_utf8(others.get(..2)?).ok());
        match digits.filter(|_| *first == b'\\').and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = &others[3..];
            }
            None => {
                bytes.push(*first);
                rest = others;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_become_words() {
        let shown = |line| signature(line).to_string();
        assert_eq!(shown("ext4,1-2,a,b\\x20\\x5cx"), "ext4 (label a,b \\x, UUID 1-2)");
        assert_eq!(
            (shown("swap,,L"), shown("jfs,7,"), shown("gpt,,")),
            ("swap (label L)".into(), "jfs (UUID 7)".into(), "gpt".into())
        );
        assert_eq!(signature("udf,\\xff\\x0g\\x,").uuid.as_deref(), Some("\u{fffd}\\x0g\\x"));
    }
}
