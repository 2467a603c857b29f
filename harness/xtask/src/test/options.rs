//! What `scripts/test` takes, and how it says so.

use lexopt::prelude::*;

use super::table::{self, Row, STEPS, Step};
use crate::trouble::{Done, Trouble};

/// What is to be done.
pub(super) enum Order {
    /// To say how it is used.
    Help,
    /// To run steps: those that were named, or all.
    Run {
        /// Those that were named.
        chosen: Vec<&'static Step>,
        /// Whether the long forms are wanted.
        is_full: bool,
    },
}

/// Understands the words after `scripts/test`.
pub(super) fn parse(mut words: lexopt::Parser) -> Done<Order> {
    let (mut chosen, mut is_full) = (Vec::new(), false);
    while let Some(word) = words.next().map_err(Trouble::unusable)? {
        let name = match word {
            Short('h') | Long("help") => return Ok(Order::Help),
            Long("full") => {
                is_full = true;
                continue;
            }
            Value(name) => name.to_string_lossy().into_owned(),
            Short(name) => format!("-{name}"),
            Long(name) => format!("--{name}"),
        };
        let step = table::find(&name);
        chosen.push(step.ok_or_else(|| Trouble::unusable(format!("no step or option `{name}`; see --help")))?);
    }
    Ok(Order::Run { chosen, is_full })
}

/// How wide the text may be.
const COLUMNS: usize = 131;
/// The column at which what a step covers begins.
const INDENT: usize = 17;

/// All options and steps.
pub(super) fn usage() -> String {
    let list =
        |is_long: bool| STEPS.iter().filter(|step| (step.row == Row::Long) == is_long).map(told).collect::<String>();
    format!(
        "Usage: scripts/test [--full] [STEP...]

Runs all steps, or only those named:
{}newfs-check, golden-modify, kernel-walk and golden-check need a folder `shared` beside the checkout and are skipped without it.

Options:
  --full         also what takes long: every test in its long form, and the steps
{}  --help         this text

What is missing is installed, after saying so: QEMU, nbdkit, zstd, python3, fuse3 and the programs of strangers and
mount-programs from the distribution, Python packages into a virtual environment and pjdfstest and fsx into tools/, both under
target/.

The last line is `N passed, M failed[, K skipped]`, counting steps. Exit code: 0 when none failed, 1 when one did, 2 when
nothing could be run.
",
        list(false),
        list(true)
    )
}

/// A step and what it covers, in lines that are no wider than they may be.
fn told(step: &Step) -> String {
    let mut told = format!("  {:<width$}", step.name, width = INDENT - 2);
    let mut column = INDENT;
    for word in step.covers.split(' ') {
        let width = word.chars().count();
        if column > INDENT && column + 1 + width > COLUMNS {
            told.push_str(&format!("\n{:INDENT$}", ""));
            column = INDENT;
        } else if column > INDENT {
            told.push(' ');
            column += 1;
        }
        told.push_str(word);
        column += width;
    }
    told + "\n"
}

#[cfg(test)]
mod tests {
    use super::{COLUMNS, Order, STEPS, parse, usage};
    use crate::trouble::{Done, Trouble};

    fn parsed(line: &str) -> Done<(Vec<&'static str>, bool)> {
        match parse(lexopt::Parser::from_args(line.split_whitespace()))? {
            Order::Run { chosen, is_full } => Ok((chosen.iter().map(|step| step.name).collect(), is_full)),
            Order::Help => Ok((vec!["help"], false)),
        }
    }

    #[test]
    fn steps_are_run_in_the_order_in_which_they_are_named() {
        assert_eq!(parsed(""), Ok((vec![], false)));
        assert_eq!(parsed("mount --full format mount"), Ok((vec!["mount", "format", "mount"], true)));
        assert_eq!(parsed("soak"), Ok((vec!["soak"], false)));
        assert_eq!(parsed("format -h"), Ok((vec!["help"], false)));
    }

    #[test]
    fn what_is_no_step_is_refused() {
        for word in ["nonsense", "--nonsense", "-n", "First"] {
            assert_eq!(parsed(word), Err(Trouble::unusable(format!("no step or option `{word}`; see --help"))));
        }
    }

    #[test]
    fn the_usage_has_every_step_and_fits() {
        let usage = usage();
        for step in &STEPS {
            assert!(usage.lines().any(|line| line.starts_with(&format!("  {:<14} ", step.name))), "{}", step.name);
        }
        for line in usage.lines() {
            assert!(line.chars().count() <= COLUMNS, "{line}");
        }
        assert!(usage.lines().filter(|line| line.starts_with("  ")).all(|line| line.chars().count() <= COLUMNS));
    }
}
