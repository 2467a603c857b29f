//! mount(8), umount(8) and fsck(8) with the filesystem's type, on a system where the tool is installed: in a mount namespace of
//! its own, `/usr` with what `scripts/install` makes laid over it.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tempfile::TempDir;

struct System {
    folder: TempDir,
}

impl System {
    fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scripts/install");
        let mut install = Command::new(script);
        install.arg("--destdir").arg(folder.path().join("system")).args(["--program", env!("CARGO_BIN_EXE_hammer2")]);
        assert!(install.status().unwrap().success());
        Self { folder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn image(&self, name: &str) {
        File::create(self.path(name)).unwrap().set_len(256 << 20).unwrap();
    }

    /// Runs commands there; whatever happens, nothing stays mounted.
    fn run(&self, commands: &str) -> Output {
        let script = format!(
            "set -e\n\
             mount -t overlay -o lowerdir=system/usr:/usr overlay /usr\n\
             ended() {{ umount -q -l mnt || true; }}; trap ended EXIT\n\
             mkdir -p mnt\n{commands}"
        );
        let mut command = Command::new("unshare");
        command.args(["--mount", "--propagation", "private", "sh", "-c", &script]).current_dir(self.folder.path());
        command.env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").output().unwrap()
    }

    fn succeed(&self, commands: &str) -> String {
        let output = self.run(commands);
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    }
}

#[test]
#[ignore = "needs FUSE: scripts/test mount"]
fn a_type_is_all_that_mount_needs() {
    let system = System::new();
    system.image("v.img");
    let said = system.succeed(
        "mkfs -t hammer2 -q -L HOME v.img
         mount -t hammer2 -o noatime,nosuid,nodev,_netdev,nofail,x-systemd.automount v.img@HOME mnt
         findmnt --noheadings --output SOURCE,FSTYPE,VFS-OPTIONS mnt
         echo content >mnt/file
         umount mnt
         while ! fsck -T -t hammer2 $PWD/v.img; do sleep 0.1; done
         mount -t fuse.hammer2 -o ro v.img mnt
         cat mnt/file
         findmnt --noheadings --output SOURCE,FSTYPE,VFS-OPTIONS mnt
         umount mnt",
    );
    let lines: Vec<Vec<&str>> = said.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(lines[0], ["v.img@HOME", "fuse.hammer2", "rw,nosuid,nodev,noatime"], "{said}");
    assert!(said.contains("clean: 0 problems"), "{said}");
    assert!(said.contains("\ncontent\n") && said.contains(" fuse.hammer2 ro,"), "{said}");
}

#[test]
#[ignore = "needs FUSE: scripts/test mount"]
fn a_cluster_is_mounted_by_its_disks_and_label() {
    let system = System::new();
    ["a.img", "b.img", "c.img"].iter().for_each(|image| system.image(image));
    let said = system.succeed(
        "for disk in a b c; do mkfs.hammer2 -q -L NONE $disk.img; done
         hammer2 cluster create -L WORK a.img b.img c.img
         mount -t hammer2 a.img+b.img+c.img@WORK mnt
         echo content >mnt/file
         hammer2 cluster status mnt
         umount mnt
         until hammer2 cat a.img+c.img@WORK:/file; do sleep 0.1; done",
    );
    assert!(said.contains("WORK: healthy") && said.ends_with("content\n"), "{said}");
}

#[test]
#[ignore = "needs FUSE: scripts/test mount"]
fn a_remount_changes_what_it_is_told_and_nothing_read_only_becomes_writable() {
    let system = System::new();
    system.image("v.img");
    let said = system.succeed(
        "mkfs.hammer2 -q v.img
         mount -t hammer2 v.img mnt
         touch mnt/one
         mount -o remount,ro,noexec mnt
         findmnt --noheadings --output VFS-OPTIONS,FS-OPTIONS mnt
         touch mnt/two || true
         mount -o remount,rw mnt
         touch mnt/three
         mount_hammer2 -u -o ro mnt
         touch mnt/four || true
         umount mnt
         until mount -t hammer2 -o ro v.img mnt; do sleep 0.1; done
         status=0; mount -o remount,rw mnt || status=$?; echo status $status
         ls mnt",
    );
    assert!(said.starts_with("ro,noexec") && said.contains(" ro,"), "{said}");
    assert!(said.ends_with("status 32\none\nthree\n"), "{said}");
}

#[test]
#[ignore = "needs FUSE: scripts/test mount"]
fn a_line_of_fstab_is_mounted_once() {
    let system = System::new();
    system.image("v.img");
    let said = system.succeed(
        "mkfs.hammer2 -q -L HOME v.img
         echo \"$PWD/v.img@HOME $PWD/mnt hammer2 defaults,noatime,memory=32,sync-every=1,log=$PWD/log 0 2\" >fstab
         mount --fstab fstab --all
         mount --fstab fstab --all --verbose
         tail -n 1 log
         umount mnt
         status=0; mount -t hammer2 v.img@NONE mnt || status=$?; echo status $status
         status=0; mount -t hammer2 -o nonsense v.img mnt || status=$?; echo status $status",
    );
    assert!(said.contains("already mounted") && said.contains("/mnt: mounted\n"), "{said}");
    assert!(said.ends_with("status 32\nstatus 32\n"), "{said}");
}

#[test]
#[ignore = "needs FUSE: scripts/test mount"]
fn a_label_is_all_that_mount_needs() {
    let system = System::new();
    ["a.img", "b.img", "c.img", "home.img"].iter().for_each(|image| system.image(image));
    let said = system.succeed(
        "export HAMMER2_DEVICES=.
         for disk in a b c; do mkfs.hammer2 -q -L NONE $disk.img; done
         hammer2 cluster create -L WORK a.img b.img c.img
         mkfs.hammer2 -q -L HOME home.img
         mount -t hammer2 @WORK mnt
         hammer2 cluster status mnt
         hammer2 scan .
         umount mnt
         until hammer2 mkdir @WORK:/made; do sleep 0.1; done
         echo \"@HOME $PWD/mnt hammer2 defaults 0 0\" >fstab
         mount --fstab fstab --all
         findmnt --noheadings --output SOURCE mnt
         umount mnt
         loop=$(losetup --find --show home.img)
         unset HAMMER2_DEVICES
         until mount_hammer2 @HOME mnt; do sleep 0.1; done
         findmnt --noheadings --output SOURCE mnt
         umount mnt
         until losetup --detach $loop; do sleep 0.1; done",
    );
    assert!(said.contains("WORK: healthy"), "{said}");
    assert_eq!(said.matches("MASTER in step, in use here").count(), 3, "{said}");
    assert!(said.ends_with("@HOME\n@HOME\n"), "{said}");
}
