//! The plan of one mount of a cluster.

use std::cell::Cell;

use hammer2_core::random::Random;

use crate::faults::FaultKind;
use crate::settings::Settings;

/// A planned fault.
pub(crate) struct PlannedFault {
    pub(crate) step: u64,
    /// The number of the disk among the nodes of the mount.
    pub(crate) seat: usize,
    pub(crate) kind: FaultKind,
}

/// When the power goes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Crash {
    Never,
    /// After so many requests, counted from the first of the mount.
    InMount(u64),
    /// After so many requests, counted from a step in which one client syncs.
    AtStep(u64, u64),
    /// After so many requests, counted from a change of the members.
    InChange(u64),
}

/// A task for a client in place of a random step.
pub(crate) enum Errand {
    Sync,
    Resync,
    ChangeMembers,
    Insert,
}

/// The events of a mount.
pub(crate) struct Plan {
    pub(crate) steps: u64,
    pub(crate) clients: u64,
    pub(crate) faults: Vec<PlannedFault>,
    pub(crate) crash: Crash,
    pub(crate) resync_at: Option<u64>,
    /// The step at which the members are changed.
    pub(crate) change_at: Option<u64>,
    /// The step at which a disk is put in.
    pub(crate) insert_at: Option<u64>,
    /// The mount ends with an unmount, and not as of its last sync.
    pub(crate) unmounts: bool,
    /// The filesystem looks after itself, as in real mounts.
    pub(crate) keeps: bool,
    /// The next step is a sync.
    pub(crate) sync_now: Cell<bool>,
}

impl Plan {
    pub(crate) fn quiet(steps: u64) -> Self {
        Self {
            steps,
            clients: 1,
            faults: Vec::new(),
            crash: Crash::Never,
            resync_at: Some(0),
            change_at: None,
            insert_at: None,
            unmounts: true,
            keeps: false,
            sync_now: Cell::new(false),
        }
    }

    pub(crate) fn draw(random: &mut Random, seats: usize, steps: u64, settings: &Settings) -> Self {
        let steps = 1 + steps / 2 + random.below(steps);
        let mut faults = Vec::new();
        if random.percent(60) {
            let times = random.pick(&[1, 1, 1, 2, 3]);
            for _ in 0..times {
                let (step, seat) = (random.below(steps), random.index(seats));
                let kind = random.pick(&FaultKind::ALL);
                if settings.has_fault(kind.name()) {
                    faults.push(PlannedFault { step, seat, kind });
                }
            }
        }
        let resync_at = random.percent(60).then(|| random.below(steps));
        // A slow disk lags, so a copy from it would lack changes. The first disk is asked before others.
        if let Some(step) = resync_at.filter(|_| random.percent(50) && settings.has_fault(FaultKind::Slow.name())) {
            let seat = if random.percent(70) { 0 } else { random.index(seats) };
            faults.push(PlannedFault { step: random.below(step + 1), seat, kind: FaultKind::Slow });
        }
        let change_at = (random.percent(30) && settings.has_fault("member-change")).then(|| random.below(steps));
        let crash = match random.below(10) {
            _ if change_at.is_some() && random.percent(50) => Crash::InChange(random.below(50 * seats as u64)),
            0..3 => Crash::InMount(random.below(60 * seats as u64)),
            3..8 => Crash::AtStep(random.below(steps), random.below(40 * seats as u64)),
            _ => Crash::Never,
        };
        Self {
            steps,
            clients: 1 + random.below(3),
            faults,
            crash: if settings.crashes { crash } else { Crash::Never },
            resync_at,
            change_at,
            insert_at: random.percent(25).then(|| random.below(steps)),
            unmounts: random.percent(70),
            keeps: random.percent(40),
            sync_now: Cell::new(false),
        }
    }
}
