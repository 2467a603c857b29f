//! mount(8), umount(8) and fsck(8) with the filesystem's type, on a system where the tool is installed: in a mount namespace of
//! its own, with the files of `scripts/install` laid over `/usr`.

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
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scripts/install");
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

    /// Runs commands there; nothing stays mounted.
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
         until tail -n 1 log | grep mounted; do sleep 0.1; done
         umount mnt
         status=0; mount -t hammer2 v.img@NONE mnt || status=$?; echo status $status
         status=0; mount -t hammer2 -o nonsense v.img mnt || status=$?; echo status $status",
    );
    assert!(said.contains("already mounted") && said.contains("/mnt: mounted\n"), "{said}");
    assert!(said.ends_with("status 32\nstatus 32\n"), "{said}");
}

/// The output of commands on a system with a cluster of three disks, WORK, and a volume, HOME.
fn beside_work_and_home(commands: &str) -> String {
    let system = System::new();
    ["a.img", "b.img", "c.img", "home.img"].iter().for_each(|image| system.image(image));
    let before = "export HAMMER2_DEVICES=.
        for disk in a b c; do mkfs.hammer2 -q -L NONE $disk.img; done
        hammer2 cluster create -L WORK a.img b.img c.img
        mkfs.hammer2 -q -L HOME home.img";
    system.succeed(&format!("{before}\n{commands}"))
}

#[test]
#[ignore = "needs FUSE: scripts/test mount"]
fn a_label_is_all_that_mount_needs() {
    let said = beside_work_and_home(
        "mount -t hammer2 @WORK mnt
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

#[test]
#[ignore = "needs FUSE: scripts/test mount"]
fn a_name_stands_for_the_disks_when_it_is_mounted_by_hand() {
    let said = beside_work_and_home(
        "clid=$(hammer2 pfs-clid a.img WORK)
         fsid=$(hammer2 pfs-fsid home.img HOME)
         for name in @WORK LABEL=WORK UUID=$clid @UUID=$clid; do
             hammer2 mount $name mnt
             hammer2 cluster status mnt | head -n 1
             echo $name >>mnt/names
             umount mnt
         done
         for name in LABEL=HOME UUID=$fsid; do
             mount.hammer2 $name mnt
             findmnt --noheadings --output SOURCE mnt
             umount mnt
         done
         mount -t hammer2 @UUID=$fsid mnt
         findmnt --noheadings --output FSTYPE mnt
         umount mnt
         hammer2 cat @WORK:/names | wc -l
         status=0; hammer2 mount LABEL=NONE mnt || status=$?; echo status $status",
    );
    assert_eq!(said.matches("WORK: healthy, 3 of 3 masters in sync").count(), 4, "{said}");
    let rest: Vec<&str> = said.lines().skip(4).collect();
    let [first, second, kind, names, none] = rest[..] else { panic!("{said}") };
    assert!(first == "LABEL=HOME" && second.starts_with("UUID="), "{said}");
    assert_eq!([kind, names, none], ["fuse.hammer2", "4", "status 2"], "{said}");
}

#[test]
#[ignore = "needs FUSE: scripts/test mount"]
fn everything_that_fstab_lists_is_mounted_at_once() {
    let said = beside_work_and_home(
        "mkdir home work later gone
         echo \"# a comment
@HOME $PWD/home hammer2 defaults,noatime,memory=32,log=$PWD/log 0 0
LABEL=WORK $PWD/work fuse.hammer2 x-systemd.automount,log=$PWD/log 0 0
@HOME $PWD/later hammer2 noauto 0 0
@GONE $PWD/gone hammer2 nofail 0 0
$PWD/other $PWD/other ext4 defaults 0 0\" >fstab
         hammer2 mountall -T fstab 2>complaints
         findmnt --noheadings --output VFS-OPTIONS home
         touch home/file work/file
         hammer2 mountall --json -T fstab
         umount home work
         echo @GONE $PWD/gone hammer2 >fstab
         status=0; hammer2 mountall -T fstab 2>>complaints || status=$?; echo status $status
         status=0; hammer2 mountall -T missing 2>>complaints || status=$?; echo status $status
         cat complaints",
    );
    let lines: Vec<&str> = said.lines().collect();
    assert!(lines[0].ends_with("/home: @HOME mounted") && lines[1].ends_with("/work: LABEL=WORK mounted"), "{said}");
    assert_eq!(lines[2], "rw,noatime", "{said}");
    let states: Vec<serde_json::Value> = lines[3..6].iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    let of = |key: &str| states.iter().map(|state| state[key].as_str().unwrap_or_default()).collect::<Vec<_>>();
    assert_eq!(of("state"), ["already mounted", "already mounted", "failed"], "{said}");
    assert!(of("why")[2].starts_with("@GONE: no such filesystem"), "{said}");
    assert_eq!(&lines[6..8], ["status 1", "status 2"], "{said}");
    let complaints = &lines[8..];
    assert_eq!(complaints.len(), 3, "{said}");
    assert!(complaints[0].contains("/gone: @GONE: no such filesystem") && complaints[0] == complaints[1], "{said}");
    assert!(complaints[2].starts_with("hammer2: missing: No such file"), "{said}");
}

#[test]
#[ignore = "needs FUSE: scripts/test mount"]
fn everything_that_is_found_is_mounted_at_once() {
    let system = System::new();
    ["a.img", "b.img", "c.img", "home.img", "other.img"].iter().for_each(|image| system.image(image));
    let said = system.succeed(
        "for disk in a b c; do mkfs.hammer2 -q -L NONE $disk.img; done
         hammer2 cluster create -L WORK a.img b.img c.img
         mkfs.hammer2 -q -L HOME home.img
         mkfs.hammer2 -q -L HOME other.img
         export HAMMER2_DEVICES=a.img,home.img,other.img
         status=0; hammer2 mountall -o log=$PWD/log mnt 2>complaint || status=$?; echo status $status
         cat complaint
         umount mnt/HOME*
         export HAMMER2_DEVICES=a.img,b.img,c.img,home.img
         ls mnt
         rmdir mnt/*
         hammer2 mountall -o noatime,log=$PWD/log mnt
         touch mnt/HOME/file mnt/WORK/file
         findmnt --noheadings --output VFS-OPTIONS mnt/WORK
         hammer2 cluster status mnt/WORK | head -n 1
         hammer2 mountall --json mnt
         umount mnt/HOME mnt/WORK",
    );
    let lines: Vec<&str> = said.lines().collect();
    let id = lines[1].split("/mnt/HOME-").nth(1).and_then(|rest| rest.split(':').next()).unwrap_or_default();
    assert!(lines[0].contains("/mnt/HOME: home.img@HOME mounted") && id.len() == 36, "{said}");
    assert!(lines[1].ends_with(": other.img@HOME mounted") && lines[2] == "status 1", "{said}");
    assert!(lines[3].starts_with("hammer2: @WORK: 1 of 3 masters in step were found, and 2 are needed"), "{said}");
    assert_eq!(&lines[4..6], ["HOME", &format!("HOME-{id}")], "{said}");
    assert!(lines[6].ends_with("/mnt/WORK: a.img+b.img+c.img@WORK mounted"), "{said}");
    assert!(lines[7].ends_with("/mnt/HOME: home.img@HOME mounted"), "{said}");
    assert_eq!(lines[8], "rw,noatime", "{said}");
    assert!(lines[9].starts_with("WORK: healthy"), "{said}");
    assert_eq!(lines[10..].iter().filter(|line| line.contains("already mounted")).count(), 2, "{said}");
}
