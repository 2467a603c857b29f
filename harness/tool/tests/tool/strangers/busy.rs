//! Devices that the kernel or another program uses: our commands don't touch them, and other programs can't touch ours.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::process::{Command, Stdio};

use super::content::digest;
use super::loop_device::{KernelMount, Loop};
use crate::folder::Folder;

/// Runs a program of the system.
fn system(program: &str, arguments: &[&str]) -> (bool, String) {
    let output = Command::new(program).args(arguments).stdin(Stdio::null()).output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&said).into_owned())
}

/// A mount of ours, until this is dropped.
struct Mount<'f> {
    folder: &'f Folder,
}

impl<'f> Mount<'f> {
    fn of(folder: &'f Folder, arguments: &[&str]) -> Self {
        fs::create_dir_all(folder.path("mnt")).unwrap();
        let log = folder.path("log");
        let whole = [&["mount", "--log", log.to_str().unwrap()][..], arguments, &["mnt"]].concat();
        let output = folder.run(whole);
        assert!(output.status.success(), "{output:?}");
        Self { folder }
    }
}

impl Drop for Mount<'_> {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.folder.path("mnt")).status();
    }
}

/// Checks that every command that reads or changes it is refused.
fn is_refused_everywhere(folder: &Folder, name: &str, why: &str) {
    for arguments in [
        &["newfs", name][..],
        &["newfs", "-f", name],
        &["newfs", "-f", "blank.img", name],
        &["cluster", "add", "-f", "own.img@OWN", name],
        &["cluster", "replace", "-f", "own.img@OWN", "0", name],
        &["info", name],
        &["fsck", name],
        &["ls", name],
        &["mkdir", &format!("{name}@OWN:/x")],
        &["growfs", name],
        &["mount", "-r", name, "mnt"],
    ] {
        let output = folder.run(arguments);
        let said = String::from_utf8_lossy(&output.stderr);
        let is_named = said.contains(&format!("{name}: in use")) && said.contains(why);
        assert!(output.status.code() == Some(2) && is_named, "{arguments:?}: {said}");
    }
}

fn folder() -> Folder {
    let folder = Folder::new();
    fs::create_dir(folder.path("mnt")).unwrap();
    for name in ["own.img", "blank.img"] {
        folder.image(name, 1 << 30);
    }
    folder.succeed(["newfs", "-L", "OWN", "own.img"]);
    folder
}

#[test]
#[ignore = "needs root and programs: scripts/test strangers"]
fn what_the_kernel_has_mounted_is_never_touched() {
    let folder = folder();
    folder.image("x.img", 64 << 20);
    let device = Loop::of(&folder.path("x.img"));
    assert!(system("mkfs.ext4", &["-q", device.name()]).0);
    let mounted = KernelMount::of(device.name(), folder.path("with space"));
    fs::write(folder.path("with space/file"), "content").unwrap();
    assert!(system("sync", &[]).0);
    let before = digest(&folder.path("x.img"));
    let place = format!("it is mounted on {}", folder.path("with space").display());
    is_refused_everywhere(&folder, device.name(), &place);
    assert_eq!(digest(&folder.path("x.img")), before);
    assert_eq!(fs::read_to_string(folder.path("with space/file")).unwrap(), "content");
    drop(mounted);
    folder.refuse(["newfs", device.name()], 2, "holds ext4");
    folder.succeed(["newfs", "-f", device.name()]);
    folder.check(device.name());
}

#[test]
#[ignore = "needs root and programs: scripts/test strangers"]
fn an_image_that_is_a_device_is_used_by_that_name() {
    let folder = folder();
    folder.image("x.img", 64 << 20);
    folder.succeed(["newfs", "-L", "OWN", "x.img"]);
    let device = Loop::of(&folder.path("x.img"));
    is_refused_everywhere(&folder, "x.img", &format!("{} stands for it", device.name()));
    folder.check(device.name());
    drop(device);
    folder.check("x.img");
}

#[test]
#[ignore = "needs root and programs: scripts/test strangers"]
fn a_disk_is_in_use_when_its_partition_is() {
    let folder = folder();
    folder.image("x.img", 128 << 20);
    let image = folder.path("x.img");
    let made =
        Command::new("sh").arg("-c").arg("printf 'label: gpt\\n,64M\\n' | sfdisk --quiet \"$0\"").arg(&image).status();
    assert!(made.unwrap().success());
    let device = Loop::of(&image);
    device.add_partitions();
    let partition = format!("{}p1", device.name());
    assert!(system("mkfs.ext4", &["-q", &partition]).0);
    let mounted = KernelMount::of(&partition, folder.path("theirs"));
    let place = folder.path("theirs");
    is_refused_everywhere(&folder, &partition, &format!("it is mounted on {}", place.display()));
    let why = format!("it holds {partition}, and that is in use: it is mounted on {}", place.display());
    is_refused_everywhere(&folder, device.name(), &why);
    drop(mounted);
    folder.refuse(["newfs", device.name()], 2, "holds gpt");
    folder.refuse(["newfs", &partition], 2, "holds ext4");
}

#[test]
#[ignore = "needs root and programs: scripts/test strangers"]
fn nobody_overwrites_what_we_use() {
    let folder = folder();
    folder.image("x.img", 128 << 20);
    let device = Loop::of(&folder.path("x.img"));
    folder.succeed(["newfs", "-L", "OWN", device.name()]);
    for options in [&[device.name()][..], &["-r", device.name()]] {
        let mounted = Mount::of(&folder, options);
        let outside = fs::metadata(folder.path("")).unwrap().dev();
        assert_ne!(fs::metadata(folder.path("mnt")).unwrap().dev(), outside);
        for (program, arguments) in
            [("mkfs.ext4", &["-q", "-F"][..]), ("mkfs.xfs", &["-q", "-f"]), ("wipefs", &["--all"]), ("swapon", &[])]
        {
            let (worked, said) = system(program, &[arguments, &[device.name()]].concat());
            assert!(!worked, "{program} {options:?}: {said}");
        }
        is_refused_everywhere(&folder, device.name(), "it is mounted on");
        drop(mounted);
        // The server may take a moment to let go.
        folder.check(device.name());
    }
    // The device is free for everybody.
    assert!(system("mkfs.ext4", &["-q", "-F", device.name()]).0);
}
