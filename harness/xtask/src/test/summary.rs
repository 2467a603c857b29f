//! What came of steps, and of all of them.

use std::fmt::{self, Display};

use crate::system::group::End;
use crate::trouble::{Done, SKIPPED, Trouble};

/// What came of a step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Outcome {
    /// It has passed.
    Passed,
    /// It can't be run here.
    Skipped,
    /// It has failed.
    Failed,
    /// It had no end after so many seconds.
    Late(u64),
}

impl Outcome {
    /// By how the step's process has ended, which had a time limit in seconds.
    pub(super) fn of(end: End, limit: u64) -> Self {
        match end {
            End::Code(0) => Self::Passed,
            End::Code(code) if code == i32::from(SKIPPED) => Self::Skipped,
            End::Code(_) => Self::Failed,
            End::Late => Self::Late(limit),
        }
    }
}

impl Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Passed => f.write_str("ok"),
            Self::Skipped => f.write_str("skipped"),
            Self::Failed => f.write_str("FAILED"),
            Self::Late(limit) => write!(f, "FAILED: no end after {limit} s"),
        }
    }
}

/// What came of all steps, in the order in which they ended.
#[derive(Debug, Default)]
pub(super) struct Summary {
    outcomes: Vec<(&'static str, Outcome)>,
}

impl Summary {
    /// Notes what came of a step.
    pub(super) fn note(&mut self, name: &'static str, outcome: Outcome) {
        self.outcomes.push((name, outcome));
    }

    /// Trouble, if a step has failed; its words have been said.
    pub(super) fn verdict(&self) -> Done {
        if self.names(is_failure).is_empty() { Ok(()) } else { Err(Trouble::failed("")) }
    }

    fn names(&self, wanted: fn(&Outcome) -> bool) -> Vec<&'static str> {
        self.outcomes.iter().filter(|(_, outcome)| wanted(outcome)).map(|(name, _)| *name).collect()
    }
}

fn is_failure(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Failed | Outcome::Late(_))
}

impl Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let passed = self.names(|outcome| *outcome == Outcome::Passed);
        let skipped = self.names(|outcome| *outcome == Outcome::Skipped);
        let failed = self.names(is_failure);
        for (what, names) in [("skipped", &skipped), ("failed", &failed)] {
            if !names.is_empty() {
                writeln!(f, "{what}: {}", names.join(" "))?;
            }
        }
        write!(f, "{} passed, {} failed", passed.len(), failed.len())?;
        if skipped.is_empty() { Ok(()) } else { write!(f, ", {} skipped", skipped.len()) }
    }
}

#[cfg(test)]
mod tests {
    use super::{Outcome, Summary};
    use crate::system::group::End;
    use crate::trouble::Trouble;

    #[test]
    fn an_exit_code_is_an_outcome() {
        let outcomes = [(0, "ok"), (77, "skipped"), (1, "FAILED"), (2, "FAILED"), (101, "FAILED"), (137, "FAILED")];
        for (code, words) in outcomes {
            assert_eq!(Outcome::of(End::Code(code), 1500).to_string(), words, "{code}");
        }
        assert_eq!(Outcome::of(End::Late, 1500).to_string(), "FAILED: no end after 1500 s");
    }

    #[test]
    fn the_last_line_counts() {
        let mut summary = Summary::default();
        summary.note("format", Outcome::Passed);
        assert_eq!((summary.to_string().as_str(), summary.verdict()), ("1 passed, 0 failed", Ok(())));
        summary.note("mount", Outcome::Skipped);
        assert_eq!(summary.to_string(), "skipped: mount\n1 passed, 0 failed, 1 skipped");
        assert_eq!(summary.verdict(), Ok(()));
        summary.note("lint", Outcome::Failed);
        summary.note("sim", Outcome::Late(1500));
        assert_eq!(summary.to_string(), "skipped: mount\nfailed: lint sim\n1 passed, 2 failed, 1 skipped");
        assert_eq!(summary.verdict(), Err(Trouble::failed("")));
    }
}
