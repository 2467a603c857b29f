//! The program `hammer2-sim`: the switch that leaves out a rule, what is printed, exit statuses.

use std::fs;
use std::process::{Command, Output};

use hammer2_core::cluster::{NOT_FOLLOWED, Rule};

const PROGRAM: &str = env!("CARGO_BIN_EXE_hammer2-sim");

fn simulate(arguments: &[&str]) -> Output {
    Command::new(PROGRAM).args(arguments).output().unwrap()
}

/// What is printed by a program that ends with this status.
fn printed(arguments: &[&str], status: i32) -> String {
    let output = simulate(arguments);
    assert_eq!(output.status.code(), Some(status), "{arguments:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn the_simulator_has_the_switch_that_the_tool_lacks() {
    // The test of the tool (harness/tool/tests/tool/simulator.rs) finds these words nowhere.
    let program = fs::read(PROGRAM).unwrap();
    assert!(program.windows(NOT_FOLLOWED.len()).any(|words| words == NOT_FOLLOWED.as_bytes()));
}

#[test]
fn a_run_without_a_rule_says_where_it_is_not_followed() {
    let traced = |arguments: &[&str]| {
        let run = [&["--seeds", "1", "--steps", "10", "--trace"], arguments].concat();
        String::from_utf8(simulate(&run).stderr).unwrap().contains(&format!("the rule epoch {NOT_FOLLOWED}"))
    };
    assert!(traced(&["--without", "epoch"]));
    assert!(!traced(&[]));
}

#[test]
fn a_violation_comes_with_the_command_that_shows_it_again() {
    let found = printed(&["--seeds", "3", "--without", "rollforward"], 1);
    let first = found.lines().next().unwrap();
    let (_, command) = first.rsplit_once("; hammer2-sim ").expect("a command");
    let again = printed(&command.split(' ').collect::<Vec<_>>(), 1);
    assert_eq!(again.lines().next(), Some(first));
    // In JSON, and with the rule.
    let report = printed(&["--seeds", "3", "--without", "rollforward", "--json"], 1);
    let violation: serde_json::Value = serde_json::from_str(report.lines().next().unwrap()).unwrap();
    assert_eq!(violation["reproduce"], format!("hammer2-sim {command}"));
    let report = printed(&["--seeds", "1", "--json"], 0);
    let total: serde_json::Value = serde_json::from_str(&report).unwrap();
    assert_eq!((&total["seeds"], &total["violations"]), (&1.into(), &0.into()));
}

#[test]
fn rules_are_listed_and_wrong_usage_is_told_from_violations() {
    let rules = printed(&["--rules"], 0);
    assert!(rules.lines().eq(Rule::ALL.map(Rule::name)));
    for wrong in [&["--without", "manners"][..], &["--nodes", "9"], &["--no-faults", "none"]] {
        assert_eq!(printed(wrong, 2), "");
    }
}
