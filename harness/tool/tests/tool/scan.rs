//! `hammer2 scan`: which volumes belong together, and which are missing; and filesystems named by label or UUID instead of by
//! their disks.

use std::fs;
use std::process::Output;

use serde_json::Value;

use super::export_server::serve;
use super::folder::Folder;

const IMAGES: [&str; 3] = ["a.img", "b.img", "c.img"];

/// A folder with a cluster WORK of three masters, and other things.
fn folder() -> Folder {
    let folder = Folder::new();
    for image in IMAGES {
        folder.image(image, 256 << 20);
        folder.succeed(["newfs", "-L", "NONE", image]);
    }
    folder.succeed(["cluster", "create", "-L", "WORK", IMAGES[0], IMAGES[1], IMAGES[2]]);
    folder
}

fn objects(output: &Output) -> Vec<Value> {
    String::from_utf8_lossy(&output.stdout).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The finds of a scan of these paths, all of which could be looked at.
fn scan(folder: &Folder, paths: &[&str]) -> Vec<Value> {
    let output = folder.run([&["scan", "--json"], paths].concat());
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
    objects(&output)
}

fn states(cluster: &Value) -> Vec<(&str, &str)> {
    let members = cluster["members"].as_array().unwrap().iter();
    members.map(|member| (member["images"][0].as_str().unwrap(), member["state"].as_str().unwrap())).collect()
}

#[test]
fn a_cluster_is_one_line_with_its_members_and_who_is_missing() {
    let folder = folder();
    let found = scan(&folder, &IMAGES);
    assert_eq!(found.len(), 1, "{found:?}");
    let cluster = &found[0];
    assert_eq!((cluster["label"].as_str(), cluster["health"].as_str()), (Some("WORK"), Some("healthy")));
    assert_eq!(states(cluster), [("a.img", "in step"), ("b.img", "in step"), ("c.img", "in step")]);
    assert_eq!(cluster["missing"].as_array().unwrap().len(), 0);
    assert_eq!(cluster["spec"], "a.img+b.img+c.img@WORK");
    let line = folder.succeed([&["scan"], &IMAGES[..]].concat());
    assert!(line.starts_with("WORK: cluster ") && line.contains("healthy, 3 of 3 masters in step, quorum 2"), "{line}");
    assert_eq!(line.lines().count(), 1);

    // A disk is away during a change, so that it lacks what the others have.
    folder.succeed(["mkdir", "a.img+b.img@WORK:/made"]);
    let found = scan(&folder, &["c.img", "b.img", "a.img"]);
    assert_eq!(found[0]["health"], "degraded");
    assert_eq!(states(&found[0]), [("c.img", "stale"), ("b.img", "in step"), ("a.img", "in step")]);
    let line = folder.succeed(["scan", "a.img", "c.img"]);
    assert!(line.contains("stopped, 1 of 3 masters in step") && line.contains("; missing MASTER "), "{line}");
    let missing = &scan(&folder, &["a.img"])[0]["missing"];
    assert_eq!(missing.as_array().unwrap().len(), 2);
    folder.succeed(["cluster", "resync", "a.img+b.img+c.img@WORK"]);
    assert_eq!(scan(&folder, &IMAGES)[0]["health"], "healthy");

    // A member that was removed, and a copy of one.
    fs::copy(folder.path("c.img"), folder.path("old.img")).unwrap();
    fs::copy(folder.path("b.img"), folder.path("copy.img")).unwrap();
    folder.succeed(["cluster", "remove", "a.img+b.img@WORK", &fsid_of(&folder, "c.img")]);
    let found = scan(&folder, &["a.img", "b.img", "copy.img", "old.img"]);
    assert_eq!(found.len(), 1, "{found:?}");
    let expected = [("a.img", "in step"), ("b.img", "in step"), ("copy.img", "copy"), ("old.img", "foreign")];
    assert_eq!(states(&found[0]), expected);
    assert_eq!(found[0]["spec"], "a.img+b.img@WORK");
}

fn fsid_of(folder: &Folder, image: &str) -> String {
    let listed = folder.json(["pfs-list", "--json", image]);
    let of_cluster = listed.as_array().unwrap().iter().find(|pfs| pfs["label"] == "WORK").unwrap();
    of_cluster["fsid"].as_str().unwrap().into()
}

#[test]
fn what_is_no_clusters_has_a_line_of_its_own() {
    let folder = folder();
    for (image, bytes) in [("home.img", 256 << 20), ("one.img", 1 << 30), ("two.img", 1 << 30)] {
        folder.image(image, bytes);
    }
    folder.succeed(["newfs", "-L", "HOME", "home.img"]);
    folder.succeed(["newfs", "-L", "SET", "one.img", "two.img"]);
    fs::write(folder.path("text"), "nothing of ours").unwrap();
    // A folder stands for all files in it.
    let found = scan(&folder, &["."]);
    assert_eq!(found.len(), 3, "{found:?}");
    let with = |label: &str| {
        let has = |object: &&Value| object["pfs"].as_array().is_some_and(|pfss| pfss.iter().any(|pfs| *pfs == label));
        found.iter().find(has).unwrap()
    };
    assert_eq!(with("HOME")["images"].as_array().unwrap().len(), 1);
    assert_eq!(with("SET")["images"].as_array().unwrap().len(), 2);
    let line = folder.succeed(["scan", "home.img"]);
    assert!(
        line.starts_with("home.img: volume ") && line.contains("MiB") && line.contains("PFSs HOME, LOCAL"),
        "{line}"
    );
    let lacking = scan(&folder, &["two.img"]);
    assert_eq!((&lacking[0]["missing"][0], lacking[0]["volumes"].as_u64()), (&Value::from(0), Some(2)));
    assert!(folder.succeed(["scan", "one.img"]).contains("missing volumes 1 of 2"));

    let output = folder.run(["scan", "text"]);
    assert!(output.status.success() && output.stdout.is_empty(), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stderr).contains("no HAMMER2 volume was found"), "{output:?}");
    let output = folder.run(["scan", "--json", "nothing.img", "home.img", "nbd://localhost:1/e"]);
    assert_eq!((output.status.code(), objects(&output).len()), (Some(1), 1), "{output:?}");
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("nothing.img: No such file") && said.contains("nbd://localhost:1/e"), "{said}");
}

#[test]
fn exports_are_looked_at_and_what_is_in_use_too() {
    let folder = folder();
    let export = format!("nbd://127.0.0.1:{}/b", serve(folder.path("b.img"), |file| file));
    let found = scan(&folder, &["a.img", &export, "c.img"]);
    assert_eq!(states(&found[0]), [("a.img", "in step"), (export.as_str(), "in step"), ("c.img", "in step")]);
    let lock = fs::File::open(folder.path("a.img")).unwrap();
    lock.lock().unwrap();
    let found = scan(&folder, &["a.img", "c.img"]);
    assert!(found[0]["members"][0]["in_use"].as_str().unwrap().contains("in use"), "{found:?}");
    assert!(found[0]["members"][1]["in_use"].is_null());
    assert!(folder.succeed(["scan", "a.img"]).contains("a.img MASTER in step, in use here"));
}

#[test]
fn a_label_or_a_uuid_stands_for_the_disks() {
    let folder = folder();
    folder.image("home.img", 256 << 20);
    folder.succeed(["newfs", "-L", "HOME", "home.img"]);
    let searching = |arguments: &[&str]| {
        folder.command(arguments).env("HAMMER2_DEVICES", format!(".,{}", "missing.img")).output().unwrap()
    };
    let succeed = |arguments: &[&str]| {
        let output = searching(arguments);
        assert!(output.status.success() && output.stderr.is_empty(), "{arguments:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let refuse = |arguments: &[&str], complaint: &str| {
        let output = searching(arguments);
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!((output.status.code(), said.lines().count()), (Some(2), 1), "{arguments:?}: {said}");
        assert!(said.contains(complaint), "{arguments:?}: {said}");
    };
    succeed(&["mkdir", "@HOME:/one"]);
    succeed(&["mkdir", "LABEL=HOME:/two"]);
    let home = folder.json(["info", "--json", "home.img"]);
    let of_home = home["pfs"].as_array().unwrap().iter().find(|pfs| pfs["label"] == "HOME").unwrap();
    for uuid in [&of_home["clid"], &of_home["fsid"]] {
        for tag in ["UUID=", "@UUID="] {
            assert_eq!(succeed(&["ls", &format!("{tag}{}", uuid.as_str().unwrap())]), "one\ntwo\n", "{tag}");
        }
    }
    let all = format!("UUID={}", home["header"]["fsid"].as_str().unwrap());
    assert!(succeed(&["fsck", &all]).starts_with("clean"));
    // All three masters are found and written to.
    succeed(&["mkdir", "@WORK:/made"]);
    for image in IMAGES {
        assert_eq!(folder.succeed(["ls", &format!("{image}@WORK")]), "made\n", "{image}");
    }
    let status = succeed(&["cluster", "status", "@WORK"]);
    assert!(status.contains("healthy"), "{status}");
    // The message doesn't mention arguments and values if the name says enough.
    refuse(&["ls", "@NONE"], "hammer2: @NONE: no such filesystem");
    refuse(&["ls", "LABEL=NONE"], "hammer2: @NONE: no such filesystem");
    refuse(&["ls", "@NONE"], "missing.img: No such file");
    refuse(&["ls", "UUID=nonsense"], "no UUID");
    refuse(&["ls", "@LOCAL"], "there are several: UUID=");
    // With two filesystems of this name, the command doesn't guess.
    fs::copy(folder.path("home.img"), folder.path("copy.img")).unwrap();
    refuse(&["ls", "@HOME"], "./copy.img and ./home.img: name the one that is meant");
    assert!(folder.succeed(["scan", "home.img", "copy.img"]).contains("; a copy of home.img"));
    // If there is a file of that name, it is meant.
    fs::rename(folder.path("home.img"), folder.path("@HOME")).unwrap();
    assert_eq!(folder.succeed(["ls", "@HOME"]), "one\ntwo\n");
}
