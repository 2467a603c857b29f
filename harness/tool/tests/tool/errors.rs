//! Errors that no test of a feature provokes: each is provoked once here. `docs/errors.md` has all errors.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::net::TcpListener;
use std::ops::Range;

use rustix::fs::{CWD, FileType, Mode, mknodat};

use super::export_server::serve;
use super::folder::Folder;

const IMAGE_BYTES: u64 = 64 << 20;

/// A folder with formatted images.
fn folder<const N: usize>(images: [&str; N]) -> Folder {
    let folder = Folder::new();
    for image in images {
        folder.image(image, IMAGE_BYTES);
        folder.succeed(["newfs", "-q", "-L", "NONE", image]);
    }
    folder
}

#[test]
fn what_a_target_may_be() {
    let folder = Folder::new();
    folder.refuse(["info", "a+b+c+d+e+f+g+h+i"], 2, "a cluster has at most 8 nodes");
    folder.refuse(["info", "a.img::b.img"], 2, "an image has no name; write IMG");
}

#[test]
fn a_server_that_says_nothing() {
    let folder = Folder::new();
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let export = format!("nbd://127.0.0.1:{}/disk", server.local_addr().unwrap().port());
    folder.refuse(["--deadline", "1", "info", &export], 2, "no answer: the server hangs, or serves somebody else");
}

/// A disk with some unreadable bytes.
struct Unreadable {
    image: File,
    bytes: Range<u64>,
}

impl Read for Unreadable {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let is_bad = self.bytes.contains(&self.image.stream_position()?);
        if is_bad { Err(io::ErrorKind::Other.into()) } else { self.image.read(bytes) }
    }
}

impl Write for Unreadable {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.image.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.image.flush()
    }
}

impl Seek for Unreadable {
    fn seek(&mut self, place: SeekFrom) -> io::Result<u64> {
        self.image.seek(place)
    }
}

/// An export of an image with these unreadable bytes.
fn unreadable(folder: &Folder, image: &str, bytes: Range<u64>) -> String {
    let wrap = move |image| Unreadable { image, bytes: bytes.clone() };
    format!("nbd://127.0.0.1:{}/v", serve(folder.path(image), wrap))
}

#[test]
fn a_disk_that_cannot_be_read() {
    let folder = folder(["v.img"]);
    let export = unreadable(&folder, "v.img", 0..IMAGE_BYTES);
    folder.refuse(["info", &export], 2, "can't read the volume header: device error ");
}

/// The disk is named whatever operation fails, and however many disks there are.
#[test]
fn a_disk_that_fails_is_named() {
    let folder = folder(["a.img", "b.img"]);
    folder.succeed(["cluster", "create", "-L", "W", "a.img", "b.img"]);
    fs::create_dir(folder.path("tree")).unwrap();
    fs::write(folder.path("tree/file"), vec![7; 60_000]).unwrap();
    folder.succeed(["put", "tree", "a.img+b.img@W:/"]);
    // Only the content of the file can't be read.
    let exports = ["a.img", "b.img"].map(|image| {
        let shown = folder.succeed(["show", &format!("{image}@W")]);
        let words = |line: &str| line.split_ascii_whitespace().map(str::to_owned).collect::<Vec<_>>();
        let block = { shown.lines().map(words) }.find(|words| words[0] == "data").unwrap_or_else(|| panic!("{shown}"));
        let place = block[3].trim_start_matches("0x").split('/').next().unwrap();
        let place = u64::from_str_radix(place, 16).unwrap();
        unreadable(&folder, image, place..place + 1)
    });
    let both = format!("{}@W", exports.join("+"));
    let alone = format!("{}@W", exports[0]);
    for target in [&both, &alone] {
        let path = format!("{target}:/file");
        for command in [["cat", &path], ["tar", target], ["manifest", target], ["fsck", &exports[0]]] {
            let output = folder.run(command);
            let said = String::from_utf8_lossy(&output.stderr) + String::from_utf8_lossy(&output.stdout);
            assert!(!output.status.success(), "{command:?}: {said}");
            let told: Vec<&str> = said.lines().filter(|line| line.contains("device error ")).collect();
            let is_named = |line: &&str| exports.iter().any(|export| line.contains(export));
            assert!(!told.is_empty() && told.iter().all(is_named), "{command:?}: {said}");
        }
    }
}

#[test]
fn what_is_no_filesystem_to_be_written_by_itself() {
    let folder = folder(["v.img"]);
    folder.succeed(["pfs-create", "-t", "SOFT_SLAVE", "v.img", "SOFT"]);
    folder.refuse(["mkdir", "v.img@SOFT:/x"], 2, "can't be written by itself");
    folder.refuse(["ls", "v.img@NONE:/"], 2, "no such PFS");
}

#[test]
fn what_is_asked_of_a_file_that_is_none() {
    let folder = folder(["v.img"]);
    fs::create_dir(folder.path("tree")).unwrap();
    fs::write(folder.path("tree/file"), "content").unwrap();
    mknodat(CWD, folder.path("tree/fifo"), FileType::Fifo, Mode::RUSR, 0).unwrap();
    folder.succeed(["newfs", "-q", "-f", "-L", "HOME", "v.img"]);
    folder.succeed(["put", "tree", "v.img:/"]);
    folder.refuse(["cat", "v.img:/fifo"], 1, "/fifo: not a regular file");
    folder.refuse(["truncate", "18446744073709551615", "v.img:/file"], 1, "/file: file too large");
    folder.refuse(["cat", "v.img:/"], 1, "is a directory");
    folder.refuse(["cat", "v.img:/none"], 2, "no such file or directory");
    folder.refuse(["mkdir", "v.img:/file"], 1, "file exists");
    folder.refuse(["mkdir", &format!("v.img:/{}", "n".repeat(256))], 2, "file name too long");
    folder.succeed(["mkdir", "-p", "v.img:/a/b"]);
    folder.refuse(["mv", "v.img:/a", "/a/b/c"], 1, "a directory can't be moved below itself");
    folder.refuse(["manifest", "v.img:/file"], 2, "/file: not a directory");
    // A file of holes that would take too long to read.
    folder.succeed(["truncate", "9000000000000000000", "v.img:/file"]);
    let output = folder.run(["manifest", "v.img"]);
    let said = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(said.contains("bytes of holes in a file of 9000000000000000000 bytes: not digested"), "{said}");
}

#[test]
fn what_is_wrong_with_members_names_the_disk_and_what_to_do() {
    let folder = folder(["a.img", "b.img", "c.img", "d.img", "s.img"]);
    folder.succeed(["cluster", "create", "-L", "W", "--slave", "s.img", "--", "a.img", "b.img", "c.img"]);
    let all = "a.img+b.img+c.img+s.img@W";
    folder.succeed(["mkdir", "a.img+b.img+c.img+s.img@W:/made"]);
    folder.refuse(["cluster", "promote", all, "a.img"], 1, "a.img (node 0) is no slave: it is a master already");
    folder.refuse(
        ["cluster", "remove", "a.img+b.img+c.img+d.img@W", "d.img"],
        1,
        "d.img (node 3) is no member here: `hammer2 cluster status a.img+b.img+c.img+d.img@W` lists them",
    );
    folder.succeed(["pfs-create", "d.img", "W"]);
    folder.refuse(["cluster", "add", all, "d.img"], 1, "has another PFS with the cluster's label: `hammer2 pfs-list ");

    // The disks that were away lack changes.
    let output = folder.run(["mkdir", "a.img+b.img@W:/while-they-were-away"]);
    assert!(output.status.success(), "{output:?}");
    folder.refuse(["cluster", "promote", all, "s.img"], 1, "s.img (node 3) isn't in step: `hammer2 cluster resync ");
    folder.refuse(
        ["cluster", "remove", all, "a.img"],
        1,
        "1 of 2 masters would be in step, 2 are needed: bring the others",
    );
    folder.succeed(["cluster", "resync", all]);

    for image in ["b.img", "c.img"] {
        folder.succeed(["cluster", "remove", all, image]);
    }
    folder.refuse(["cluster", "remove", "a.img+s.img@W", "a.img"], 1, "it is the last master: promote a slave first");
    // A slave by itself can be looked at.
    folder.refuse(["mkdir", "s.img@W:/x"], 1, "no master of the cluster is there");
}

#[test]
fn a_cluster_that_has_all_the_members_it_can_have() {
    let images = ["a.img", "b.img", "c.img", "d.img", "e.img", "f.img", "g.img", "h.img"];
    let folder = folder(images);
    folder.succeed([&["cluster", "create", "-L", "W"], &images[..]].concat());
    let all = format!("{}@W", images.join("+"));
    folder.succeed(["mkdir", &format!("{all}:/made")]);
    folder.image("new.img", IMAGE_BYTES);
    folder.refuse(["cluster", "add", &all, "new.img"], 1, "too many nodes: a cluster has at most 8");
    fs::remove_file(folder.path("h.img")).unwrap();
    let output = folder.run(["cluster", "add", &format!("{}@W", images[..7].join("+")), "new.img"]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success() && said.contains("a cluster has at most 8 members: remove one first"), "{said}");
}

#[test]
fn what_newfs_is_told_that_cannot_be() {
    let folder = Folder::new();
    folder.image("small.img", 4 << 20);
    folder.image("v.img", IMAGE_BYTES);
    folder.image("w.img", IMAGE_BYTES);
    let newfs = |arguments: &[&str], complaint: &str| folder.refuse([&["newfs"], arguments].concat(), 2, complaint);
    newfs(&["small.img"], "a volume takes at least ");
    newfs(&["v.img", "w.img"], "every volume but the last takes at least ");
    newfs(&["-V", "1", "v.img", "w.img"], "use version 2");
    newfs(&["-L", "", "v.img"], "a label can't be empty");
    newfs(&["-L", "a/b", "v.img"], "a label can't contain '/' or NUL");
    newfs(&["-L", "A", "-L", "A", "v.img"], "the label is given twice, or is LOCAL");
    newfs(&["-L", &"l".repeat(300), "v.img"], "a label has at most ");
    newfs(&["-b", "1G", "v.img"], " area of ");
    newfs(&["-s", "32M", "v.img"], "is used whole: give no size");
}
