//! One run, from its seed to its result.

use crate::chronicle::{ClusterBegun, Entry, What};
use crate::ending;
use crate::founding;
use crate::group::{Group, names_of_roles};
use crate::inquest;
use crate::rounds;
use crate::settings::Settings;
use crate::tally::Tally;
use crate::world::{Disk, World};

/// The result of one run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    /// The counts.
    pub tally: Tally,
    /// The violation, if there was one.
    pub violation: Option<String>,
}

/// Runs one seed.
pub fn run(seed: u64, settings: &Settings) -> Run {
    perform(seed, settings, false).0
}

/// The same run, with its events.
pub fn run_told(seed: u64, settings: &Settings) -> (Run, Vec<Entry>) {
    perform(seed, settings, true)
}

fn perform(seed: u64, settings: &Settings, is_told: bool) -> (Run, Vec<Entry>) {
    let (mut tally, violation, entries) = match founding::found(seed, settings) {
        Ok(world) => {
            if is_told {
                world.chronicle.begin();
                world.tell(|| begun(&world));
            }
            let violation = rounds::run(&world).and_then(|()| ending::end(&world)).err();
            // Later looks aren't part of the run.
            let tally = Tally { trace_hash: world.host.trace(), ..world.tally.take() };
            if let Some(text) = &violation {
                if !world.chronicle.tells_of(text) {
                    world.tell(|| What::Wrong { text: text.clone() });
                }
                inquest::hold(&world);
            }
            (tally, violation, world.chronicle.take())
        }
        Err(violation) => {
            let entry = Entry { nanoseconds: 0, trace: 0, what: What::Wrong { text: violation.clone() } };
            (Tally::default(), Some(violation), vec![entry])
        }
    };
    tally.seeds = 1;
    tally.violations = u64::from(violation.is_some());
    (Run { tally, violation }, entries)
}

fn begun(world: &World) -> What {
    let size_bytes = |disk: &Disk| disk.drive.disk.medium.borrow().size_bytes();
    let cluster = |group: &Group| ClusterBegun {
        label: group.name(),
        is_alone: group.is_alone,
        roles: names_of_roles(&group.roles()[0]),
    };
    What::Begun {
        disks: world.disks.iter().map(size_bytes).collect(),
        clusters: world.groups().iter().map(cluster).collect(),
    }
}
