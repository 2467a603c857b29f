//! golden-check: the tool on all golden volumes, intact and damaged.

use super::context::Context;
use crate::system::command::{Run, program};
use crate::trouble::Done;

/// What is known of the volumes, and recovery of damaged ones.
pub(crate) fn golden_check(step: &Context) -> Done {
    let golden = step.golden()?;
    step.needs.program("zstd", "zstd")?;
    let checker = step.independent_checker()?;
    step.build_all()?;
    let mut known = program(step.checkout.shared().join("tools/golden-check"), &[]);
    known.arg(step.programs().join("hammer2")).env("GOLDEN_TMP", &step.folder).run()?;
    for (suite, name) in [("filesystem", "recover::golden"), ("tool", "blkid::golden"), ("tool", "golden_damage::")] {
        let mut tests = step.ignored_tests(suite, name);
        tests.env("H2_GOLDEN", &golden).env("H2_CHECKER", checker.join(" ")).run()?;
    }
    Ok(())
}
