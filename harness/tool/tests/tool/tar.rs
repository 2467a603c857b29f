//! Archives: unpacked by another program, they give the same as `get`.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime};

use super::folder::{Folder, noise};

/// The facts about a file that an archive keeps.
#[derive(Debug, PartialEq, Eq)]
struct Facts {
    kind_and_mode: u32,
    mtime: (i64, i64),
    /// The bytes of a file, or the target of a link.
    content: Vec<u8>,
    names: u64,
}

/// Everything below a directory, by path.
fn tree(root: &Path) -> BTreeMap<PathBuf, Facts> {
    let (mut found, mut pending) = (BTreeMap::new(), vec![root.to_owned()]);
    while let Some(path) = pending.pop() {
        let meta = path.symlink_metadata().unwrap();
        let (is_directory, is_link) = (meta.is_dir(), meta.file_type().is_symlink());
        let content = match meta.is_file() {
            true => fs::read(&path).unwrap(),
            false if is_link => path.read_link().unwrap().into_os_string().into_encoded_bytes(),
            false => Vec::new(),
        };
        if is_directory {
            pending.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        }
        let facts = Facts {
            kind_and_mode: meta.mode(),
            mtime: (meta.mtime(), meta.mtime_nsec()),
            content,
            names: if is_directory { 0 } else { meta.nlink() },
        };
        found.insert(path.strip_prefix(root).unwrap().to_owned(), facts);
    }
    found
}

fn unpack(folder: &Folder, archive: &[u8], into: &str) -> PathBuf {
    let (file, into) = (folder.path("archive.tar"), folder.path(into));
    fs::write(&file, archive).unwrap();
    fs::create_dir(&into).unwrap();
    let done = Command::new("tar").arg("-xpf").arg(&file).arg("-C").arg(&into).output().unwrap();
    assert!(done.status.success() && done.stderr.is_empty(), "{}", String::from_utf8_lossy(&done.stderr));
    into
}

/// Large and small files, holes, names and links longer than the old format's fields, several names of a file, times to the
/// microsecond, an empty directory, a FIFO.
fn populated() -> Folder {
    let folder = Folder::new();
    folder.image("a.img", 128 << 20);
    folder.succeed(["newfs", "a.img"]);
    let src = folder.path("src");
    let deep = src.join("d".repeat(120)).join("e".repeat(120));
    fs::create_dir_all(&deep).unwrap();
    fs::create_dir(src.join("empty")).unwrap();
    fs::write(src.join("small"), "small").unwrap();
    fs::write(src.join("nothing"), "").unwrap();
    fs::write(src.join("noise"), noise(300_001, 1)).unwrap();
    fs::write(deep.join("far down"), "far down").unwrap();
    fs::hard_link(src.join("noise"), deep.join("the same")).unwrap();
    symlink("small", src.join("link")).unwrap();
    symlink("x".repeat(700), src.join("long link")).unwrap();
    let holes = File::create(src.join("holes")).unwrap();
    holes.set_len(3 << 20).unwrap();
    holes.write_all_at(b"middle", 1 << 20).unwrap();
    holes.set_modified(SystemTime::UNIX_EPOCH + Duration::from_micros(1_234_567_890_123_456)).unwrap();
    fs::set_permissions(src.join("small"), PermissionsExt::from_mode(0o4751)).unwrap();
    let fifo = Command::new("mkfifo").arg(src.join("fifo")).status().unwrap();
    assert!(fifo.success());
    folder.succeed(["put", "src", "a.img:/"]);
    folder
}

#[test]
fn what_another_program_unpacks_is_what_is_there() {
    let folder = populated();
    folder.succeed(["snapshot", "a.img", "before"]);
    folder.succeed(["rm", "a.img:/noise"]);
    folder.succeed(["get", "a.img@before", "got"]);
    let archive = folder.read(["tar", "a.img@before"]);
    let unpacked = unpack(&folder, &archive, "unpacked");
    let (mut wanted, mut found) = (tree(&folder.path("got")), tree(&unpacked));
    // The target directory itself changed when it was made.
    wanted.remove(Path::new(""));
    found.remove(Path::new(""));
    assert_eq!(wanted, found);
    let one = unpack(&folder, &folder.read(["tar", "a.img:/small"]), "one");
    assert_eq!(fs::read(one.join("small")).unwrap(), b"small");
}

#[test]
fn zeros_stand_for_what_cant_be_read_and_that_is_said() {
    let folder = populated();
    let path = folder.path("a.img");
    let mut image = fs::read(&path).unwrap();
    let wanted = &noise(300_001, 1)[70_000..70_100];
    let at = image.windows(wanted.len()).position(|bytes| bytes == wanted).unwrap();
    image[at] ^= 1;
    fs::write(&path, image).unwrap();
    let done = folder.run(["tar", "a.img"]);
    assert_eq!(done.status.code(), Some(1));
    let said = String::from_utf8(done.stderr).unwrap();
    assert!(said.contains(": zeros stand for 65536 bytes at 65536: "), "{said}");
    let unpacked = unpack(&folder, &done.stdout, "unpacked");
    let mut expected = noise(300_001, 1);
    expected[65_536..131_072].fill(0);
    assert_eq!(fs::read(unpacked.join("noise")).unwrap(), expected);
    assert_eq!(fs::read(unpacked.join("small")).unwrap(), b"small");
}
