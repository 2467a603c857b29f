//! One run from its seed to what came of it.

use crate::ending;
use crate::founding;
use crate::inquest;
use crate::rounds;
use crate::settings::Settings;
use crate::tally::Tally;

/// What came of one run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    /// What happened.
    pub tally: Tally,
    /// What was wrong, if anything was.
    pub violation: Option<String>,
}

/// Runs one seed.
pub fn run(seed: u64, settings: &Settings) -> Run {
    let (mut tally, violation) = match founding::found(seed, settings) {
        Ok(world) => {
            let violation = rounds::run(&world).and_then(|()| ending::end(&world)).err();
            world.tally.borrow_mut().trace_hash = world.host.trace();
            if violation.is_some() {
                inquest::hold(&world);
            }
            (world.tally.take(), violation)
        }
        Err(violation) => (Tally::default(), Some(violation)),
    };
    tally.seeds = 1;
    tally.violations = u64::from(violation.is_some());
    Run { tally, violation }
}
