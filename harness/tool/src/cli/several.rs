//! Commands that take several targets: each is done, even if others failed.

use super::failure::complain;
use super::target::Target;
use super::{Failure, Outcome};

/// Does something to each target. Failures are reported; with a single target, its failure is the command's own.
pub(super) fn each(
    targets: &[Target],
    mut work: impl FnMut(&Target) -> Result<Outcome, Failure>,
) -> Result<Outcome, Failure> {
    let Some((last, before)) = targets.split_last() else { return Ok(Outcome::Good) };
    let mut outcome = Outcome::Good;
    for target in before {
        outcome = outcome.and(work(target).or_else(|failure| match failure {
            Failure::OutputClosed => Err(failure),
            other => {
                complain(&other);
                Ok(Outcome::Bad)
            }
        })?);
    }
    Ok(outcome.and(work(last)?))
}
