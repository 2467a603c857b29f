//! The `hammer2` tool as its user meets it: arguments, exit statuses, one-line errors.

use std::fs::{self, File};
use std::io::BufRead as _;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use sha2::{Digest as _, Sha256};
use tempfile::TempDir;

/// A folder with an empty filesystem of two volumes, `a.img` and `b.img`, its PFSs called ONE and TWO.
fn folder() -> TempDir {
    let folder = TempDir::new().unwrap();
    for (name, bytes) in [("a.img", 2 << 30), ("b.img", 1 << 30), ("blank.img", 1 << 30)] {
        File::create(folder.path().join(name)).unwrap().set_len(bytes).unwrap();
    }
    assert_eq!(succeed(folder.path(), &["newfs", "-L", "ONE", "-L", "TWO", "a.img", "b.img"]).lines().count(), 4);
    folder
}

fn run(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_hammer2")).current_dir(folder).args(arguments).output().unwrap()
}

fn succeed(folder: &Path, arguments: &[&str]) -> String {
    let output = run(folder, arguments);
    assert!(output.status.success() && output.stderr.is_empty(), "{arguments:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// Checks exit status and that there is one line of complaint with this in it.
fn refuse(folder: &Path, arguments: &[&str], status: i32, complaint: &str) {
    let output = run(folder, arguments);
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!((output.status.code(), text.lines().count()), (Some(status), 1), "{arguments:?}: {text}");
    assert!(text.starts_with("hammer2: ") && text.contains(complaint), "{arguments:?}: {text}");
}

#[test]
fn what_cant_be_used_is_refused_in_one_line() {
    let folder = folder();
    let path = folder.path();
    refuse(path, &[], 2, "no command");
    refuse(path, &["frobnicate"], 2, "frobnicate");
    refuse(path, &["ls"], 2, "<TARGET>");
    refuse(path, &["ls", "--what", "a.img"], 2, "--what");
    refuse(path, &["ls", "missing.img"], 2, "missing.img: No such file");
    refuse(path, &["ls", "."], 2, ".: neither a file nor a block device");
    refuse(path, &["ls", "blank.img"], 2, "blank.img: no HAMMER2 volume header");
    refuse(path, &["ls", "a.img"], 2, "volume 1 of 2 is missing");
    refuse(path, &["ls", "a.img:b.img:b.img"], 2, "b.img: volume 1 was already given");
    refuse(path, &["ls", "a.img:b.img"], 2, "no such PFS");
    refuse(path, &["ls", "a.img:b.img@THREE"], 2, "@THREE");
    refuse(path, &["ls", "a.img:b.img@ONE:/nothing"], 2, "/nothing: no such file");
    refuse(path, &["ls", "a+b+c+d+e+f+g+h+i"], 2, "at most 8 nodes");
    refuse(path, &["cat", "a.img:b.img@ONE:/"], 1, "is a directory");
    refuse(path, &["info", "a.img:b.img@ONE"], 2, "without label");
    refuse(path, &["show", "a.img:b.img@THREE"], 2, "@THREE: no such PFS");
    refuse(path, &["show", "a.img:b.img@ONE:/x"], 2, "without a path");
    refuse(path, &["freemap", "a.img:b.img@ONE"], 2, "without label");
    refuse(path, &["newfs", "a.img"], 2, "a.img: holds a filesystem");
    refuse(path, &["newfs", "missing.img"], 2, "missing.img");
    refuse(path, &["newfs", "-V", "3", "blank.img"], 2, "-V");
    refuse(path, &["get", "a.img:b.img@ONE", "a.img"], 2, "a.img: Not a directory");
}

#[test]
fn an_empty_filesystem_is_shown_by_all_commands() {
    let folder = folder();
    let path = folder.path();
    let info: serde_json::Value = serde_json::from_str(&succeed(path, &["info", "--json", "b.img:a.img"])).unwrap();
    let labels: Vec<_> = info["pfs"].as_array().unwrap().iter().map(|pfs| pfs["label"].as_str().unwrap()).collect();
    assert_eq!(labels.len(), 3);
    assert!(["LOCAL", "ONE", "TWO"].iter().all(|label| labels.contains(label)));
    assert_eq!(info["volumes"][1]["base"], 2u64 << 30);
    assert!(succeed(path, &["info", "a.img:b.img"]).contains("pfs TWO"));
    assert_eq!(succeed(path, &["ls", "a.img:b.img@ONE"]), "");
    assert_eq!(succeed(path, &["ls", "-R", "a.img:b.img@ONE"]), ".\n");
    assert!(succeed(path, &["stat", "a.img:b.img@ONE:/"]).contains("type      dir"));
    let show = succeed(path, &["show", "a.img:b.img@TWO"]);
    assert!(show.starts_with("inode 0x0/0 at ") && show.contains("MASTER TWO") && !show.contains("ONE"), "{show}");
    assert!(succeed(path, &["freemap", "a.img:b.img"]).starts_with("total: 0 allocated, 0 staged, "));
    let manifest = succeed(path, &["manifest", "a.img:b.img@ONE"]);
    assert!(
        manifest.starts_with("{\"path\":\".\",\"type\":\"dir\",\"mode\":\"0755\"") && manifest.lines().count() == 1
    );
    let digest = succeed(path, &["manifest", "--digest", "a.img:b.img@ONE"]);
    let expected: String = Sha256::digest(manifest.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(digest.trim_end(), expected);
    assert_eq!(succeed(path, &["get", "a.img:b.img@ONE", "out"]), "");
    assert_eq!(fs::read_dir(path.join("out")).unwrap().count(), 0);
}

#[test]
fn fsck_says_what_it_found_and_ends_accordingly() {
    let folder = folder();
    let path = folder.path();
    let clean = succeed(path, &["fsck", "--strict", "a.img:b.img"]);
    assert!(clean.starts_with("clean: 0 problems, 0 remarks; checked 2 header copies, 3 PFSs"), "{clean}");
    refuse(path, &["fsck", "a.img"], 2, "volume 1 of 2 is missing");
    refuse(path, &["fsck", "blank.img"], 2, "blank.img: no HAMMER2 volume header");
    refuse(path, &["fsck", "a.img:b.img@ONE"], 2, "without label");

    let info: serde_json::Value = serde_json::from_str(&succeed(path, &["info", "--json", "a.img:b.img"])).unwrap();
    let first_pfs = info["header"]["aux_end"].as_u64().unwrap() + 1024;
    let image = File::options().write(true).open(path.join("a.img")).unwrap();
    image.write_all_at(b"damage", first_pfs + 600).unwrap();
    let output = run(path, &["fsck", "a.img:b.img"]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(text.starts_with("problem: inode block") && text.contains("the whole PFS is lost"), "{text}");
    assert!(text.lines().last().unwrap().starts_with("damaged: 1 problems"), "{text}");
    let output = run(path, &["fsck", "--json", "a.img:b.img"]);
    let lines: Vec<serde_json::Value> =
        output.stdout.lines().map(|line| serde_json::from_str(&line.unwrap()).unwrap()).collect();
    assert_eq!(lines[0]["severity"], "problem");
    assert_eq!(lines[0]["block"]["data_off"].as_u64().unwrap(), first_pfs | 10);
    assert_eq!(lines[1]["summary"]["problems"], 1);
}

#[test]
fn help_is_no_failure_and_names_the_exit_statuses() {
    let folder = TempDir::new().unwrap();
    let help = succeed(folder.path(), &["--help"]);
    assert!(help.contains("Exit status:") && help.contains("newfs") && help.contains("NODE[+NODE...][@LABEL][:/PATH]"));
    assert!(succeed(folder.path(), &["--version"]).starts_with("hammer2 "));
}

#[test]
fn a_reader_that_has_enough_is_no_failure() {
    let folder = folder();
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut command = Command::new(env!("CARGO_BIN_EXE_hammer2"));
    command.current_dir(folder.path()).args(["info", "a.img:b.img"]).stdout(writer).stderr(Stdio::piped());
    let output = command.output().unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
}
