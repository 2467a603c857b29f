//! The failures of the machine that has the mount, chosen by a seed.

use std::time::Duration;

use hammer2_core::random::Random;

use crate::network::{Cut, DISKS};

/// The kinds of failures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The machine is gone at once, with its network.
    Killed,
    /// It is stopped until the other is in service, and then woken.
    Stopped,
    /// It is stopped for a random time: the other may be in service by then, or not.
    Dozing,
    /// It doesn't reach one of its disks.
    Minority,
    /// It reaches only one of its disks.
    Majority,
}

impl Kind {
    pub(crate) const ALL: [Self; 5] = [Self::Killed, Self::Stopped, Self::Dozing, Self::Minority, Self::Majority];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Killed => "killed",
            Self::Stopped => "stopped",
            Self::Dozing => "dozing",
            Self::Minority => "minority",
            Self::Majority => "majority",
        }
    }
}

/// A failure, with its times.
pub(crate) struct Failure {
    pub(crate) kind: Kind,
    /// The disks that are cut off, each with the kind of cut.
    pub(crate) cuts: Vec<(usize, Cut)>,
    /// How long the other machine tries to mount before anything happens.
    pub(crate) lead: Duration,
    /// How long it lasts: for a doze all of it; for a failure that leads to a take-over, the rest once the other is in service.
    pub(crate) lasts: Duration,
}

impl Failure {
    /// The next failure: each kind in its turn, the rest at random.
    pub(crate) fn roll(number: u64, random: &mut Random) -> Self {
        let kind = Kind::ALL[(number % Kind::ALL.len() as u64) as usize];
        let style = |random: &mut Random| if random.percent(50) { Cut::Unplugged } else { Cut::Deaf };
        let one = random.index(DISKS);
        let cuts = match kind {
            Kind::Killed => (0..DISKS).map(|disk| (disk, Cut::Unplugged)).collect(),
            Kind::Stopped | Kind::Dozing => Vec::new(),
            Kind::Minority => vec![(one, style(random))],
            Kind::Majority => (0..DISKS).filter(|disk| *disk != one).map(|disk| (disk, style(random))).collect(),
        };
        let most = match kind {
            Kind::Dozing | Kind::Minority => 9_000,
            _ => 3_000,
        };
        let lead = Duration::from_millis(random.below(5_000));
        Self { kind, cuts, lead, lasts: Duration::from_millis(random.below(most)) }
    }

    /// The failure in words.
    pub(crate) fn describe(&self) -> String {
        let cuts: Vec<String> =
            self.cuts.iter().map(|(disk, how)| format!("disk{disk} {}", format!("{how:?}").to_lowercase())).collect();
        match self.kind {
            Kind::Killed | Kind::Stopped => String::new(),
            Kind::Dozing => format!("for {:.1} s", self.lasts.as_secs_f32()),
            Kind::Minority | Kind::Majority => cuts.join(", "),
        }
    }
}
