//! The README's tours, run by a shell: that of a mount (format, mount, build something, snapshot, crash, mount again, check), and
//! that of a cluster, word for word as printed there.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Output};

use tempfile::TempDir;

const TOUR: &str = r#"
truncate -s 1G disk.img
hammer2 newfs disk.img
mkdir mnt
hammer2 mount disk.img mnt

cargo new --quiet --vcs none mnt/hello
cargo build --quiet --manifest-path mnt/hello/Cargo.toml
mnt/hello/target/debug/hello
sync mnt/hello/target/debug/hello

hammer2 snapshot mnt BUILT
rm -r mnt/hello/src

fuser --kill --silent disk.img
umount mnt

hammer2 mount disk.img mnt
mnt/hello/target/debug/hello
umount mnt

while ! hammer2 fsck disk.img; do sleep 1; done
hammer2 cat disk.img@BUILT:/hello/src/main.rs
"#;

/// Runs commands in a folder, with the tool.
fn run(folder: &Path, commands: &str) -> Output {
    let tool = Path::new(env!("CARGO_BIN_EXE_hammer2")).parent().unwrap();
    let path = format!("{}:{}", tool.display(), std::env::var("PATH").unwrap());
    let mut command = Command::new("sh");
    command.args(["-e", "-c", commands]).current_dir(folder).env("PATH", path).env_remove("CARGO_TARGET_DIR");
    command.env("HAMMER2_STATE", folder.join("state"));
    command.output().unwrap()
}

#[test]
#[ignore = "needs FUSE: scripts/test mount"]
fn the_tour() {
    let folder = TempDir::new().unwrap();
    let output = run(folder.path(), TOUR);
    let _ = Command::new("umount").args(["-q", "-l", "mnt"]).current_dir(folder.path()).status();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{output:?}");
    assert_eq!(said.matches("Hello, world!\n").count(), 2, "before the crash and after it: {said}");
    assert!(said.contains("fn main() {"), "the snapshot has what was removed: {said}");
}

#[test]
#[ignore = "needs FUSE: scripts/test mount"]
fn the_tour_of_a_cluster() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap();
    let readme = fs::read_to_string(root.join("README.md")).unwrap();
    let blocks = readme.split("```sh\n").skip(1).filter_map(|rest| rest.split_once("```")).map(|(block, _)| block);
    let of_clusters: String = blocks.filter(|block| block.contains("hammer2 cluster")).collect();
    let folder = TempDir::new().unwrap();
    for copied in ["core", "docs", "scripts"] {
        symlink(root.join(copied), folder.path().join(copied)).unwrap();
    }
    // At the end, nothing stays mounted, and no server is left.
    let commands = format!(
        "export TMPDIR=$PWD; ended() {{ umount -q -l \"$mnt\" 2>&- || true; kill $nbd 2>&- || true; }}; trap ended EXIT\n{}",
        of_clusters.replace("cp -r ", "cp -rL ")
    );
    let output = run(folder.path(), &commands);
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    assert!(said.contains("degraded") && said.contains("ejected"), "the disk was gone: {said}");
    assert!(said.contains("healthy"), "and came back: {said}");
    assert!(said.contains("1 bad blocks, 1 repaired"), "{said}");
    let digests: Vec<&str> = said.lines().rev().take(3).collect();
    assert!(digests[0].len() == 64 && digests.iter().all(|digest| *digest == digests[0]), "{said}");
}
