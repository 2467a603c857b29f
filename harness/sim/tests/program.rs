//! The program `hammer2-sim`: the switch that leaves out a rule, its output, exit statuses.

use std::fs;
use std::process::{Command, Output};

use hammer2_core::node::{NOT_FOLLOWED, Rule};
use serde_json::Value;

const PROGRAM: &str = env!("CARGO_BIN_EXE_hammer2-sim");

fn simulate(arguments: &[&str]) -> Output {
    Command::new(PROGRAM).args(arguments).output().unwrap()
}

/// The output of the program, which must end with this status.
fn printed(arguments: &[&str], status: i32) -> String {
    let output = simulate(arguments);
    assert_eq!(output.status.code(), Some(status), "{arguments:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn the_simulator_has_the_switch_that_the_tool_lacks() {
    // The tool's test (harness/tool/tests/tool/simulator.rs) must not find these words in `hammer2`.
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
    // The same in JSON, and with the rule.
    let report = printed(&["--seeds", "3", "--without", "rollforward", "--json"], 1);
    let violation: Value = serde_json::from_str(report.lines().next().unwrap()).unwrap();
    assert_eq!(violation["reproduce"], format!("hammer2-sim {command}"));
    let report = printed(&["--seeds", "1", "--json"], 0);
    let total: Value = serde_json::from_str(&report).unwrap();
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

/// A file of its own below the folder of tests.
fn page_file(name: &str) -> String {
    format!("{}/{name}.html", env!("CARGO_TARGET_TMPDIR"))
}

/// The data of a page.
fn shown(path: &str) -> Value {
    let page = fs::read_to_string(path).unwrap();
    let (_, data) = page.split_once("id=\"run\">").unwrap();
    serde_json::from_str(data.split_once("</script>").unwrap().0).unwrap()
}

fn kind_at(page: &Value, place: &str) -> (u64, String) {
    let entry = &page["entries"][page[place].as_u64().unwrap() as usize];
    (entry["at"].as_u64().unwrap(), entry["kind"].as_str().unwrap().to_owned())
}

#[test]
fn a_page_shows_one_run_and_changes_nothing_in_it() {
    let path = page_file("good");
    let run = ["--start", "7", "--seeds", "1"];
    let plain = printed(&run, 0);
    assert_eq!(printed(&[&run[..], &["--html", &path]].concat(), 0), plain, "the same trace");
    let page = shown(&path);
    assert!(plain.trim_end().ends_with(page["tally"]["trace"].as_str().unwrap()), "{plain}");
    assert_eq!((&page["violation"], &page["wrong"], &page["parting"]), (&Value::Null, &Value::Null, &Value::Null));
    // Something happens to each disk, and time goes on.
    let entries = page["entries"].as_array().unwrap();
    let of_kind = |kind: &str| entries.iter().filter(|entry| entry["kind"] == kind).collect::<Vec<_>>();
    let disks = of_kind("begun")[0]["disks"].as_array().unwrap().len();
    assert!((0..disks).all(|disk| of_kind("node").iter().any(|entry| entry["disk"] == disk)), "of {disks}");
    assert!(entries.windows(2).all(|pair| pair[0]["at"].as_u64() <= pair[1]["at"].as_u64()));
    let operations = page["tally"]["operations"].as_u64().unwrap();
    let steps = of_kind("step").len() as u64;
    assert!(steps <= operations && steps > operations / 2, "{steps} of {operations}; the power ends some");
    assert_eq!(of_kind("power-cut").len() as u64, page["tally"]["crashes"].as_u64().unwrap());
}

#[test]
fn the_page_of_a_violation_points_at_the_first_wrong_moment() {
    let path = page_file("wrong");
    let found = printed(&["--seeds", "3", "--without", "rollforward", "--json"], 1);
    let violation: Value = serde_json::from_str(found.lines().next().unwrap()).unwrap();
    let seed = violation["seed"].to_string();
    printed(&["--start", &seed, "--seeds", "1", "--without", "rollforward", "--html", &path], 1);
    let page = shown(&path);
    assert_eq!(page["violation"], violation["violation"]);
    let (wrong, kind) = kind_at(&page, "wrong");
    assert!(kind == "wrong" || kind == "suspicion", "{kind}");
    assert_eq!(page["entries"][page["wrong"].as_u64().unwrap() as usize]["text"], page["violation"]);
    // The run differs from the one with the rule before the violation shows, but not at the beginning.
    let (parted, _) = kind_at(&page, "parting");
    assert!(page["parting"].as_u64().unwrap() > 0 && parted <= wrong, "{parted} and {wrong}");
    // With the rule, there is no violation to point at.
    printed(&["--start", &seed, "--seeds", "1", "--html", &path], 0);
    assert_eq!(shown(&path)["wrong"], Value::Null);
}

#[test]
fn a_page_of_many_runs_and_one_that_cannot_be_written_are_refused() {
    let path = page_file("refused");
    for seeds in [&[][..], &["--seeds", "2"]] {
        let output = simulate(&[seeds, &["--html", &path]].concat());
        assert_eq!(output.status.code(), Some(2));
        assert!(String::from_utf8(output.stderr).unwrap().contains("add `--seeds 1`"));
        assert!(!fs::exists(&path).unwrap());
    }
    let output = simulate(&["--seeds", "1", "--steps", "10", "--html", env!("CARGO_TARGET_TMPDIR")]);
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8(output.stderr).unwrap().contains("name a file that can be written"));
}
