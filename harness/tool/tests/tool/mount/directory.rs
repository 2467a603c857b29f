//! Commands on the directory of a mount: the PFSs beside the mounted one, space, and facts.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixStream;

use serde_json::Value;

use super::cluster::{IMAGE_BYTES, IMAGES, Masters, NODES};
use super::mounted::{Volume, noise};

fn labels(volume: &Volume, place: &str) -> Vec<String> {
    let listed: Value = serde_json::from_str(&volume.succeed(&["pfs-list", "--json", place])).unwrap();
    let mut labels: Vec<String> =
        listed.as_array().unwrap().iter().map(|pfs| pfs["label"].as_str().unwrap().into()).collect();
    labels.sort();
    labels
}

#[test]
#[ignore = "needs FUSE: scripts/test mount"]
fn pfss_are_listed_made_and_removed_beside_the_mounted_one() {
    let volume = Volume::new(256 << 20);
    let before: Value = serde_json::from_str(&volume.succeed(&["info", "--json", "v.img"])).unwrap();
    let mounted = volume.mount(&[]);
    fs::write(mounted.path("file"), b"content").unwrap();
    assert_eq!(labels(&volume, "mnt"), ["DATA", "LOCAL"]);
    let info: Value = serde_json::from_str(&volume.succeed(&["info", "--json", "mnt"])).unwrap();
    for fact in ["fsid", "version", "allocator_size", "aux_end"] {
        assert_eq!(info["header"][fact], before["header"][fact], "{fact}");
    }
    assert_eq!(info["volumes"], before["volumes"]);
    assert!(volume.succeed(&["info", "mnt"]).contains("pfs LOCAL"));
    assert!(volume.succeed(&["volume-list", "mnt"]).contains("v.img, 256.00 MiB at 0x0"));

    volume.succeed(&["snapshot", "mnt", "BEFORE"]);
    let dated = volume.succeed(&["snapshot", "mnt"]);
    let dated = dated.trim_end();
    assert!(dated.starts_with("DATA.20"), "{dated}");
    assert!(labels(&volume, "mnt").contains(&dated.to_owned()));
    volume.succeed(&["pfs-delete", "mnt", dated]);
    volume.succeed(&["-s", "mnt", "pfs-create", "OTHER"]);
    let here = volume.tool(&["pfs-fsid", "OTHER"]).current_dir(volume.directory()).output().unwrap();
    assert!(here.status.success() && here.stdout.len() == 37, "{here:?}");
    volume.succeed(&["pfs-create", "-t", "SLAVE", "-u", "d89fb60a-262c-4e3a-b2eb-383185504d6d", "mnt", "COPY"]);
    volume.refuse(&["pfs-create", "mnt", "OTHER"], 2, "OTHER: there is a PFS of this label already");
    volume.refuse(&["pfs-create", "mnt", "a/b"], 2, "a label has");
    assert_eq!(labels(&volume, "mnt"), ["BEFORE", "COPY", "DATA", "LOCAL", "OTHER"]);
    let list = volume.succeed(&["pfs-list", "mnt"]);
    assert!(list.contains("SLAVE NONE") && list.contains("d89fb60a-262c-4e3a-b2eb-383185504d6d"), "{list}");
    volume.refuse(&["pfs-delete", "mnt", "DATA"], 2, "is what is mounted here");
    volume.refuse(&["pfs-delete", "-f", "mnt", "DATA"], 2, "is what is mounted here");
    volume.refuse(&["pfs-delete", "mnt", "NONE"], 2, "no such PFS");
    volume.succeed(&["pfs-delete", "mnt", "COPY"]);
    assert_eq!(labels(&volume, "mnt"), ["BEFORE", "DATA", "LOCAL", "OTHER"]);
    fs::write(mounted.path("file"), b"later").unwrap();
    mounted.unmount_well();

    assert_eq!(labels(&volume, "v.img"), ["BEFORE", "DATA", "LOCAL", "OTHER"]);
    assert_eq!(volume.succeed(&["cat", "v.img@BEFORE:/file"]), "content");
    assert_eq!(volume.succeed(&["cat", "v.img@DATA:/file"]), "later");
    volume.succeed(&["mkdir", "v.img@OTHER:/made"]);
    volume.check();
}

#[test]
#[ignore = "needs FUSE: scripts/test mount"]
fn space_comes_back_when_it_is_ordered() {
    let volume = Volume::new(256 << 20);
    let mounted = volume.mount(&["--sync-every", "0"]);
    fs::write(mounted.path("large"), noise(32 << 20)).unwrap();
    File::open(mounted.path("large")).unwrap().sync_all().unwrap();
    let full = fs::metadata(volume.image()).unwrap().blocks();
    volume.succeed(&["snapshot", "mnt", "KEEPS"]);
    fs::remove_file(mounted.path("large")).unwrap();
    let freed = |arguments: &[&str]| -> Value {
        let all = [&["bulkfree", "--json"], arguments, &["mnt"]].concat();
        serde_json::from_str(&volume.succeed(&all)).unwrap()
    };
    assert!(freed(&[])["freed_bytes"].as_u64().unwrap() < 1 << 20, "the snapshot has it");
    volume.succeed(&["pfs-delete", "mnt", "KEEPS"]);
    let counts = freed(&["--no-discard"]);
    assert!(counts["freed_bytes"].as_u64().unwrap() >= 32 << 20, "{counts}");
    assert_eq!(counts["discarded_bytes"], 0);
    assert!(fs::metadata(volume.image()).unwrap().blocks() >= full);
    fs::write(mounted.path("large"), noise(32 << 20)).unwrap();
    File::open(mounted.path("large")).unwrap().sync_all().unwrap();
    fs::remove_file(mounted.path("large")).unwrap();
    let said = volume.succeed(&["bulkfree", "mnt"]);
    assert!(said.starts_with("freed 3") && said.contains("MiB, discarded 3") && said.contains("are free"), "{said}");
    mounted.unmount_well();
    volume.check();
}

#[test]
#[ignore = "needs FUSE: scripts/test mount"]
fn a_cluster_is_asked_by_its_directory_too() {
    let masters = Masters::new(2 * IMAGE_BYTES);
    let volume = &masters.volume;
    let mounted = volume.mount_node(NODES, &[]);
    fs::write(mounted.path("file"), b"content").unwrap();
    let info: Value = serde_json::from_str(&volume.succeed(&["info", "--json", "mnt"])).unwrap();
    assert_eq!(info["nodes"].as_array().unwrap().len(), IMAGES.len());
    assert!(volume.succeed(&["info", "mnt"]).contains("node 2\n"));
    volume.succeed(&["snapshot", "mnt", "BEFORE"]);
    volume.succeed(&["snapshot", "mnt", "OTHER"]);
    assert!(labels(volume, "mnt").contains(&"OTHER".into()) && labels(volume, "mnt").contains(&"BEFORE".into()));
    volume.succeed(&["bulkfree", "mnt"]);
    mounted.unmount_well();
    // A snapshot of a cluster is one, too.
    let other = volume.mount_node(&NODES.replace("@CL", "@OTHER"), &[]);
    fs::write(other.path("made"), b"content").unwrap();
    volume.refuse(&["pfs-delete", "mnt", "OTHER"], 2, "is what is mounted here");
    volume.succeed(&["pfs-delete", "mnt", "BEFORE"]);
    other.unmount_well();
    for image in IMAGES {
        assert!(labels(volume, image).contains(&"OTHER".into()) && !labels(volume, image).contains(&"BEFORE".into()));
        assert_eq!(volume.succeed(&["ls", &format!("{image}@OTHER")]), "file\nmade\n", "{image}");
        volume.succeed(&["fsck", image]);
    }
    // A member that is away would keep the PFS.
    let mounted = volume.mount_node("v.img+b.img@CL", &[]);
    volume.refuse(&["pfs-delete", "mnt", "OTHER"], 2, "of which 2 are in step here");
    volume.succeed(&["pfs-delete", "-f", "mnt", "OTHER"]);
    let (status, _) = mounted.unmount();
    assert!(status.success());
}

#[test]
#[ignore = "needs FUSE: scripts/test mount"]
fn a_tool_of_another_version_is_told_so() {
    let volume = Volume::new(256 << 20);
    let mounted = volume.mount(&[]);
    let device = fs::metadata(mounted.path("")).unwrap().dev();
    let (major, minor) = (rustix::fs::major(device), rustix::fs::minor(device));
    let mut stream = UnixStream::connect(format!("/run/hammer2/orders/{major}:{minor}")).unwrap();
    stream.write_all(b"{\"version\":1000,\"question\":{\"Unheard\":[\"of\"]}}\n").unwrap();
    let mut said = String::new();
    BufReader::new(stream).read_line(&mut said).unwrap();
    assert!(said.contains("orders of version 1, not 1000: unmount it, and mount it again"), "{said}");
    for directory in ["pfs-list", "info", "bulkfree"] {
        volume.refuse(&[directory, "."], 2, "no HAMMER2 filesystem is mounted on this directory");
    }
    mounted.unmount_well();
}
