//! The simulator isn't part of the tool: `hammer2 sim` runs a program of its own, the only one that can leave out a rule.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use hammer2_core::node::NOT_FOLLOWED;

use super::folder::Folder;

/// A program that prints its path and arguments.
const STAND_IN: &str = "#!/bin/sh\necho \"$0\" \"$@\"\nexit 7\n";

fn write_program(folder: &Folder, name: &str) {
    fs::write(folder.path(name), STAND_IN).unwrap();
    fs::set_permissions(folder.path(name), fs::Permissions::from_mode(0o755)).unwrap();
}

/// A copy of the tool alone in a folder.
fn alone() -> Folder {
    let folder = Folder::new();
    fs::create_dir(folder.path("bin")).unwrap();
    fs::copy(env!("CARGO_BIN_EXE_hammer2"), folder.path("bin/tool")).unwrap();
    folder
}

#[test]
fn the_tool_has_no_switch_that_leaves_out_a_rule() {
    // A test of the simulator (harness/sim/tests/program.rs) finds these words in `hammer2-sim`.
    let program = fs::read(env!("CARGO_BIN_EXE_hammer2")).unwrap();
    assert!(!program.windows(NOT_FOLLOWED.len()).any(|words| words == NOT_FOLLOWED.as_bytes()));
}

#[test]
fn sim_becomes_the_program_beside_the_tool_else_one_in_path() {
    let folder = alone();
    fs::create_dir(folder.path("other")).unwrap();
    for name in ["other/hammer2-sim", "bin/hammer2-sim"] {
        write_program(&folder, name);
        let mut command = Command::new(folder.path("bin/tool"));
        command.args(["sim", "--start", "3", "--help", "--no-such-option"]);
        command.env("PATH", format!("{}:/usr/bin:/bin", folder.path("other").display()));
        let output = command.output().unwrap();
        let expected = format!("{} --start 3 --help --no-such-option\n", folder.path(name).display());
        assert_eq!(String::from_utf8_lossy(&output.stdout), expected);
        assert_eq!(output.status.code(), Some(7), "{name}");
    }
}

#[test]
fn sim_says_where_the_simulator_comes_from_when_there_is_none() {
    let folder = alone();
    let mut command = Command::new(folder.path("bin/tool"));
    let output = command.args(["sim", "--seeds", "1"]).env("PATH", folder.path("bin")).output().unwrap();
    let complaint = String::from_utf8(output.stderr).unwrap();
    assert_eq!((output.status.code(), complaint.lines().count()), (Some(2), 1), "{complaint}");
    assert!(complaint.starts_with("hammer2: hammer2-sim is neither"), "{complaint}");
    assert!(complaint.contains("`cargo build --release` makes it as target/release/hammer2-sim"), "{complaint}");
    // A program that is there but can't be run is named.
    fs::write(folder.path("bin/hammer2-sim"), "").unwrap();
    let mut command = Command::new(folder.path("bin/tool"));
    let output = command.args(["sim"]).output().unwrap();
    let complaint = String::from_utf8(output.stderr).unwrap();
    assert!(complaint.contains("bin/hammer2-sim: Permission denied"), "{complaint}");
    assert_eq!(output.status.code(), Some(2));
}
