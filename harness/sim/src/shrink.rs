//! Shrinking a failing run, by leaving out everything that it doesn't need.

use crate::run::run;
use crate::settings::Settings;

/// Leaves out kinds of faults and steps as long as the seed still fails; returns the rest.
pub fn shrink(seed: u64, settings: &Settings) -> Settings {
    let fails = |settings: &Settings| run(seed, settings).violation.is_some();
    let mut least = settings.clone();
    for kind in Settings::all_faults() {
        let mut without = least.clone();
        without.left_out.push(kind.to_owned());
        if !least.left_out.iter().any(|left_out| left_out == kind) && fails(&without) {
            least = without;
        }
    }
    let calm = Settings { crashes: false, ..least.clone() };
    if least.crashes && fails(&calm) {
        least = calm;
    }
    let (mut passes, mut failing) = (0, least.steps);
    while failing - passes > 1 {
        let steps = passes.midpoint(failing);
        let shorter = Settings { steps, ..least.clone() };
        if fails(&shorter) {
            (failing, least) = (steps, shorter);
        } else {
            passes = steps;
        }
    }
    least
}
