//! The manifest of a mounted filesystem, as programs see it: `folder_manifest DIRECTORY` prints its number of lines and their
//! digest, in the form of the test kernel's walk. Both equal those of `hammer2 manifest` if the mount shows the content of the
//! disks.

use std::error::Error;
use std::ffi::OsString;
use std::fmt::Write as _;
use std::fs::{self, File, Metadata};
use std::io::Read;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;

use hammer2_core::fs::Attributes;
use hammer2_core::manifest::{Hex, Line, ManifestDigest};
use hammer2_core::media::{FileKind, Inum, ModifyTid, Timestamp};
use sha2::{Digest, Sha256};

fn main() -> Result<(), Box<dyn Error>> {
    let top = std::env::args_os().nth(1).ok_or("usage: folder_manifest DIRECTORY")?;
    let top = Path::new(&top);
    let mut paths = Vec::new();
    list(top, b"", &mut paths)?;
    // Manifests are sorted by bytes.
    paths.sort();
    let mut digest = ManifestDigest::default();
    describe(top, b".", &mut digest)?;
    for path in &paths {
        describe(top, path, &mut digest)?;
    }
    println!("entries {} sha256 {}", paths.len() + 1, Hex(&digest.finish()));
    Ok(())
}

/// Adds the paths of everything below a directory.
fn list(top: &Path, directory: &[u8], paths: &mut Vec<Vec<u8>>) -> Result<(), Box<dyn Error>> {
    for entry in fs::read_dir(top.join(os(directory)))? {
        let entry = entry?;
        let name = entry.file_name();
        let path = if directory.is_empty() { name.into_vec() } else { [directory, name.as_bytes()].join(&b'/') };
        if entry.file_type()?.is_dir() {
            list(top, &path, paths)?;
        }
        paths.push(path);
    }
    Ok(())
}

fn os(path: &[u8]) -> OsString {
    OsString::from_vec(path.to_vec())
}

/// Adds the line of a file.
fn describe(top: &Path, path: &[u8], digest: &mut ManifestDigest) -> Result<(), Box<dyn Error>> {
    let place = top.join(os(path));
    let attributes = attributes(&fs::symlink_metadata(&place)?)?;
    let mut line = Line::new(path, attributes.kind);
    line.attributes = Some(&attributes);
    let target;
    match attributes.kind {
        FileKind::Regular => line.sha256 = Some(content(&place)?),
        FileKind::Symlink => {
            target = fs::read_link(&place)?;
            line.target = Some(target.as_os_str().as_bytes());
        }
        _ => {}
    }
    Ok(writeln!(digest, "{line}")?)
}

fn content(place: &Path) -> Result<[u8; 32], Box<dyn Error>> {
    let (mut file, mut digest, mut block) = (File::open(place)?, Sha256::new(), vec![0; 1 << 16]);
    loop {
        match file.read(&mut block)? {
            0 => return Ok(digest.finalize().into()),
            count => digest.update(&block[..count]),
        }
    }
}

/// The attributes of a file that a manifest has.
fn attributes(metadata: &Metadata) -> Result<Attributes, Box<dyn Error>> {
    let file_type = metadata.file_type();
    let device = metadata.rdev();
    let time =
        |seconds: i64, nanoseconds: i64| Timestamp { microseconds: (seconds * 1_000_000 + nanoseconds / 1000) as u64 };
    Ok(Attributes {
        inum: Inum(metadata.ino()),
        kind: match () {
            () if file_type.is_dir() => FileKind::Directory,
            () if file_type.is_file() => FileKind::Regular,
            () if file_type.is_symlink() => FileKind::Symlink,
            () if file_type.is_fifo() => FileKind::Fifo,
            () if file_type.is_socket() => FileKind::Socket,
            () if file_type.is_block_device() => FileKind::BlockDevice,
            () if file_type.is_char_device() => FileKind::CharDevice,
            () => return Err("a file of no known type".into()),
        },
        mode: metadata.mode() & 0o7777,
        uid: metadata.uid(),
        gid: metadata.gid(),
        links: metadata.nlink(),
        size: metadata.size(),
        stored_bytes: 0,
        unstored_bytes: 0,
        device: (rustix::fs::major(device), rustix::fs::minor(device)),
        parent: Inum(0),
        atime: time(metadata.atime(), metadata.atime_nsec()),
        mtime: time(metadata.mtime(), metadata.mtime_nsec()),
        ctime: time(metadata.ctime(), metadata.ctime_nsec()),
        btime: Timestamp { microseconds: 0 },
        flags: 0,
        comp_algo: 0,
        check_algo: 0,
        modify_tid: ModifyTid(0),
    })
}
