//! fuzz: each target for a while.

use std::fs;

use super::context::{Context, skip};
use crate::system::command::Run;
use crate::system::need::is_there;
use crate::system::words::say;
use crate::trouble::{About, Done, Trouble};

/// How long each target runs, in seconds.
const SECONDS: &str = "120";

/// All targets.
pub(crate) fn fuzz(step: &Context) -> Done {
    if !is_there("cargo-fuzz") {
        return skip("cargo-fuzz is missing: cargo install cargo-fuzz");
    }
    let targets = step.cargo(&["fuzz", "list", "--fuzz-dir", "harness/fuzz"]).read()?;
    let mut seeds = step.cargo(&["run", "--quiet", "--release", "--manifest-path", "harness/fuzz/Cargo.toml"]);
    seeds.args(["--example", "seeds", "--"]).arg(&step.folder).run()?;
    for target in targets.split_whitespace() {
        let corpus = step.path(target);
        fs::create_dir_all(&corpus).about(corpus.display())?;
        // What a target finds stays in harness/fuzz/artifacts.
        let mut run = step.cargo(&["fuzz", "run", "--fuzz-dir", "harness/fuzz", "--sanitizer", "none", target]);
        let log = step.path("log");
        let code = run.arg(corpus).args(["--", &format!("-max_total_time={SECONDS}")]).noted(&log)?;
        let told = String::from_utf8_lossy(&fs::read(&log).about(log.display())?).into_owned();
        let Some(runs) = runs(&told).filter(|_| code == 0) else {
            return Err(Trouble::failed(end_of(&told)));
        };
        say!("ok      {target}: {runs}");
    }
    Ok(())
}

/// How many runs there were: `Done N runs`.
fn runs(told: &str) -> Option<&str> {
    told.lines().filter(|line| line.starts_with("Done ")).find_map(|line| line.get(..line.rfind(" runs")? + 5))
}

/// The last 40 lines, none of them long.
fn end_of(told: &str) -> String {
    let lines: Vec<&str> = told.lines().collect();
    let last = lines.iter().skip(lines.len().saturating_sub(40));
    last.map(|line| line.chars().take(200).collect::<String>()).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::{end_of, runs};

    #[test]
    fn runs_are_counted_by_who_made_them() {
        assert_eq!(runs("INFO\nDone 12345 runs in 121 second(s)\n"), Some("Done 12345 runs"));
        assert_eq!(runs("SUMMARY: libFuzzer: deadly signal"), None);
        assert_eq!(end_of(&"x\n".repeat(100)).lines().count(), 40);
    }
}
