//! Typing habits: DragonFly's hammer2(8) with its options before the directive, and the options of `ls`, `rm` and the like;
//! several paths at once; and advice for missing directives.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use serde_json::Value;

use super::folder::Folder;

fn folder() -> Folder {
    let folder = Folder::new();
    folder.image("a.img", 256 << 20);
    folder.succeed(["newfs", "-L", "HOME", "a.img"]);
    folder
}

fn labels(folder: &Folder) -> Vec<String> {
    let listed = folder.json(["pfs-list", "--json", "a.img"]);
    let mut labels: Vec<String> =
        listed.as_array().unwrap().iter().map(|pfs| pfs["label"].as_str().unwrap().to_owned()).collect();
    labels.sort();
    labels
}

#[test]
fn directives_of_dragonfly() {
    let folder = folder();
    folder.succeed(["-s", "a.img", "-t", "slave", "-u", "d89fb60a-262c-4e3a-b2eb-383185504d6d", "pfs-create", "COPY"]);
    folder.succeed(["-s", "a.img", "pfs-create", "OTHER"]);
    assert!(folder.succeed(["-v", "-s", "a.img", "pfs-list"]).contains("SLAVE NONE"));
    assert_eq!(folder.succeed(["-s", "a.img", "pfs-clid", "COPY"]), "d89fb60a-262c-4e3a-b2eb-383185504d6d\n");
    let listed = folder.json(["pfs-list", "--json", "a.img"]);
    let home = listed.as_array().unwrap().iter().find(|pfs| pfs["label"] == "HOME").unwrap();
    assert_eq!(folder.succeed(["pfs-fsid", "a.img", "HOME"]).trim_end(), home["fsid"].as_str().unwrap());
    folder.refuse(["pfs-clid", "a.img", "NONE"], 2, "a.img@NONE: no such PFS");
    folder.succeed(["-f", "-s", "a.img", "pfs-delete", "COPY"]);
    assert_eq!(labels(&folder), ["HOME", "LOCAL", "OTHER"]);

    folder.succeed(["mkdir", "a.img@HOME:/dir"]);
    let stat = |path: &str| folder.json(["stat", "--json", &format!("a.img@HOME:{path}")]);
    for (directive, check) in
        [("setcrc32", "crc32"), ("setsha192", "sha192"), ("setxxhash64", "xxhash64"), ("clrcheck", "none")]
    {
        folder.succeed(["-r", directive, "a.img@HOME:/dir"]);
        let found = stat("/dir")["check"].as_str().unwrap().to_owned();
        assert!(found == check || check == "crc32" && found == "iscsi32", "{directive}: {found}");
    }
    folder.succeed(["setcomp", "zlib:9", "a.img@HOME:/dir"]);
    assert_eq!(stat("/dir")["compression"], "zlib:9");
    assert!(folder.succeed(["stat", "a.img@HOME:/dir"]).contains("methods   zlib:9, none"));
    let inode = folder.json(["printinode", "--json", "a.img@HOME:/dir"]);
    assert_eq!((&inode["comp_algo"], &inode["type"]), (&Value::from(0x93), &Value::from("dir")));
    assert_eq!(inode["inum"], stat("/dir")["inum"]);
    assert!(folder.succeed(["printinode", "a.img@HOME:/"]).contains("pfs_type      MASTER"));
    folder.refuse(["printinode", "a.img@HOME:/none"], 2, "/none: no such file");

    // Names with the values of other implementations.
    assert_eq!(folder.succeed(["hash"]), "");
    let hashes = folder.succeed(["hash", "a", "some name"]);
    assert_eq!(hashes.lines().count(), 2);
    let key = u64::from_str_radix(hashes.split(' ').next().unwrap(), 16).unwrap();
    let shown = folder.succeed(["show", "--json", "a.img@HOME"]);
    let entry =
        shown.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()).find(|line| line["name"] == "dir");
    let dir = u64::from_str_radix(folder.succeed(["hash", "dir"]).split(' ').next().unwrap(), 16).unwrap();
    assert_eq!(entry.unwrap()["key"].as_u64().unwrap() & !0xffff, dir & !0xffff);
    assert_ne!(key, dir);
    assert!(folder.succeed(["dhash", "name"]).ends_with(" name\n"));

    assert!(folder.succeed(["volume-list", "a.img"]).contains("a.img, 256.00 MiB at 0x0"));
    assert_eq!(folder.json(["-s", "a.img", "volume-list", "--json"])[0]["bytes"], 256u64 << 20);
    let headers = folder.succeed(["volhdr", "a.img"]);
    assert!(
        headers.contains("a.img, copy 0:\n") && headers.contains("a.img, twin 1") && headers.contains("mirror_tid")
    );
    let freed = folder.json(["-m", "1g", "-s", "a.img", "cleanup", "--json"]);
    assert!(freed["free_bytes"].as_u64().unwrap() > 0);
}

#[test]
fn a_snapshot_that_nobody_names_has_the_time_in_its_label() {
    let folder = folder();
    let label = folder.succeed(["snapshot", "a.img@HOME"]);
    let label = label.trim_end();
    let time = label.strip_prefix("HOME.").unwrap();
    assert!(time.len() == 15 && time.chars().all(|letter| letter.is_ascii_digit() || letter == '.'), "{label}");
    assert!(labels(&folder).contains(&label.to_owned()));
    assert_eq!(folder.succeed(["-s", "a.img@HOME", "snapshot", "NAMED"]), "");
    assert!(labels(&folder).contains(&"NAMED".to_owned()));
    folder.check("a.img");
}

#[test]
fn what_isnt_there_is_answered_with_what_is() {
    let folder = folder();
    for (directive, instead) in [
        ("emergency-mode-enable", "hammer2 bulkfree"),
        ("status", "hammer2 cluster status"),
        ("service", "NBD"),
        ("connect", "hammer2 cluster add"),
        ("dumpchain", "hammer2 show"),
    ] {
        folder.refuse([directive, "a.img"], 2, instead);
    }
    folder.refuse(["snapshto", "a.img"], 2, "'snapshot'; see hammer2 --help");
    folder.refuse(["ls", "--recursiv", "a.img"], 2, "a similar argument exists: '--recursive'");
    folder.refuse(["-s", "a.img", "ls"], 2, "hammer2 ls PATH");
    folder.refuse(["-s"], 2, "-s needs a value");
    folder.refuse(["pfs-create", "a.img"], 2, "<LABEL>");
}

#[test]
fn the_options_of_ls_rm_and_put() {
    let folder = folder();
    fs::write(folder.path("file"), vec![b'x'; 3 << 20]).unwrap();
    fs::set_permissions(folder.path("file"), PermissionsExt::from_mode(0o751)).unwrap();
    folder.succeed(["put", "file", "a.img@HOME:/"]);
    folder.succeed(["put", "file", "a.img@HOME:/other"]);
    folder.succeed(["mkdir", "-p", "a.img@HOME:/dir/deep", "a.img@HOME:/.hidden"]);
    folder.succeed(["put", "file", "a.img@HOME:/dir"]);
    assert_eq!(folder.succeed(["ls", "a.img@HOME:/dir"]), "deep\nfile\n");
    assert_eq!(folder.succeed(["ls", "a.img@HOME"]), ".hidden\ndir\nfile\nother\n");
    assert_eq!(folder.succeed(["ls", "-a", "a.img@HOME"]), ".\n..\n.hidden\ndir\nfile\nother\n");
    let long = folder.succeed(["ls", "-lah", "a.img@HOME"]);
    assert!(long.contains("-rwxr-x--x") && long.contains("3.00 MiB") && long.lines().count() == 6, "{long}");
    assert!(folder.succeed(["ls", "-l", "a.img@HOME"]).contains("3145728"));
    assert!(folder.succeed(["ls", "--help"]).contains("Usage"));
    folder.refuse(["put", "file", "a.img@HOME:/none/file"], 2, "/none/: no such file");
    folder.refuse(["put", "missing", "a.img@HOME:/"], 2, "missing: No such file");
    folder.refuse(["put", "a.img", "a.img@HOME:/itself"], 1, "an image can't be copied into itself");

    folder.succeed(["rm", "-f", "a.img@HOME:/none", "a.img@HOME:/none/below"]);
    folder.refuse(["rm", "a.img@HOME:/none"], 2, "no such file");
    folder.refuse(["rm", "-f", "a.img@HOME:/dir"], 1, "-r removes it");
    folder.succeed(["rm", "-rf", "a.img@HOME:/dir", "a.img@HOME:/other"]);
    assert_eq!(folder.succeed(["ls", "a.img@HOME"]), ".hidden\nfile\n");
    folder.check("a.img");
}

#[test]
fn several_paths_are_done_whatever_becomes_of_one() {
    let folder = folder();
    fs::write(folder.path("one"), "1\n").unwrap();
    fs::write(folder.path("two"), "2\n").unwrap();
    ["one", "two"].iter().for_each(|name| drop(folder.succeed(["put", name, "a.img@HOME:/"])));
    let [one, none, two] = ["one", "none", "two"].map(|name| format!("a.img@HOME:/{name}"));
    assert_eq!(folder.succeed(["cat", &one, &two]), "1\n2\n");
    let output = folder.run(["cat", &one, &none, &two]);
    assert_eq!((output.status.code(), &output.stdout[..]), (Some(1), &b"1\n2\n"[..]));
    assert!(String::from_utf8_lossy(&output.stderr).contains("/none: no such file"), "{output:?}");
    folder.succeed(["chmod", "600", &one, &two]);
    folder.succeed(["truncate", "1", &one, &two]);
    assert_eq!(folder.succeed(["stat", &one, &two]).matches("mode      0600").count(), 2);
    assert_eq!(folder.succeed(["cat", &one, &two]), "12");
    folder.succeed(["mkdir", "a.img@HOME:/a", "a.img@HOME:/b"]);
    let listed = folder.succeed(["ls", "a.img@HOME:/a", "a.img@HOME"]);
    assert_eq!(listed, "a.img@HOME:/a:\na.img@HOME:/:\na\nb\none\ntwo\n");
}
