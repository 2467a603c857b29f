//! Arguments, exit statuses, one-line errors.

use std::fs::{self, File};
use std::io::BufRead as _;
use std::os::unix::fs::FileExt as _;
use std::process::Stdio;

use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::folder::Folder;

/// A folder with an empty filesystem of two volumes, `a.img` and `b.img`, its PFSs called ONE and TWO.
fn folder() -> Folder {
    let folder = Folder::new();
    for (name, bytes) in [("a.img", 2 << 30), ("b.img", 1 << 30), ("blank.img", 1 << 30)] {
        folder.image(name, bytes);
    }
    assert_eq!(folder.succeed(["newfs", "-L", "ONE", "-L", "TWO", "a.img", "b.img"]).lines().count(), 4);
    folder
}

#[test]
fn an_empty_filesystem_is_shown_by_all_commands() {
    let folder = folder();
    let info = folder.json(["info", "--json", "b.img:a.img"]);
    let labels: Vec<_> = info["pfs"].as_array().unwrap().iter().map(|pfs| pfs["label"].as_str().unwrap()).collect();
    assert_eq!(labels.len(), 3);
    assert!(["LOCAL", "ONE", "TWO"].iter().all(|label| labels.contains(label)));
    assert_eq!(info["volumes"][1]["base"], 2u64 << 30);
    assert!(folder.succeed(["info", "a.img:b.img"]).contains("pfs TWO"));
    assert_eq!(folder.succeed(["ls", "a.img:b.img@ONE"]), "");
    assert_eq!(folder.succeed(["ls", "-R", "a.img:b.img@ONE"]), ".\n");
    assert!(folder.succeed(["stat", "a.img:b.img@ONE:/"]).contains("type      dir"));
    let show = folder.succeed(["show", "a.img:b.img@TWO"]);
    assert!(show.starts_with("inode 0x0/0 at ") && show.contains("MASTER TWO") && !show.contains("ONE"), "{show}");
    assert!(folder.succeed(["freemap", "a.img:b.img"]).starts_with("total: 0 B allocated, 0 B staged, "));
    let manifest = folder.succeed(["manifest", "a.img:b.img@ONE"]);
    assert!(
        manifest.starts_with("{\"path\":\".\",\"type\":\"dir\",\"mode\":\"0755\"") && manifest.lines().count() == 1
    );
    let digest = folder.succeed(["manifest", "--digest", "a.img:b.img@ONE"]);
    let expected: String = Sha256::digest(manifest.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(digest.trim_end(), expected);
    assert_eq!(folder.succeed(["get", "a.img:b.img@ONE", "out"]), "");
    assert_eq!(fs::read_dir(folder.path("out")).unwrap().count(), 0);
}

#[test]
fn fsck_says_what_it_found_and_ends_accordingly() {
    let folder = folder();
    let clean = folder.succeed(["fsck", "--strict", "a.img:b.img"]);
    assert!(clean.starts_with("clean: 0 problems, 0 remarks; checked 2 header copies, 3 PFSs"), "{clean}");
    folder.refuse(["fsck", "a.img"], 2, "volume 1 of 2 is missing");
    folder.refuse(["fsck", "blank.img"], 2, "blank.img: no HAMMER2 volume header");
    folder.refuse(["fsck", "a.img:b.img@ONE"], 2, "without label");

    let info = folder.json(["info", "--json", "a.img:b.img"]);
    let first_pfs = info["header"]["aux_end"].as_u64().unwrap() + 1024;
    let image = File::options().write(true).open(folder.path("a.img")).unwrap();
    image.write_all_at(b"damage", first_pfs + 600).unwrap();
    let output = folder.run(["fsck", "a.img:b.img"]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(text.starts_with("problem: inode block") && text.contains("the whole PFS is lost"), "{text}");
    assert!(text.lines().last().unwrap().starts_with("damaged: 1 problems"), "{text}");
    let output = folder.run(["fsck", "--json", "a.img:b.img"]);
    let lines: Vec<Value> = output.stdout.lines().map(|line| serde_json::from_str(&line.unwrap()).unwrap()).collect();
    assert_eq!(lines[0]["severity"], "problem");
    assert_eq!(lines[0]["block"]["data_off"].as_u64().unwrap(), first_pfs | 10);
    assert_eq!(lines[1]["summary"]["problems"], 1);
}

#[test]
fn help_is_no_failure_and_names_the_exit_statuses() {
    let folder = Folder::new();
    let help = folder.succeed(["--help"]);
    assert!(help.contains("Exit status:") && help.contains("newfs") && help.contains("NODE[+NODE...][@LABEL][:/PATH]"));
    assert!(folder.succeed(["--version"]).starts_with("hammer2 "));
}

#[test]
fn a_reader_that_has_enough_is_no_failure() {
    let folder = folder();
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut command = folder.command(["info", "a.img:b.img"]);
    let output = command.stdout(writer).stderr(Stdio::piped()).output().unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
}
