//! Reading populated and hostile images with the tool.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use allocator_api2::alloc::Global;
use hammer2_core::media::geometry::FILE_BLOCK_BYTES;
use hammer2_core::media::{FileKind, Inum};
use hammer2_core::memory::Heap;
use hammer2_core::newfs::NewfsOptions;
use hammer2_core::selftest::image::population::{Expected, FileContent, Object, Scale, populate, symlink_target};
use hammer2_core::selftest::image::{Content, Editor, FileRecipe, Image, ImageError, Spread};
use hammer2_host::clock::HostClock;
use hammer2_host::executor::Executor;
use tempfile::TempDir;

use super::folder::Folder;

const HEAP: Heap = &Global;
const IMAGE_BYTES: u64 = 256 << 20;

/// A folder with `fs.img`, its PFS filled by `fill`.
pub(super) fn folder_with<T>(fill: impl FnOnce(&mut Editor<'_>) -> Result<T, ImageError>) -> (Folder, T) {
    let clock = HostClock::leaked();
    let options = NewfsOptions::default();
    let format = Image::format(HEAP, clock, &[IMAGE_BYTES], &options, Spread::Packed, 1);
    let mut image = Executor::new(clock).block_on(format).unwrap();
    let filled = fill(&mut image.edit(b"DATA").unwrap()).unwrap();
    image.commit().unwrap();
    let folder = Folder::new();
    folder.image("fs.img", IMAGE_BYTES);
    let file = File::options().write(true).open(folder.path("fs.img")).unwrap();
    let mut bytes = vec![0; 1 << 20];
    for offset in (0..IMAGE_BYTES).step_by(bytes.len()) {
        image.disks()[0].read_at(offset, &mut bytes).unwrap();
        if bytes.iter().any(|byte| *byte != 0) {
            file.write_all_at(&bytes, offset).unwrap();
        }
    }
    (folder, filled)
}

/// The path of each object in a copy.
fn paths(objects: &[Object], copy: &Path) -> Vec<PathBuf> {
    let mut directories = HashMap::from([(Inum::PFS_ROOT, copy.to_owned())]);
    let mut paths = Vec::new();
    for object in objects {
        let path = directories[&object.parent].join(OsStr::from_bytes(&object.name));
        if object.expected == Expected::Directory {
            directories.insert(object.inum, path.clone());
        }
        paths.push(path);
    }
    paths
}

pub(super) fn check_content(path: &Path, expected: FileContent) {
    let FileContent { size, content } = expected;
    let mut file = File::open(path).unwrap();
    assert_eq!(file.metadata().unwrap().len(), size, "{path:?}");
    let mut wanted = Box::new([0; FILE_BLOCK_BYTES]);
    let mut found = vec![0; FILE_BLOCK_BYTES];
    let blocks = size.div_ceil(FILE_BLOCK_BYTES as u64);
    // For huge files, only the blocks with content and their neighbours are looked at.
    let is_looked_at = |index: &u64| blocks < 1000 || !content.is_hole(*index, size);
    let all = (0..blocks.min(1 << 10)).chain((10..63).map(|shift| 1 << shift)).chain([blocks.saturating_sub(1)]);
    for index in all.filter(|index| *index < blocks).filter(is_looked_at) {
        let at = index * FILE_BLOCK_BYTES as u64;
        let len = (size - at).min(FILE_BLOCK_BYTES as u64) as usize;
        content.fill(index, size, &mut wanted);
        file.read_exact_at(&mut found[..len], at).unwrap();
        assert!(found[..len] == wanted[..len], "{path:?}: block {index}");
    }
    if blocks < 1000 {
        let mut whole = Vec::new();
        file.read_to_end(&mut whole).unwrap();
        assert_eq!(whole.len() as u64, size);
    } else {
        assert!(file.metadata().unwrap().blocks() * 512 < size / 1000, "{path:?}: holes are filled");
    }
}

#[test]
fn get_copies_everything() {
    let (folder, objects) = folder_with(|editor| populate(editor, HEAP, Scale::SMALL));
    let output = folder.run(["get", "fs.img", "copy"]);
    // Only root makes device nodes, and no host has one with so large a number.
    let left_out: &[&str] = if rustix::process::geteuid().is_root() { &["block"] } else { &["block", "char"] };
    let complaints: Vec<_> = str::from_utf8(&output.stderr).unwrap().lines().collect();
    assert_eq!((output.status.code(), complaints.len()), (Some(1), left_out.len()), "{complaints:?}");
    let mentioned = |name: &&str| complaints.iter().any(|line| line.contains(&format!("special/{name}: ")));
    assert!(left_out.iter().all(mentioned), "{complaints:?}");
    for (object, path) in objects.iter().zip(paths(&objects, &folder.path("copy"))) {
        if left_out.iter().any(|name| object.name == name.as_bytes()) {
            assert!(!path.exists());
            continue;
        }
        let found = fs::symlink_metadata(&path).unwrap();
        let file_type = found.file_type();
        match object.expected {
            Expected::Directory => assert!(file_type.is_dir(), "{path:?}"),
            Expected::File(content) => {
                assert_eq!(found.nlink(), object.links, "{path:?}");
                check_content(&path, content);
            }
            Expected::Symlink(length) => {
                let target: Vec<_> = symlink_target(length).collect();
                assert_eq!(fs::read_link(&path).unwrap().as_os_str().as_bytes(), target);
            }
            Expected::Special { kind, device: (major, minor) } => {
                let right = match kind {
                    FileKind::Fifo => file_type.is_fifo(),
                    FileKind::Socket => file_type.is_socket(),
                    _ => file_type.is_char_device() && found.rdev() == rustix::fs::makedev(major, minor),
                };
                assert!(right, "{path:?}");
            }
        }
    }
    let again = folder.run(["get", "fs.img", "copy"]);
    assert_eq!(again.status.code(), Some(1), "what exists isn't overwritten");
}

#[test]
fn manifest_and_listing_name_everything_once_in_order() {
    let (folder, objects) = folder_with(|editor| populate(editor, HEAP, Scale::SMALL));
    let output = folder.run(["manifest", "fs.img@DATA"]);
    let mut wanted: Vec<_> = paths(&objects, Path::new("")).into_iter().map(|path| path.into_os_string()).collect();
    wanted.push(".".into());
    wanted.sort_by(|a, b| a.as_bytes().cmp(b.as_bytes()));
    let lines: Vec<serde_json::Value> = output
        .stdout
        .split_inclusive(|byte| *byte == b'\n')
        .map(|line| serde_json::from_slice(line).unwrap())
        .collect();
    assert_eq!(lines.len(), wanted.len());
    let bad: Vec<_> =
        lines.iter().filter(|line| line.get("error").is_some()).filter_map(|line| line["path"].as_str()).collect();
    // A terabyte of holes is too much to digest, and is reported.
    assert_eq!((bad, output.status.code()), (vec!["large/sparse"], Some(1)));
    for (line, path) in lines.iter().zip(&wanted) {
        match line.get("path") {
            Some(text) => assert_eq!(text.as_str(), path.to_str()),
            None => assert!(path.to_str().is_none() && line["path_hex"].is_string()),
        }
    }
    let listing = folder.run(["ls", "-R", "fs.img"]);
    assert_eq!(listing.stdout.split(|byte| *byte == b'\n').count() - 1, wanted.len());
    let one = folder.run(["cat", "fs.img:/third"]);
    let mut block = Box::new([0; FILE_BLOCK_BYTES]);
    Content::Text(9).fill(0, 5000, &mut block);
    assert!(one.status.success() && one.stdout == block[..5000]);
}

#[test]
fn hostile_names_lead_nowhere() {
    let fill = |outside: PathBuf| {
        move |editor: &mut Editor<'_>| {
            let recipe = FileRecipe::new(10, Content::Text(1));
            let root = Inum::PFS_ROOT;
            let evil = editor.directory(root, b"directory")?;
            let file = editor.file(evil, b"file", &recipe)?;
            // The image has a link to somewhere else, and a directory of the same name.
            editor.symlink(root, b"twice", outside.as_os_str().as_bytes())?;
            editor.enter(root, b"twice", evil, FileKind::Directory)?;
            editor.symlink(root, b"absolute", outside.join("file").as_os_str().as_bytes())?;
            editor.enter(root, b"absolute", file, FileKind::Regular)?;
            for name in [&b".."[..], b".", b"../outside/new", b"/etc/hammer2-was-here", b"nul\0"] {
                editor.enter(root, name, file, FileKind::Regular)?;
            }
            editor.enter(evil, b"up", root, FileKind::Directory)?;
            editor.enter(evil, b"liar", file, FileKind::Symlink)?;
            editor.enter(evil, b"nothing", Inum(0xdead), FileKind::Regular)
        }
    };
    let elsewhere = TempDir::new().unwrap();
    fs::write(elsewhere.path().join("file"), "untouched").unwrap();
    let (folder, ()) = folder_with(fill(elsewhere.path().to_owned()));
    let output = folder.run(["get", "fs.img", "copy"]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert_eq!(fs::read(elsewhere.path().join("file")).unwrap(), b"untouched");
    assert_eq!(fs::read_dir(elsewhere.path()).unwrap().count(), 1);
    assert!(!Path::new("/etc/hammer2-was-here").exists());
    let mut copied: Vec<_> =
        fs::read_dir(folder.path("copy")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    copied.sort();
    assert_eq!(copied, ["absolute", "directory", "twice"]);
    assert_eq!(fs::read_dir(folder.path(".")).unwrap().count(), 2);
    for arguments in [&["manifest", "fs.img"][..], &["ls", "-lR", "fs.img"], &["show", "fs.img"]] {
        let output = folder.run(arguments);
        assert!(matches!(output.status.code(), Some(0 | 1)), "{output:?}");
    }
}
