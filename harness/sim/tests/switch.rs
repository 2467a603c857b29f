//! The simulator can leave out each rule of the protocol.

use std::fs;
use std::process::Command;

use hammer2_core::cluster::NOT_FOLLOWED;

const PROGRAM: &str = env!("CARGO_BIN_EXE_hammer2-sim");

#[test]
fn the_simulator_has_the_switch_that_the_tool_lacks() {
    // The test of the tool (harness/tests/tool/simulator.rs) finds these words nowhere.
    let program = fs::read(PROGRAM).unwrap();
    assert!(program.windows(NOT_FOLLOWED.len()).any(|words| words == NOT_FOLLOWED.as_bytes()));
}

#[test]
fn a_run_without_a_rule_says_where_it_is_not_followed() {
    let traced = |arguments: &[&str]| {
        let run = ["--seeds", "1", "--steps", "10", "--trace"];
        let output = Command::new(PROGRAM).args(run).args(arguments).output().unwrap();
        String::from_utf8(output.stderr).unwrap().contains(&format!("the rule epoch {NOT_FOLLOWED}"))
    };
    assert!(traced(&["--without", "epoch"]));
    assert!(!traced(&[]));
}
