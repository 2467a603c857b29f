//! The commands of the `hammer2` tool that change a filesystem, from the user's side. Every volume is checked strictly
//! afterwards.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File, FileTimes, Metadata, Permissions};
use std::io::Write as _;
use std::ops::Deref;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{FileExt as _, MetadataExt as _, PermissionsExt as _, symlink};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, SystemTime};

use super::folder::Folder;
use rustix::fs::{AtFlags, CWD, FileType, Mode, Timespec, Timestamps};
use serde_json::Value;

const VOLUME: &str = "v.img";

/// A folder with an empty filesystem on `v.img`.
struct Written(Folder);

impl Deref for Written {
    type Target = Folder;

    fn deref(&self) -> &Folder {
        &self.0
    }
}

impl Written {
    fn new(volume_bytes: u64) -> Self {
        let folder = Folder::new();
        folder.image(VOLUME, volume_bytes);
        folder.succeed(["newfs", VOLUME]);
        Self(folder)
    }

    fn stat(&self, path: &str) -> Value {
        self.json(["stat", "--json", &at(path)])
    }

    /// Feeds standard input to `put -`.
    fn put_stdin(&self, content: &[u8], path: &str) {
        let mut child = self.command(["put", "-", &at(path)]).stdin(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(content).unwrap();
        assert!(child.wait().unwrap().success());
    }

    fn cat(&self, path: &str) -> Vec<u8> {
        let output = self.run(["cat", &at(path)]);
        assert!(output.status.success(), "{output:?}");
        output.stdout
    }

    fn check(&self) {
        self.0.check(VOLUME);
    }
}

fn at(path: &str) -> String {
    format!("{VOLUME}@DATA:{path}")
}

fn set_mtime(path: &Path, seconds: i64, nanoseconds: i64) {
    let time = Timespec { tv_sec: seconds, tv_nsec: nanoseconds };
    let times = Timestamps { last_access: time, last_modification: time };
    rustix::fs::utimensat(CWD, path, &times, AtFlags::SYMLINK_NOFOLLOW).unwrap();
}

fn make_node(path: &Path, kind: FileType, device: (u32, u32)) {
    let device = rustix::fs::makedev(device.0, device.1);
    rustix::fs::mknodat(CWD, path, kind, Mode::from_raw_mode(0o640), device).unwrap();
}

/// A tree with a bit of everything. Owners and device nodes need root.
fn make_tree(root: &Path) {
    let is_root = rustix::process::geteuid().is_root();
    fs::create_dir_all(root.join("directory/empty")).unwrap();
    fs::write(root.join("directory/text"), "words ".repeat(5000)).unwrap();
    fs::hard_link(root.join("directory/text"), root.join("second name")).unwrap();
    fs::write(root.join(OsStr::from_bytes(b"no \xff text")), "x").unwrap();
    fs::write(root.join("n".repeat(255)), "").unwrap();
    for bytes in [1, 512, 513, 65535, 65536, 65537, 300_000] {
        let content: Vec<u8> = (0..bytes).map(|byte: u32| (byte.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
        fs::write(root.join(format!("{bytes} bytes")), content).unwrap();
    }
    symlink("to/nowhere", root.join("link")).unwrap();
    symlink("x".repeat(3000), root.join("long link")).unwrap();
    make_node(&root.join("pipe"), FileType::Fifo, (0, 0));
    drop(UnixListener::bind(root.join("socket")).unwrap());
    let holes = File::create(root.join("holes")).unwrap();
    holes.set_len(40 << 20).unwrap();
    holes.write_all_at(b"in the middle", 20 << 20).unwrap();
    let mut deep = root.join("deep");
    for depth in 0..150 {
        deep.push(depth.to_string());
    }
    fs::create_dir_all(&deep).unwrap();
    fs::write(deep.join("file"), "far down").unwrap();
    if is_root {
        make_node(&root.join("character device"), FileType::CharacterDevice, (1, 3));
        make_node(&root.join("block device"), FileType::BlockDevice, (8, 300));
        std::os::unix::fs::lchown(root.join("directory"), Some(1000), Some(1001)).unwrap();
        std::os::unix::fs::lchown(root.join("link"), Some(7), Some(8)).unwrap();
    }
    fs::set_permissions(root.join("second name"), Permissions::from_mode(0o751)).unwrap();
    fs::set_permissions(root.join("directory"), Permissions::from_mode(0o1770)).unwrap();
    set_mtime(&root.join("link"), 1_234_567_890, 123_456_789);
    set_mtime(&root.join("directory"), 1_000_000_000, 1000);
    set_mtime(root, 981_173_106, 123_456_000);
}

/// The facts that should be the same after a round trip, by path.
fn facts(root: &Path) -> BTreeMap<OsString, Vec<String>> {
    let mut facts = BTreeMap::new();
    let mut paths = vec![root.to_owned()];
    while let Some(path) = paths.pop() {
        let of = fs::symlink_metadata(&path).unwrap();
        if of.is_dir() {
            paths.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        }
        facts.insert(path.strip_prefix(root).unwrap().as_os_str().to_owned(), facts_of(&path, &of));
    }
    facts
}

fn facts_of(path: &Path, of: &Metadata) -> Vec<String> {
    let content = match of.file_type() {
        kind if kind.is_file() => fs::read(path).unwrap(),
        kind if kind.is_symlink() => fs::read_link(path).unwrap().into_os_string().into_encoded_bytes(),
        _ => Vec::new(),
    };
    let links = if of.is_dir() { 0 } else { of.nlink() };
    let time = (of.mtime(), of.mtime_nsec() / 1000);
    let digest = content.iter().fold(content.len() as u64, |sum, byte| sum.rotate_left(5) ^ u64::from(*byte));
    vec![format!("{:o} {}:{} {}", of.mode(), of.uid(), of.gid(), of.rdev()), format!("{links} {time:?} {digest:x}")]
}

#[test]
fn a_tree_comes_back_as_it_was_put() {
    let folder = Written::new(1 << 30);
    let source = folder.path("source");
    make_tree(&source);
    folder.succeed(["put", "source", &at("/made/for it")]);
    folder.check();
    folder.succeed(["get", &at("/made/for it"), "copy"]);
    let (put, got) = (facts(&source), facts(&folder.path("copy")));
    for path in put.keys().chain(got.keys()) {
        assert_eq!(put.get(path), got.get(path), "{}", path.display());
    }
    let text = folder.stat("/made/for it/directory/text");
    assert_eq!(text["nlink"], 2);
    assert_eq!(text["inum"], folder.stat("/made/for it/second name")["inum"]);
    let holes = folder.stat("/made/for it/holes");
    assert_eq!(holes["size"], 40 << 20);
    assert!(holes["stored_bytes"].as_u64().unwrap() <= 64 << 10, "{holes}");
}

#[test]
fn what_is_there_is_replaced_or_added_to() {
    let folder = Written::new(1 << 30);
    let source = folder.path("source");
    fs::create_dir_all(source.join("both")).unwrap();
    fs::write(source.join("both/new"), "new").unwrap();
    fs::write(source.join("file"), "first, and longer").unwrap();
    fs::hard_link(source.join("file"), source.join("again")).unwrap();
    folder.succeed(["put", "source", &at("/")]);
    folder.put_stdin(b"kept", "/both/kept");
    fs::write(source.join("file"), "second").unwrap();
    folder.succeed(["put", "source", &at("/")]);
    assert_eq!(folder.cat("/file"), b"second");
    assert_eq!(folder.cat("/again"), b"second");
    assert_eq!(folder.stat("/file")["nlink"], 2);
    assert_eq!(folder.cat("/both/kept"), b"kept");

    // A file doesn't replace a directory, nor the other way round.
    fs::remove_dir_all(source.join("both")).unwrap();
    fs::write(source.join("both"), "a file now").unwrap();
    folder.refuse(["put", "source", &at("/")], 1, "both: left out: the target has a directory");
    assert_eq!(folder.cat("/both/kept"), b"kept");
    folder.succeed(["rm", "-r", &at("/both")]);
    folder.succeed(["put", "source", &at("/")]);
    fs::remove_file(source.join("both")).unwrap();
    fs::create_dir(source.join("both")).unwrap();
    folder.refuse(["put", "source", &at("/")], 1, "both: left out: the target has a file");
    folder.refuse(["put", "source", &at("/both")], 2, "/both: not a directory");
    folder.refuse(["put", "missing", &at("/")], 2, "missing: No such file");
    folder.refuse(["put", ".", &at("/all")], 1, "v.img: left out: an image");
    folder.check();
}

#[test]
fn standard_input_becomes_a_file() {
    let folder = Written::new(1 << 30);
    let content: Vec<u8> = (0..700_001u32).map(|byte| (byte.wrapping_mul(2_654_435_761) >> 11) as u8).collect();
    folder.put_stdin(&content, "/file");
    assert_eq!(folder.cat("/file"), content);
    folder.put_stdin(b"short", "/file");
    assert_eq!(folder.cat("/file"), b"short");
    assert_eq!(folder.stat("/file")["mode"], "0644");
    folder.put_stdin(b"", "/empty");
    assert_eq!(folder.cat("/empty"), b"");
    folder.refuse(["put", "-", &at("/")], 2, "this is the root");
    folder.refuse(["put", "-", &at("/no/file")], 2, "/no/: no such file");
    folder.check();
}

#[test]
fn a_full_volume_keeps_what_fitted() {
    // The boot area takes at least 64 MiB, and the aux area as much, so little is left.
    let folder = Written::new(256 << 20);
    let source = folder.path("source");
    fs::create_dir(&source).unwrap();
    let mut state = 1u64;
    for number in 0..100 {
        let words = std::iter::repeat_with(|| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state ^ state >> 32).to_le_bytes()
        });
        let content: Vec<u8> = words.take(3 << 17).flatten().collect();
        fs::write(source.join(format!("{number:03}")), content).unwrap();
    }
    let output = folder.run(["put", "source", &at("/")]);
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!((output.status.code(), text.lines().count()), (Some(1), 1), "{text}");
    assert!(text.contains(": no space left on the file system; all before it is copied"), "{text}");
    folder.check();
    folder.succeed(["get", &at("/"), "copy"]);
    let copied = fs::read_dir(folder.path("copy")).unwrap().count();
    assert!(copied > 10 && copied < 100, "{copied}");
    for number in 0..copied {
        let name = format!("{number:03}");
        assert_eq!(fs::read(source.join(&name)).unwrap(), fs::read(folder.path("copy").join(&name)).unwrap(), "{name}");
    }
    folder.succeed(["rm", &at("/000")]);
    folder.check();
}

#[test]
fn names_are_made_moved_and_removed() {
    let folder = Written::new(1 << 30);
    folder.refuse(["mkdir", &at("/a/b/c")], 2, "/a/b/: no such file");
    folder.succeed(["mkdir", "-p", &at("/a/b/c")]);
    folder.succeed(["mkdir", "-p", &at("/a/b/c/")]);
    folder.refuse(["mkdir", &at("/a/b")], 1, "/a/b: file exists");
    folder.put_stdin(b"content", "/a/file");
    folder.succeed(["ln", "/a/file", &at("/a/b/other")]);
    assert_eq!(folder.stat("/a/file")["nlink"], 2);
    folder.refuse(["ln", "/a", &at("/a2")], 1, "/a2: is a directory");
    folder.succeed(["ln", "-s", "../any where", &at("/a/b/link")]);
    assert_eq!(folder.stat("/a/b/link")["target"], "../any where");

    folder.succeed(["mv", &at("/a/file"), "/a/b/c"]);
    assert_eq!(folder.cat("/a/b/c/file"), b"content");
    folder.succeed(["mv", &at("/a/b/c/file"), "/named"]);
    folder.put_stdin(b"replaced", "/old");
    folder.succeed(["mv", &at("/named"), "/old"]);
    assert_eq!(folder.cat("/old"), b"content");
    folder.refuse(["mv", &at("/a"), "/a/b/c"], 1, "below itself");
    folder.refuse(["mv", &at("/none"), "/x"], 2, "/none: no such file");

    folder.refuse(["rm", &at("/a")], 1, "-r removes it");
    folder.refuse(["rm", &at("/none")], 2, "/none: no such file");
    folder.refuse(["rm", "-r", &at("/")], 2, "this is the root");
    folder.succeed(["rm", "-r", &at("/a/")]);
    assert_eq!(folder.stat("/old")["nlink"], 1);
    folder.succeed(["rm", &at("/old")]);
    assert_eq!(folder.succeed(["ls", "-R", &at("/")]), ".\n");
    folder.check();
}

#[test]
fn attributes_and_methods_are_set() {
    let folder = Written::new(1 << 30);
    folder.succeed(["mkdir", "-p", &at("/d/below")]);
    folder.put_stdin(&b"text ".repeat(100_000), "/d/below/file");
    folder.succeed(["chmod", "4751", &at("/d/below/file")]);
    folder.succeed(["chown", "12:34", &at("/d/below/file")]);
    folder.succeed(["chown", ":56", &at("/d/below/file")]);
    let file = folder.stat("/d/below/file");
    assert_eq!((&file["mode"], &file["uid"], &file["gid"]), (&"4751".into(), &12.into(), &56.into()));
    folder.succeed(["truncate", "3", &at("/d/below/file")]);
    folder.succeed(["truncate", "1M", &at("/d/below/file")]);
    let content = folder.cat("/d/below/file");
    assert!(content.starts_with(b"tex\0") && content.len() == 1 << 20 && content[3..].iter().all(|byte| *byte == 0));
    folder.put_stdin(b"in the inode", "/d/below/small");
    folder.succeed(["truncate", "0", &at("/d/below/small")]);
    folder.succeed(["truncate", "7", &at("/d/below/small")]);
    assert_eq!(folder.cat("/d/below/small"), [0; 7], "what was cut off doesn't come back");
    folder.refuse(["truncate", "0", &at("/d")], 1, "is a directory");
    folder.refuse(["chmod", "9", &at("/d")], 2, "octal");
    folder.refuse(["chown", "root", &at("/d")], 2, "numbers");

    // The stored blocks show which methods were used.
    folder.succeed(["setcomp", "-r", "none", &at("/d")]);
    folder.succeed(["setcheck", "-r", "sha192", &at("/d")]);
    folder.put_stdin(&b"text ".repeat(100_000), "/d/below/plain");
    assert!(folder.stat("/d/below/plain")["stored_bytes"].as_u64().unwrap() >= 500_000);
    folder.succeed(["setcomp", "zlib:9", &at("/d/below")]);
    folder.put_stdin(&b"text ".repeat(100_000), "/d/below/packed");
    assert!(folder.stat("/d/below/packed")["stored_bytes"].as_u64().unwrap() <= 32 << 10);
    assert!(folder.succeed(["show", &format!("{VOLUME}@DATA")]).to_lowercase().contains("sha192"));
    folder.refuse(["setcomp", "lz5", &at("/d")], 2, "known are");
    folder.refuse(["setcheck", "md5", &at("/d")], 2, "known are");
    folder.check();
}

#[test]
fn writers_are_alone() {
    let folder = Written::new(1 << 30);
    let mut writer = folder.command(["put", "-", &at("/file")]).stdin(Stdio::piped()).spawn().unwrap();
    let mut stdin = writer.stdin.take().unwrap();
    // By the time the pipe has taken this, the volume has long been open.
    stdin.write_all(&vec![7; 4 << 20]).unwrap();
    folder.refuse(["mkdir", &at("/d")], 2, "v.img: in use: end the mount or command");
    folder.refuse(["ls", VOLUME], 2, "v.img: in use");
    drop(stdin);
    assert!(writer.wait().unwrap().success());
    folder.succeed(["mkdir", &at("/d")]);

    let reader = File::open(folder.path(VOLUME)).unwrap();
    reader.lock_shared().unwrap();
    folder.refuse(["rm", &at("/file")], 2, "in use");
    folder.succeed(["ls", VOLUME]);
    folder.check();
}

#[test]
fn times_that_there_are_not_are_told() {
    let folder = Written::new(64 << 20);
    fs::create_dir(folder.path("source")).unwrap();
    fs::write(folder.path("source/old"), "content").unwrap();
    set_mtime(&folder.path("source/old"), -1_000_000, 0);
    let copied = folder.run(["put", "source", &at("/")]);
    let said = String::from_utf8(copied.stderr).unwrap();
    assert!(copied.status.code() == Some(1) && said.contains("old: the filesystem has no times before 1970"), "{said}");
    assert_eq!(folder.cat("/old"), b"content");
    assert_eq!(folder.stat("/old")["mtime_us"], 0);
}

#[test]
fn times_are_kept_to_the_microsecond() {
    let folder = Written::new(1 << 30);
    let source = folder.path("source");
    fs::create_dir(&source).unwrap();
    let file = File::create(source.join("file")).unwrap();
    let time = |microseconds| SystemTime::UNIX_EPOCH + Duration::from_micros(microseconds);
    let times = FileTimes::new().set_modified(time(1_600_000_000_123_456)).set_accessed(time(1_500_000_000_654_321));
    file.set_times(times).unwrap();
    folder.succeed(["put", "source", &at("/")]);
    let stat = folder.stat("/file");
    assert_eq!(
        (&stat["mtime_us"], &stat["atime_us"]),
        (&1_600_000_000_123_456u64.into(), &1_500_000_000_654_321u64.into())
    );
    let source_time = fs::metadata(&source).unwrap();
    let expected = source_time.mtime() * 1_000_000 + source_time.mtime_nsec() / 1000;
    assert_eq!(folder.stat("/")["mtime_us"], expected);
    folder.check();
}
