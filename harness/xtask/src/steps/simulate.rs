//! sim: simulated clusters keep their promises, and those that lack a rule are found out.

use std::fs;
use std::process::Command;

use super::context::Context;
use crate::system::command::{Run, program};
use crate::system::words::say;
use crate::trouble::{About, Done, Trouble};

/// Clusters simulated.
const SEEDS: &str = "5000";
/// Clusters simulated at most without a rule.
const SEEDS_WITHOUT: &str = "2000";
/// A rule that is missed seldom is left out where it is: of those from 3,001 to 5,329 none misses it.
const SELDOM: [(&str, &str); 1] = [("abreast", "5001")];

/// Everything must occur in so many runs, and every rule that can be left out must be missed.
pub(crate) fn sim(step: &Context) -> Done {
    step.build_all()?;
    simulator(step, &["--complete", "--seeds", SEEDS]).run()?;
    let rules = simulator(step, &["--rules"]).read()?;
    for rule in rules.lines() {
        let report = step.path("report");
        let words = ["--start", first_seed(rule), "--seeds", SEEDS_WITHOUT, "--without", rule];
        let code = simulator(step, &words).noted(&report)?;
        let told = fs::read_to_string(&report).about(report.display())?;
        say!("ok      without {rule}: {}", missed(code, &told, rule)?);
    }
    Ok(())
}

/// The simulator; what else runs meanwhile comes first.
fn simulator(step: &Context, words: &[&str]) -> Command {
    let mut simulator = program("nice", &["--adjustment=10"]);
    simulator.arg(step.programs().join("hammer2-sim")).args(words);
    simulator
}

/// Where looking for what misses a rule begins.
fn first_seed(rule: &str) -> &'static str {
    SELDOM.iter().find(|(seldom, _)| *seldom == rule).map_or("1", |(_, first)| first)
}

/// The beginning of what the simulator has told: that a seed misses the rule.
fn missed(code: i32, told: &str, rule: &str) -> Done<String> {
    if code == 0 {
        return Err(Trouble::failed(format!("FAILED  nothing goes wrong without {rule}")));
    }
    if code != 1 || !told.lines().any(is_violation) {
        return Err(Trouble::failed(format!("without {rule}, the simulator has ended with {code}: {told}")));
    }
    Ok(told.lines().next().unwrap_or_default().chars().take(100).collect())
}

/// Whether a line is `seed N: WHAT`.
fn is_violation(line: &str) -> bool {
    let seed = line.strip_prefix("seed ").and_then(|rest| rest.split_once(": "));
    seed.is_some_and(|(seed, _)| !seed.is_empty() && seed.bytes().all(|byte| byte.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::{first_seed, missed};
    use crate::trouble::Trouble;

    #[test]
    fn a_rule_that_nobody_misses_fails_the_step() {
        let words = "FAILED  nothing goes wrong without barrier";
        assert_eq!(missed(0, "all is well", "barrier"), Err(Trouble::failed(words)));
        assert!(missed(101, "seed 1: panicked", "barrier").is_err());
        assert!(missed(1, "no seed: at all", "barrier").is_err());
        let told = format!("seed 17: {}\nmore", "é".repeat(200));
        assert_eq!(missed(1, &told, "barrier").map(|told| told.chars().count()), Ok(100));
    }

    #[test]
    fn most_rules_are_missed_soon() {
        assert_eq!((first_seed("abreast"), first_seed("barrier")), ("5001", "1"));
    }
}
