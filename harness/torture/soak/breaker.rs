//! Breaks and mends disks at random, but never so many that no quorum would be left.

use std::time::{Duration, Instant};

use hammer2_core::random::Random;

use crate::disks::Fault;
use crate::happening::Happening;
use crate::rig::Rig;

/// The faults; one that is named several times comes as much more often.
const FAULTS: [Fault; 9] = [
    Fault::Gone,
    Fault::Gone,
    Fault::ReadErrors,
    Fault::WriteErrors,
    Fault::FlushErrors,
    Fault::Hang,
    Fault::Slow,
    Fault::Lies,
    Fault::Lies,
];

/// A disk that is broken for now.
struct Broken {
    node: usize,
    until: Instant,
}

/// Breaks disks.
pub(crate) struct Breaker {
    random: Random,
    broken: Vec<Broken>,
    next: Instant,
    /// The longest pause between two faults.
    pause: Duration,
    /// The longest fault.
    longest: Duration,
}

impl Breaker {
    pub(crate) fn new(seed: u64, pause: Duration, longest: Duration) -> Self {
        let mut random = Random::new(seed);
        let next = Instant::now() + random_part(&mut random, pause);
        Self { random, broken: Vec::new(), next, pause, longest }
    }

    /// True when it is time for the next fault.
    pub(crate) fn wants_to(&self) -> bool {
        Instant::now() >= self.next
    }

    /// Breaks a disk, unless too few would be left; `in_sync` are the nodes that take part now.
    pub(crate) fn break_one(&mut self, rig: &Rig, in_sync: &[usize]) -> Option<Happening> {
        self.next = Instant::now() + random_part(&mut self.random, self.pause);
        // The mount may not have noticed a broken disk yet.
        let is_broken = |node: &usize| self.broken.iter().any(|broken| broken.node == *node);
        let good: Vec<usize> = in_sync.iter().copied().filter(|node| !is_broken(node)).collect();
        let quorum = rig.members.len() / 2 + 1;
        if good.len() <= quorum {
            return None;
        }
        let node = self.random.pick(&good);
        let fault = self.random.pick(&FAULTS);
        let time = random_part(&mut self.random, self.longest);
        rig.disk(node).set(fault);
        self.broken.push(Broken { node, until: Instant::now() + time });
        Some(Happening::Broken { disk: node, fault, time })
    }

    /// Mends disks that were broken for long enough.
    pub(crate) fn mend_in_time(&mut self, rig: &Rig) {
        let now = Instant::now();
        self.broken.retain(|broken| {
            if broken.until <= now {
                rig.disk(broken.node).set(Fault::None);
            }
            broken.until > now
        });
    }

    /// Hanging disks fail from now on.
    pub(crate) fn end_hangs(&self, rig: &Rig) {
        for broken in &self.broken {
            let disk = rig.disk(broken.node);
            if disk.fault() == Fault::Hang {
                disk.set(Fault::Gone);
            }
        }
    }

    /// How many disks are broken now.
    pub(crate) fn broken(&self) -> usize {
        self.broken.len()
    }
}

fn random_part(random: &mut Random, most: Duration) -> Duration {
    Duration::from_millis(100 + random.below(most.as_millis().max(1) as u64))
}
