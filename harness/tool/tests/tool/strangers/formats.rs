//! Formats made by common programs: filesystems, swap space, partition tables, encrypted and other volumes, on images and on
//! block devices. Our commands don't overwrite them unasked.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use super::content::{digest, recognized};
use super::loop_device::Loop;
use crate::folder::Folder;

/// A program that formats an image.
struct Maker {
    /// The kind of the format.
    kind: &'static str,
    /// The program and its arguments; the image comes last.
    command: &'static [&'static str],
    /// Its standard input.
    input: &'static str,
    /// The smallest image that it accepts, in MiB.
    mib: u64,
}

const fn maker(kind: &'static str, mib: u64, command: &'static [&'static str]) -> Maker {
    Maker { kind, command, input: "", mib }
}

const fn table(kind: &'static str, input: &'static str) -> Maker {
    Maker { kind, command: &["sfdisk", "--quiet"], input, mib: 64 }
}

const MAKERS: &[Maker] = &[
    maker("ext2", 64, &["mkfs.ext2", "-q", "-F", "-L", "THEIRS"]),
    maker("ext4", 64, &["mkfs.ext4", "-q", "-F", "-L", "THEIRS"]),
    maker("xfs", 320, &["mkfs.xfs", "-q", "-f", "-L", "THEIRS"]),
    maker("btrfs", 128, &["mkfs.btrfs", "-q", "-f", "-L", "THEIRS"]),
    maker("f2fs", 64, &["mkfs.f2fs", "-q", "-l", "THEIRS"]),
    maker("nilfs2", 160, &["mkfs.nilfs2", "-q", "-f", "-L", "THEIRS"]),
    maker("jfs", 64, &["mkfs.jfs", "-q", "-L", "THEIRS"]),
    maker("vfat", 64, &["mkfs.vfat", "-n", "THEIRS"]),
    maker("exfat", 64, &["mkfs.exfat", "-L", "THEIRS"]),
    maker("ntfs", 64, &["mkfs.ntfs", "-Q", "-F", "-L", "THEIRS"]),
    maker("udf", 64, &["mkfs.udf", "--label", "THEIRS"]),
    maker("minix", 64, &["mkfs.minix"]),
    maker("swap", 64, &["mkswap", "--label", "THEIRS"]),
    maker("crypto_LUKS", 64, LUKS),
    // This works only on block devices.
    maker("LVM2_member", 64, &["pvcreate", "--quiet", "--yes", "--config", "devices{use_devicesfile=0}"]),
    table("gpt", "label: gpt\n,10M\n"),
    table("dos", "label: dos\n,10M\n"),
];

/// The content of that file is the key.
const LUKS: &[&str] = &[
    "cryptsetup",
    "luksFormat",
    "--batch-mode",
    "--pbkdf=pbkdf2",
    "--pbkdf-force-iterations=1000",
    "--key-file=/proc/version",
    "--label=THEIRS",
];

impl Maker {
    fn takes_images(&self) -> bool {
        self.kind != "LVM2_member"
    }

    fn make(&self, path: &Path) {
        let [program, arguments @ ..] = self.command else { unreachable!("a program") };
        let mut command = Command::new(program);
        command.args(arguments).arg(path).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut maker = command.spawn().unwrap_or_else(|error| panic!("{program}: {error}"));
        maker.stdin.take().unwrap().write_all(self.input.as_bytes()).unwrap();
        let output = maker.wait_with_output().unwrap();
        assert!(output.status.success(), "{command:?}: {output:?}");
    }

    /// Checks that every command that formats refuses it, names it, and leaves it alone.
    fn is_left_alone(&self, folder: &Folder, image: &Path, name: &str) {
        let (found, before) = (recognized(Path::new(name)), digest(image));
        assert!(found.iter().any(|word| word == self.kind), "{}: {found:?}", self.kind);
        let holds = format!("{name}: holds ");
        for arguments in [
            &["newfs", name][..],
            &["newfs", "blank.img", name],
            &["cluster", "add", "own.img@OWN", name],
            &["cluster", "replace", "own.img@OWN", "0", name],
        ] {
            let output = folder.run(arguments);
            let said = String::from_utf8_lossy(&output.stderr);
            assert_eq!(output.status.code(), Some(2), "{arguments:?}: {said}");
            assert!(said.contains(&holds) && found.iter().all(|word| said.contains(word)), "{arguments:?}: {said}");
        }
        assert_eq!(digest(image), before, "{name}: {} is not what it was", self.kind);
    }
}

#[test]
#[ignore = "needs root and programs: scripts/test strangers"]
fn what_others_have_made_is_named_and_left_alone() {
    let folder = Folder::new();
    for name in ["own.img", "blank.img"] {
        folder.image(name, 1 << 30);
    }
    folder.succeed(["newfs", "-L", "OWN", "own.img"]);
    for maker in MAKERS {
        folder.image("x.img", maker.mib << 20);
        let image = folder.path("x.img");
        if maker.takes_images() {
            maker.make(&image);
            maker.is_left_alone(&folder, &image, image.to_str().unwrap());
            fs::remove_file(&image).unwrap();
            folder.image("x.img", maker.mib << 20);
        }
        let device = Loop::of(&image);
        maker.make(device.path());
        maker.is_left_alone(&folder, &image, device.name());
        // With -f it is overwritten.
        folder.succeed(["newfs", "-f", device.name()]);
        let left = recognized(device.path());
        assert!(left.iter().all(|word| word == "hammer2"), "{}: {left:?}", maker.kind);
        folder.check(device.name());
        drop(device);
        fs::remove_file(&image).unwrap();
    }
    assert!(recognized(&folder.path("blank.img")).is_empty());
}

#[test]
#[ignore = "needs root and programs: scripts/test strangers"]
fn a_new_member_takes_the_place_of_what_is_to_be_overwritten() {
    let folder = Folder::new();
    for name in ["a.img", "b.img", "c.img"] {
        folder.image(name, 256 << 20);
    }
    folder.succeed(["newfs", "-L", "OWN", "a.img"]);
    let ext4 = &MAKERS[1];
    ext4.make(&folder.path("b.img"));
    folder.succeed(["cluster", "add", "-f", "a.img@OWN", "b.img"]);
    ext4.make(&folder.path("c.img"));
    folder.succeed(["cluster", "replace", "--force", "a.img+b.img@OWN", "b.img", "c.img"]);
    folder.succeed(["cluster", "status", "a.img+c.img@OWN"]);
    // Even then, a filesystem of ours is kept, and becomes a member.
    folder.image("d.img", 256 << 20);
    folder.succeed(["newfs", "-L", "KEPT", "d.img"]);
    folder.succeed(["cluster", "add", "-f", "a.img+c.img@OWN", "d.img"]);
    assert!(folder.succeed(["pfs-list", "d.img"]).contains("KEPT"));
}

#[test]
#[ignore = "needs root and programs: scripts/test strangers"]
fn also_of_who_is_not_root() {
    const NOBODY: u32 = 65534;
    use std::os::unix::fs::{PermissionsExt, chown};
    use std::os::unix::process::CommandExt;
    let folder = Folder::new();
    fs::set_permissions(folder.path(""), PermissionsExt::from_mode(0o755)).unwrap();
    let tool = folder.path("hammer2");
    fs::copy(env!("CARGO_BIN_EXE_hammer2"), &tool).unwrap();
    fs::set_permissions(&tool, PermissionsExt::from_mode(0o755)).unwrap();
    let image = folder.path("x.img");
    folder.image("x.img", 64 << 20);
    MAKERS[1].make(&image);
    chown(&image, Some(NOBODY), None).unwrap();
    let before = digest(&image);
    let newfs = |option: &[&str]| {
        let mut command = Command::new(&tool);
        // A user's PATH lacks the folders of system programs.
        command.arg("newfs").args(option).arg(&image).uid(NOBODY).gid(NOBODY).env("PATH", "/usr/bin:/bin");
        command.output().unwrap()
    };
    let refused = newfs(&[]);
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(refused.status.code() == Some(2) && said.contains("holds ext4 (label THEIRS, UUID "), "{said}");
    assert_eq!(digest(&image), before);
    assert!(newfs(&["-f"]).status.success());
    folder.check("x.img");
}
