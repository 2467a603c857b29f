//! The files of `scripts/install`: the program under each of its names, with the options and exit statuses of that name; manual
//! pages, completions.

use std::fs::{self, File};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use hammer2_core::media::geometry::{HEADER_TWINS, header_copies, header_offset, twin_offset};
use hammer2_core::media::volume_header::VOLUME_HEADER_BYTES;

use super::folder::Folder;

const NAMES: [&str; 7] = [
    "mkfs.hammer2",
    "fsck.hammer2",
    "mount.hammer2",
    "mount.fuse.hammer2",
    "newfs_hammer2",
    "fsck_hammer2",
    "mount_hammer2",
];

/// A system with nothing but the installed files, and a folder to work in.
struct Installed {
    folder: Folder,
}

impl Installed {
    fn new() -> Self {
        let folder = Folder::new();
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scripts/install");
        let mut install = Command::new(script);
        install.arg("--destdir").arg(folder.path("system")).args(["--program", env!("CARGO_BIN_EXE_hammer2")]);
        let output = install.output().unwrap();
        assert!(output.status.success() && output.stdout.is_empty() && output.stderr.is_empty(), "{output:?}");
        Self { folder }
    }

    fn path(&self, below: &str) -> PathBuf {
        self.folder.path("system/usr").join(below)
    }

    fn run(&self, name: &str, arguments: &[&str]) -> Output {
        let mut command = Command::new(self.path("sbin").join(name));
        command.current_dir(self.folder.path("")).args(arguments).output().unwrap()
    }

    /// Checks an exit status; returns the output.
    fn ends(&self, status: i32, name: &str, arguments: &[&str]) -> String {
        let output = self.run(name, arguments);
        assert_eq!(output.status.code(), Some(status), "{name} {arguments:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// Checks the exit status, and that there is one line of complaint that contains this, by the program of that name.
    fn refuses(&self, status: i32, name: &str, arguments: &[&str], complaint: &str) {
        let output = self.run(name, arguments);
        let text = String::from_utf8(output.stderr).unwrap();
        assert_eq!((output.status.code(), text.lines().count()), (Some(status), 1), "{name} {arguments:?}: {text}");
        assert!(text.starts_with(&format!("{name}: ")) && text.contains(complaint), "{name} {arguments:?}: {text}");
    }
}

#[test]
fn every_name_is_a_program_with_a_manual_page_and_completions() {
    let installed = Installed::new();
    let names_in = |folder: &str| -> Vec<_> {
        fs::read_dir(installed.path(folder)).unwrap().map(|entry| entry.unwrap().file_name()).collect()
    };
    // The simulator, which can break its filesystems, isn't installed.
    assert_eq!(names_in("bin"), ["hammer2"]);
    let mut links = names_in("sbin");
    links.sort();
    let mut names = NAMES;
    names.sort_unstable();
    assert_eq!(links, names);
    for name in names {
        let help = installed.ends(0, name, &["--help"]);
        assert!(help.contains(&format!("Usage: {name} ")) && help.contains("Exit status"), "{help}");
        assert_eq!(installed.ends(0, name, &["--version"]), format!("{name} {}\n", env!("CARGO_PKG_VERSION")));
    }
    for name in names.into_iter().chain(["hammer2"]) {
        let page = fs::read_to_string(installed.path(&format!("share/man/man8/{name}.8"))).unwrap();
        assert!(page.contains(&format!(".TH {name} 8")) && page.contains("Exit status"), "{page}");
        for completions in [
            format!("bash-completion/completions/{name}"),
            format!("zsh/site-functions/_{name}"),
            format!("fish/vendor_completions.d/{name}.fish"),
        ] {
            let script = fs::read_to_string(installed.path("share").join(&completions)).unwrap();
            assert!(script.contains(name) && script.contains("memory"), "{completions}");
        }
    }
    for command in ["hammer2-mount", "hammer2-cluster", "hammer2-cluster-replace"] {
        assert!(installed.path(&format!("share/man/man8/{command}.8")).exists(), "{command}");
    }
    let mut bash = Command::new("bash");
    bash.args(["-c", "for script in *; do source ./$script || exit; done"]);
    let output = bash.current_dir(installed.path("share/bash-completion/completions")).output().unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
}

#[test]
fn what_is_made_by_one_name_is_checked_by_the_others() {
    let installed = Installed::new();
    for (image, make) in [("a.img", "mkfs.hammer2"), ("b.img", "newfs_hammer2")] {
        installed.folder.image(image, 256 << 20);
        let made = installed.ends(0, make, &["-L", "HOME", image]);
        assert!(made.contains("fsid"), "{made}");
        installed.refuses(2, make, &[image], "holds hammer2; -f overwrites it");
        assert_eq!(installed.ends(0, make, &["-q", "-f", "-L", "HOME", image]), "");
        installed.refuses(2, make, &["--frobnicate", image], "--frobnicate");
        installed.refuses(2, make, &["nothing.img"], "No such file");
        for how in [&["-n"][..], &["-y"], &["-a"], &["-p"], &["-a", "-f"], &["-n", "-C0", "-v"], &[]] {
            let said = installed.ends(0, "fsck.hammer2", &[how, &[image]].concat());
            assert!(said.starts_with("clean: 0 problems"), "{how:?}: {said}");
        }
        assert_eq!(installed.ends(0, "fsck_hammer2", &["-q", "-f", "-e", "-b", "-p", "-c", "100", image]), "");
        assert!(installed.ends(0, "fsck_hammer2", &["-P", image]).contains("pfs HOME"));
    }
    let both = installed.ends(0, "fsck.hammer2", &["-n", "a.img", "b.img"]);
    assert_eq!(both.matches("clean: ").count(), 2);
    assert_eq!(installed.ends(0, "fsck.hammer2", &["-n", "a.img+b.img@HOME"]).matches("clean: ").count(), 2);
}

#[test]
fn fsck_ends_as_fsck_8_has_it() {
    let installed = Installed::new();
    let folder = &installed.folder;
    folder.image("a.img", 64 << 20);
    folder.image("blank.img", 64 << 20);
    installed.ends(0, "mkfs.hammer2", &["a.img"]);
    installed.refuses(16, "fsck.hammer2", &[], "<IMG>");
    installed.refuses(16, "fsck.hammer2", &["-n", "-y", "a.img"], "-y");
    installed.refuses(8, "fsck.hammer2", &["nothing.img"], "nothing.img: No such file");
    installed.refuses(8, "fsck.hammer2", &["-n", "blank.img"], "blank.img: no HAMMER2 volume header");
    installed.ends(8, "fsck.hammer2", &["-n", "a.img", "blank.img"]);

    let newest_lost = lose_newest_header(folder, "a.img");
    let before = fs::read(folder.path("a.img")).unwrap();
    for how in ["-n", "-a", "-p"] {
        let output = installed.run("fsck.hammer2", &[how, "a.img"]);
        assert_eq!(output.status.code(), Some(4), "{how}: {output:?}");
        assert!(String::from_utf8_lossy(&output.stderr).contains("fsck.hammer2 -y a.img"), "{how}: {output:?}");
    }
    installed.ends(1, "fsck_hammer2", &["a.img"]);
    assert!(before == fs::read(folder.path("a.img")).unwrap(), "nothing was written");
    installed.ends(1, "fsck.hammer2", &["-y", "a.img"]);
    assert!(slot(&File::open(folder.path("a.img")).unwrap(), newest_lost)[512..1024] != [0x5a; 512], "it is mended");
    installed.ends(0, "fsck.hammer2", &["-y", "a.img"]);
    assert_eq!(folder.succeed(["ls", "a.img:/"]), "old\n");
}

#[test]
fn a_system_that_starts_mends_what_costs_nothing_and_looks_at_headers_only() {
    let installed = Installed::new();
    let folder = &installed.folder;
    const BYTES: u64 = 9 << 30;
    folder.image("a.img", BYTES);
    installed.ends(0, "mkfs.hammer2", &["a.img"]);
    assert!(header_copies(BYTES) > 2);
    let image = File::options().write(true).open(folder.path("a.img")).unwrap();
    let spoil = || image.write_all_at(&[0x5a; 512], header_offset(2) + 4096).unwrap();
    for how in [&["-a"][..], &["-p"], &["-a", "-f"], &["-y"]] {
        spoil();
        installed.ends(4, "fsck.hammer2", &["-n", "a.img"]);
        installed.ends(1, "fsck.hammer2", &[how, &["a.img"]].concat());
        installed.ends(0, "fsck.hammer2", &[how, &["a.img"]].concat());
    }
    // The root of a PFS is damaged, which can't be mended.
    let info = folder.json(["info", "--json", "a.img"]);
    let first_pfs = info["header"]["aux_end"].as_u64().unwrap() + 1024;
    image.write_all_at(b"damage", first_pfs + 600).unwrap();
    installed.ends(0, "fsck.hammer2", &["-a", "a.img"]);
    for how in [&["-n"][..], &["-y"], &["-a", "-f"]] {
        installed.ends(4, "fsck.hammer2", &[how, &["a.img"]].concat());
    }
}

#[test]
fn mounting_ends_as_mount_8_has_it() {
    let installed = Installed::new();
    installed.folder.image("a.img", 64 << 20);
    installed.ends(0, "mkfs.hammer2", &["a.img"]);
    fs::create_dir(installed.folder.path("mnt")).unwrap();
    for name in ["mount.hammer2", "mount.fuse.hammer2", "mount_hammer2"] {
        installed.refuses(1, name, &[], "SPEC");
        installed.refuses(1, name, &["a.img", "mnt", "more"], "more");
        installed.refuses(32, name, &["a.img"], "the directory to mount it on");
        installed.refuses(32, name, &["nothing.img", "mnt"], "nothing.img: No such file");
        installed.refuses(32, name, &["a.img@NONE", "mnt"], "no such PFS");
        installed.refuses(32, name, &["a.img", "mnt", "-o", "rw,nonsense"], "-o nonsense: no such option");
        installed.refuses(32, name, &["a.img", "mnt", "-o", "remount"], "no HAMMER2 filesystem is mounted");
        installed.refuses(32, name, &["a.img", "nowhere", "-f"], "nowhere");
        installed.ends(0, name, &["a.img", "mnt", "-sfnv", "-o", "rw,nonsense,x-systemd.automount", "-t", "hammer2"]);
    }
}

fn slot(image: &File, offset: u64) -> Vec<u8> {
    let mut bytes = vec![0; VOLUME_HEADER_BYTES];
    image.read_exact_at(&mut bytes, offset).unwrap();
    bytes
}

/// Makes /old and /new, and loses the header that has the second, as if another implementation, which knows nothing of twins, had
/// been cut while it wrote that header. Returns its place.
fn lose_newest_header(folder: &Folder, image: &str) -> u64 {
    folder.succeed(["mkdir", &format!("{image}:/old")]);
    let file = File::options().read(true).write(true).open(folder.path(image)).unwrap();
    let twins: Vec<_> = (0..HEADER_TWINS).map(|twin| slot(&file, twin_offset(twin))).collect();
    folder.succeed(["mkdir", &format!("{image}:/new")]);
    twins.iter().enumerate().for_each(|(twin, old)| file.write_all_at(old, twin_offset(twin)).unwrap());
    file.write_all_at(&[0x5a; 512], header_offset(0) + 512).unwrap();
    header_offset(0)
}
