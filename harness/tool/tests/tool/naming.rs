//! Names of filesystems: which arguments name one, which don't, and which are refused rather than guessed.

use std::fs;

use serde_json::Value;

use super::folder::Folder;

const BYTES: u64 = 128 << 20;

/// A folder with formatted images of these names.
fn folder(names: &[&str]) -> Folder {
    let folder = Folder::new();
    for name in names {
        folder.image(name, BYTES);
        folder.succeed(["newfs", name]);
    }
    folder
}

/// A fact about the PFS of this label on a node.
fn fact(folder: &Folder, node: &str, label: &str, key: &str) -> String {
    let listed = folder.json(["pfs-list", "--json", node]);
    let found = listed.as_array().unwrap().iter().find(|pfs| pfs["label"] == label);
    found.unwrap_or_else(|| panic!("{listed}"))[key].as_str().unwrap().to_owned()
}

#[test]
fn nodes_that_have_nothing_to_do_with_each_other_are_refused_whatever_the_order() {
    let folder = folder(&["a.img", "b.img"]);
    let before = ["a.img", "b.img"].map(|image| fs::read(folder.path(image)).unwrap());
    let clids = ["a.img", "b.img"].map(|image| fact(&folder, image, "DATA", "clid"));
    for (nodes, first, second) in [("a.img+b.img", 0, 1), ("b.img+a.img", 1, 0)] {
        let images = ["a.img", "b.img"];
        for arguments in
            [&["ls", nodes][..], &["mkdir", &format!("{nodes}:/made")], &["pfs-delete", "-f", nodes, "DATA"]]
        {
            let output = folder.run(arguments);
            let told = String::from_utf8(output.stderr).unwrap();
            assert!(!output.status.success() && told.lines().count() == 1, "{arguments:?}: {told}");
            assert!(told.contains(&clids[first]) && told.contains(&clids[second]), "{arguments:?}: {told}");
            if arguments[0] != "pfs-delete" {
                assert!(images.iter().all(|image| told.contains(image)), "{arguments:?}: {told}");
            }
        }
    }
    assert!(before == ["a.img", "b.img"].map(|image| fs::read(folder.path(image)).unwrap()), "something was written");
}

#[test]
fn an_old_clusters_member_is_no_member_of_a_new_one() {
    let folder = folder(&["a.img", "b.img", "c.img", "d.img"]);
    folder.succeed(["cluster", "create", "-L", "W", "a.img", "b.img"]);
    folder.succeed(["cluster", "create", "-L", "W", "c.img", "d.img"]);
    for nodes in ["a.img+b.img+c.img@W", "c.img+a.img+b.img@W"] {
        folder.refuse(["ls", nodes], 2, "have nothing to do with each other");
        folder.refuse(["mkdir", &format!("{nodes}:/x")], 2, "c.img");
    }
    folder.succeed(["mkdir", "a.img+b.img@W:/x"]);
}

#[test]
fn paths_that_exist_on_the_host_are_paths_in_the_image() {
    let folder = folder(&["a.img"]);
    // The host has directories, a file that isn't a volume, and one that is large enough for one.
    fs::create_dir(folder.path("host")).unwrap();
    fs::write(folder.path("host/small"), "text").unwrap();
    fs::write(folder.path("host/large"), vec![b'x'; 16 << 20]).unwrap();
    let host = folder.path("host").display().to_string();
    folder.succeed(["mkdir", "-p", &format!("a.img:{host}/small")]);
    folder.succeed(["mkdir", &format!("a.img:{host}/large")]);
    assert_eq!(folder.succeed(["ls", &format!("a.img:{host}")]), "large\nsmall\n");
    assert_eq!(folder.succeed(["ls", &format!("a.img:{host}/small")]), "");
    folder.succeed(["mkdir", "a.img:/etc"]);
    assert!(folder.succeed(["ls", "a.img:/"]).contains("etc"));
    assert_eq!(folder.succeed(["ls", "a.img:/etc"]), "");
    folder.succeed(["stat", "a.img:/"]);
}

#[test]
fn an_absolute_path_to_another_volume_of_the_set_is_one() {
    let folder = Folder::new();
    folder.image("a.img", 1 << 30);
    folder.image("b.img", 1 << 30);
    folder.succeed(["newfs", "a.img", "b.img"]);
    let second = folder.path("b.img").display().to_string();
    assert_eq!(folder.succeed(["ls", &format!("a.img:{second}")]), "");
    folder.succeed(["mkdir", &format!("a.img:{second}:/etc")]);
    assert_eq!(folder.succeed(["ls", "a.img:b.img:/"]), "etc\n");
}

#[test]
fn the_only_pfs_that_is_no_snapshot_is_meant_and_of_several_the_labels_are_told() {
    let folder = Folder::new();
    folder.image("a.img", BYTES);
    folder.succeed(["newfs", "-L", "HOME", "a.img"]);
    folder.succeed(["mkdir", "a.img:/now"]);
    folder.succeed(["snapshot", "a.img", "OLD"]);
    folder.succeed(["mkdir", "a.img:/later"]);
    assert_eq!(folder.succeed(["ls", "a.img"]), "later\nnow\n");
    assert_eq!(folder.succeed(["ls", "a.img@OLD"]), "now\n");
    folder.succeed(["pfs-create", "a.img", "WORK"]);
    folder.refuse(["ls", "a.img"], 2, "no such PFS");
    for label in ["HOME", "OLD", "WORK"] {
        folder.refuse(["ls", "a.img"], 2, label);
        folder.refuse(["ls", "a.img@NONE"], 2, label);
        folder.refuse(["pfs-delete", "a.img", "NONE"], 2, label);
    }
}

#[test]
fn what_is_hardly_meant_to_be_deleted_is_asked_for() {
    let folder = folder(&["a.img", "b.img", "c.img"]);
    folder.refuse(["pfs-delete", "a.img", "DATA"], 2, "the only PFS");
    folder.succeed(["pfs-create", "a.img", "OTHER"]);
    folder.succeed(["pfs-delete", "a.img", "DATA"]);
    folder.refuse(["pfs-delete", "a.img", "OTHER"], 2, "`hammer2 pfs-delete -f a.img OTHER`");
    folder.succeed(["pfs-delete", "-f", "a.img", "OTHER"]);

    folder.succeed(["cluster", "create", "-L", "W", "a.img", "b.img", "c.img"]);
    for some in ["b.img", "b.img+c.img"] {
        folder.refuse(["pfs-delete", some, "W"], 2, &format!("`hammer2 pfs-delete -f {some} W`"));
    }
    folder.succeed(["mkdir", "a.img+b.img+c.img@W:/whole"]);
    folder.succeed(["pfs-delete", "-f", "b.img", "W"]);
    folder.refuse(["ls", "b.img@W"], 2, "no such PFS");
    folder.succeed(["mkdir", "a.img+c.img@W:/two"]);
}

#[test]
fn one_nodes_version_is_looked_at_and_not_changed() {
    let folder = folder(&["a.img", "b.img", "c.img"]);
    folder.succeed(["mkdir", "a.img:/dir"]);
    let before = fs::read(folder.path("a.img")).unwrap();
    assert_eq!(folder.succeed(["ls", "--as-of", "0", "a.img"]), "dir\n");
    folder.refuse(["mkdir", "--as-of", "0", "a.img:/other"], 1, "--as-of is for looking");
    folder.refuse(["snapshot", "--as-of", "0", "a.img", "S"], 1, "--as-of is for looking");
    folder.refuse(["pfs-create", "--as-of", "0", "a.img", "S"], 1, "--as-of is for looking");
    folder.refuse(["newfs", "-f", "--as-of", "0", "a.img"], 1, "--as-of is for looking");
    folder.refuse(["ls", "--as-of", "1", "a.img"], 1, "node 1 is no member");
    assert!(fs::read(folder.path("a.img")).unwrap() == before, "something was written");

    folder.succeed(["cluster", "create", "-L", "W", "a.img", "b.img", "c.img"]);
    folder.succeed(["ls", "--as-of", "2", "a.img+b.img+c.img@W"]);
    let output = folder.run(["ls", "--as-of", "9", "a.img+b.img+c.img@W"]);
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success() && told.contains("node 9 is no member"), "{told}");
    for (node, image) in ["a.img", "b.img", "c.img"].iter().enumerate() {
        assert!(told.contains(image) && told.contains(&format!("(node {node})")), "{told}");
    }
}

#[test]
fn how_a_snapshot_of_a_cluster_is_can_be_asked_before_anything_changed_it() {
    let folder = folder(&["a.img", "b.img", "c.img"]);
    folder.succeed(["cluster", "create", "-L", "W", "a.img", "b.img", "c.img"]);
    folder.succeed(["snapshot", "a.img+b.img+c.img@W", "S"]);
    let state = |nodes: &str| {
        let output = folder.run(["cluster", "status", "--json", nodes]);
        let said: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{output:?}"));
        (output.status.code(), said["masters"].as_u64(), said["masters_in_sync"].as_u64())
    };
    assert_eq!(state("a.img+b.img+c.img@S"), (Some(0), Some(3), Some(3)));
    assert_eq!(state("a.img+b.img@S"), (Some(1), Some(3), Some(2)));
    assert_eq!(state("b.img@S"), (Some(3), Some(3), Some(1)));
    folder.succeed(["mkdir", "a.img+b.img+c.img@S:/made"]);
    assert_eq!(state("a.img+b.img+c.img@S"), (Some(0), Some(3), Some(3)));
}
