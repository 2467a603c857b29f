//! The README's tour of mounts, as a shell does it: format, mount, build something, snapshot, crash, mount again, check.

use std::process::Command;

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

#[test]
#[ignore = "needs FUSE: scripts/test mount"]
fn the_tour() {
    let folder = TempDir::new().unwrap();
    let tool = std::path::Path::new(env!("CARGO_BIN_EXE_hammer2")).parent().unwrap();
    let path = format!("{}:{}", tool.display(), std::env::var("PATH").unwrap());
    let mut command = Command::new("sh");
    command.args(["-e", "-c", TOUR]).current_dir(folder.path()).env("PATH", path).env_remove("CARGO_TARGET_DIR");
    let output = command.output().unwrap();
    let _ = Command::new("umount").args(["-q", "-l", "mnt"]).current_dir(folder.path()).status();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{output:?}");
    assert_eq!(said.matches("Hello, world!\n").count(), 2, "before the crash and after it: {said}");
    assert!(said.contains("fn main() {"), "the snapshot has what was removed: {said}");
}
