//! Steps that mount, or need root for other reasons: by FUSE, on loop devices, in namespaces, in a system in a folder.

use std::fs::OpenOptions;
use std::path::Path;
use std::process::id;

use super::context::{Context, skip};
use crate::system::command::{Run, program};
use crate::trouble::Done;

/// What the step `strangers` has others make: the program, and the package of it.
const STRANGERS: [(&str, &str); 14] = [
    ("losetup", "mount"),
    ("wipefs", "util-linux"),
    ("mkfs.ext4", "e2fsprogs"),
    ("mkfs.xfs", "xfsprogs"),
    ("mkfs.btrfs", "btrfs-progs"),
    ("mkfs.f2fs", "f2fs-tools"),
    ("mkfs.nilfs2", "nilfs-tools"),
    ("mkfs.jfs", "jfsutils"),
    ("mkfs.vfat", "dosfstools"),
    ("mkfs.exfat", "exfatprogs"),
    ("mkfs.ntfs", "ntfs-3g"),
    ("mkfs.udf", "udftools"),
    ("cryptsetup", "cryptsetup-bin"),
    ("pvcreate", "lvm2"),
];

/// How many tests of mounts are run at once, however many CPUs there are: they wait most of the time.
const AT_ONCE: &str = "4";

/// Ends the step where nothing can be mounted, and gets what mounts are tried with.
fn need_fuse(step: &Context) -> Done {
    if OpenOptions::new().write(true).open("/dev/fuse").is_err() {
        return skip("no /dev/fuse; load the kernel module fuse");
    }
    need_root("only root may mount as these tests do")?;
    need(
        step,
        &[
            ("fusermount3", "fuse3"),
            ("fuser", "psmisc"),
            ("qemu-nbd", "qemu-utils"),
            ("nbdkit", "nbdkit"),
            ("openssl", "openssl"),
            ("ip", "iproute2"),
        ],
    )
}

fn need(step: &Context, programs: &[(&str, &str)]) -> Done {
    programs.iter().try_for_each(|(program, package)| step.needs.program(program, package))
}

fn need_root(why: &str) -> Done {
    if rustix::process::geteuid().is_root() { Ok(()) } else { skip(why) }
}

/// Tests of mounts, and suites of others on one.
pub(crate) fn mount(step: &Context) -> Done {
    need_fuse(step)?;
    step.build_all()?;
    step.ignored_tests("tool", "mount::").args(["--test-threads", AT_ONCE]).run()?;
    suites(step, "mount", &[])
}

/// pjdfstest and fsx on a mount of three masters whose disks fail and return meanwhile.
pub(crate) fn mount_faults(step: &Context) -> Done {
    need_fuse(step)?;
    step.build_all()?;
    suites(step, "beside-faults", &[])
}

fn suites(step: &Context, name: &str, words: &[&str]) -> Done {
    let pjdfstest = step.needs.tool_crate("pjdfstest", "0.2.2")?;
    let fsx = step.needs.tool_crate("fsx", "0.3.2")?;
    let mut suites = step.shell("suites.sh", &[name]);
    suites.args(words).env("pjdfstest", pjdfstest).env("fsx", fsx).run()
}

/// What is made by others must be left alone.
pub(crate) fn strangers(step: &Context) -> Done {
    need_fuse(step)?;
    if !Path::new("/dev/loop-control").exists() {
        return skip("no loop devices; load the kernel module loop");
    }
    need(step, &STRANGERS)?;
    need(step, &[("sfdisk", "fdisk")])?;
    step.ignored_tests("tool", "strangers::").run()
}

/// A mounted cluster whose disks are broken.
pub(crate) fn disk_faults(step: &Context) -> Done {
    need_fuse(step)?;
    step.build_all()?;
    if step.is_full() {
        return step.script("faults", &["--cuts", "50"]).run();
    }
    let quick = ["write-error", "nbd-loss", "bit-flip", "power-cut", "blank-replace", "two-at-once"];
    step.script("faults", &["--cuts", "5"]).args(quick).run()
}

/// A minute of what scripts/soak does for hours.
pub(crate) fn soak(step: &Context) -> Done {
    need_fuse(step)?;
    step.build_all()?;
    step.script("soak", &["--minutes", "1", "--output"]).arg(step.path("soak")).run()
}

/// A machine fails that has a mount, and another takes it over.
pub(crate) fn takeover(step: &Context) -> Done {
    need_fuse(step)?;
    let name = format!("h2-{}", id());
    if program("ip", &["netns", "add", &name]).noted(&step.path("ip"))? != 0 {
        return skip("no network namespaces");
    }
    program("ip", &["netns", "delete", &name]).run()?;
    step.build_all()?;
    step.script("takeover", &["--times", "10"]).run()
}

/// Programs of others at work on a mount.
pub(crate) fn mount_programs(step: &Context) -> Done {
    need_fuse(step)?;
    step.build_all()?;
    need(
        step,
        &[
            ("fio", "fio"),
            ("dbench", "dbench"),
            ("bonnie++", "bonnie++"),
            ("stress-ng", "stress-ng"),
            ("rsync", "rsync"),
            ("git", "git"),
            ("sqlite3", "sqlite3"),
        ],
    )?;
    step.shell("programs.sh", &[]).run()
}

/// The Debian package, made and used in a clean system in a folder.
pub(crate) fn package(step: &Context) -> Done {
    need_root("needs root, for a system in a folder")?;
    need(step, &[("dpkg-deb", "dpkg"), ("mmdebstrap", "mmdebstrap")])?;
    step.shell("package.sh", &[]).run()
}
