//! The soak: rounds of work on a mount whose disks fail, each ended by an unmount, a kill or a power cut, and followed by
//! administration of the cluster. At the end everything is compared.

use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use hammer2_core::random::Random;
use hammer2_torture::failure::{Failure, Result};
use hammer2_torture::server::Server;
use rustix::fs::{XattrFlags, setxattr};

use crate::breaker::Breaker;
use crate::client::{self, Client, Direction};
use crate::happening::Happening;
use crate::interrupt::Interrupt;
use crate::record::{Record, Sample};
use crate::rig::Rig;
use crate::upkeep::Upkeep;

pub(crate) const NODES: usize = 5;
pub(crate) const DISK_BYTES: u64 = 1 << 30;
const CLIENTS: usize = 4;

/// A client that takes longer for an act counts as hanging: this is more than several deadlines one after the other.
const STALL: Duration = Duration::from_secs(90);

/// The attribute by which a mount is asked for a snapshot.
const SNAPSHOT_ATTRIBUTE: &str = "system.hammer2.snapshot";

/// How a soak is run.
pub(crate) struct Plan {
    pub(crate) tool: PathBuf,
    pub(crate) folder: PathBuf,
    pub(crate) time: Duration,
    pub(crate) seed: u64,
}

/// How a round ends.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Unmount,
    Kill,
    PowerCut,
}

struct Soak<'i> {
    plan: Plan,
    rig: Rig,
    random: Random,
    clients: Vec<Mutex<Client>>,
    upkeep: Upkeep,
    interrupt: &'i Interrupt,
    last_told: Instant,
}

/// Runs it, and puts the observations into `record`.
pub(crate) fn run(plan: Plan, interrupt: &Interrupt, record: &mut Record) -> Result<()> {
    let mut random = Random::new(plan.seed);
    let rig = Rig::new(&plan.tool, &plan.folder, NODES, DISK_BYTES, random.next_u64())?;
    let clients = (0..CLIENTS).map(|number| Mutex::new(Client::new(number, random.next_u64()))).collect();
    let upkeep = Upkeep::new(random.next_u64());
    let mut soak = Soak { plan, rig, random, clients, upkeep, interrupt, last_told: Instant::now() };
    while record.elapsed() < soak.plan.time {
        soak.round(record)?;
    }
    soak.finish(record)
}

impl Soak<'_> {
    fn round(&mut self, record: &mut Record) -> Result<()> {
        let mut server = self.rig.mount()?;
        self.compare_clients(record)?;
        let end = self.random.pick(&[End::Unmount, End::Unmount, End::Kill, End::Kill, End::PowerCut]);
        self.work(&mut server, end, record)?;
        match end {
            End::Unmount => {
                if self.random.percent(50) {
                    self.rig.mend_all();
                }
                server.unmount()?;
                self.clients.iter().for_each(|client| client::lock(client).is_synced());
                record.count("unmounts", 1);
            }
            End::Kill | End::PowerCut => drop(server),
        }
        self.rig.mend_all();
        if end == End::PowerCut {
            (0..NODES).try_for_each(|node| self.rig.disk(node).lose_power())?;
        }
        self.interrupt.check()?;
        self.upkeep.next(&mut self.rig, record)
    }

    /// Lets the clients work while disks break.
    fn work(&mut self, server: &mut Server, end: End, record: &mut Record) -> Result<()> {
        let direction = Direction { pause_us: 3_000, ..Direction::default() };
        let root = self.rig.mount_point();
        let clients = std::mem::take(&mut self.clients);
        let outcome = thread::scope(|scope| {
            let begin = |client| {
                let (root, direction) = (&root, &direction);
                scope.spawn(move || client::work(client, root, direction))
            };
            let workers: Vec<_> = clients.iter().map(begin).collect();
            let is_any_done = || workers.iter().any(thread::ScopedJoinHandle::is_finished);
            let directed = self.direct(server, end, (&clients, &direction), &is_any_done, record);
            direction.stop.store(true, Ordering::SeqCst);
            if directed.is_err() {
                // From here on, nothing may wait for a disk that doesn't answer.
                direction.dying.store(true, Ordering::SeqCst);
                self.rig.mend_all();
                server.kill()?;
            }
            let worked = workers
                .into_iter()
                .map(|worker| worker.join().unwrap_or_else(|_| Err(Failure::unusable("a client panicked"))));
            // A client's own error says more than the fact that it stopped.
            worked.collect::<Result<Vec<()>>>().and(directed)
        });
        self.clients = clients;
        record.count("operations", direction.acts.into_inner());
        record.count("syncs", direction.syncs.into_inner());
        outcome.map_err(|failure| match failure {
            Failure::Violation(what) => {
                // The mount reports nodes that left within a second.
                thread::sleep(Duration::from_secs(2));
                let cluster = server.counters().map(|counters| counters.cluster).unwrap_or_default();
                Failure::Violation(format!("{what}\nthe server said:\n{}\n{cluster}", server.said()))
            }
            other => other,
        })
    }

    /// Breaks disks, takes samples and snapshots, until the round is over; ends it.
    fn direct(
        &mut self,
        server: &mut Server,
        end: End,
        (clients, direction): (&[Mutex<Client>], &Direction),
        is_any_done: &dyn Fn() -> bool,
        record: &mut Record,
    ) -> Result<()> {
        let total = self.plan.time.as_secs_f64();
        let round =
            Duration::from_secs_f64((total / 16.0).clamp(2.0, 40.0) * (0.5 + self.random.below(100) as f64 / 100.0));
        let interval = Duration::from_secs_f64((total / 200.0).clamp(1.0, 15.0));
        let mut breaker = Breaker::new(self.random.next_u64(), round / 5, Duration::from_secs(7).min(round / 3));
        let (start, mut sampled) = (Instant::now(), Instant::now());
        let snapshot_at = round.mul_f64(self.random.below(100) as f64 / 100.0);
        let mut has_snapshot = self.random.percent(40);
        let mut progress = (0, Instant::now());
        while start.elapsed() < round {
            self.interrupt.check()?;
            if is_any_done() {
                // The client reports the reason itself.
                return Ok(());
            }
            let acts = direction.acts.load(Ordering::Relaxed);
            if acts != progress.0 {
                progress = (acts, Instant::now());
            } else if progress.1.elapsed() > STALL {
                return Err(Failure::violation(format_args!("nothing was done for {STALL:?}")));
            }
            breaker.mend_in_time(&self.rig);
            if breaker.wants_to() {
                let in_sync = server.counters()?.in_sync;
                if let Some(what) = breaker.break_one(&self.rig, &in_sync) {
                    record.count("faults", 1);
                    record.event(what);
                }
            }
            if sampled.elapsed() >= interval {
                sampled = Instant::now();
                self.sample(server, &breaker, direction, record)?;
            }
            if !has_snapshot && start.elapsed() > snapshot_at {
                has_snapshot = true;
                self.take_snapshot(server, clients, record)?;
            }
            thread::sleep(Duration::from_millis(20));
        }
        self.sample(server, &breaker, direction, record)?;
        // A process that waits for a disk can't end.
        breaker.end_hangs(&self.rig);
        if end == End::Unmount {
            if let Some(counters) = record.samples.last().map(|sample| &sample.counters) {
                let (left, back) = (counters.get("nodes left"), counters.get("nodes back"));
                record.count("nodes that left", left);
                record.count("nodes brought back", back);
            }
            return Ok(());
        }
        direction.dying.store(true, Ordering::SeqCst);
        server.kill()?;
        record.count(if end == End::Kill { "kills" } else { "power cuts" }, 1);
        record.event(if end == End::Kill { Happening::Kill } else { Happening::PowerCut });
        Ok(())
    }

    fn sample(
        &mut self,
        server: &mut Server,
        breaker: &Breaker,
        direction: &Direction,
        record: &mut Record,
    ) -> Result<()> {
        let latencies = std::mem::take(&mut *direction.latencies.lock().unwrap_or_else(PoisonError::into_inner));
        let sample = Sample {
            seconds: record.seconds(),
            resident_bytes: server.resident_bytes(),
            counters: server.counters()?,
            broken: breaker.broken(),
            acts: record.totals.get("operations").copied().unwrap_or(0) + direction.acts.load(Ordering::Relaxed),
            syncs: record.totals.get("syncs").copied().unwrap_or(0) + direction.syncs.load(Ordering::Relaxed),
            latencies,
        };
        if self.last_told.elapsed() > Duration::from_secs(10) {
            self.last_told = Instant::now();
            eprintln!(
                "{:6.0} s of {:.0}: {} operations, {} syncs, {} of {NODES} nodes in sync, {} MiB resident",
                sample.seconds,
                self.plan.time.as_secs_f64(),
                sample.acts,
                sample.syncs,
                sample.counters.in_sync.len(),
                sample.resident_bytes >> 20
            );
        }
        record.sample(sample);
        Ok(())
    }

    /// Takes a snapshot between two acts of every client.
    fn take_snapshot(&mut self, server: &mut Server, clients: &[Mutex<Client>], record: &mut Record) -> Result<()> {
        let mut clients: Vec<_> = clients.iter().map(client::lock).collect();
        let label = self.upkeep.new_label();
        let before = server.counters()?.in_sync;
        let start = Instant::now();
        setxattr(self.rig.mount_point(), SNAPSHOT_ATTRIBUTE, label.as_bytes(), XattrFlags::empty())
            .map_err(|error| Failure::violation(format_args!("snapshot {label}: {error}")))?;
        record.event(format!("snapshot {label}, in {} ms", start.elapsed().as_millis()));
        record.count("snapshots", 1);
        let after = server.counters()?.in_sync;
        let holders = before.iter().filter(|node| after.contains(node)).map(|node| self.rig.members[*node]).collect();
        clients.iter_mut().for_each(|client| client.is_synced());
        let states = clients.iter().map(|client| (client.home().to_owned(), client.state())).collect();
        self.upkeep.note_snapshot(label, states, holders);
        Ok(())
    }

    /// Checks that each client's directory is as it must be.
    fn compare_clients(&mut self, record: &mut Record) -> Result<()> {
        let root = self.rig.mount_point();
        for client in &self.clients {
            let compared = client::lock(client).compare(&root)?;
            record.count("comparisons of a client's files", 1);
            record.count("steps before a crash that were there", compared.kept as u64);
            record.count("steps before a crash that had not been synced", compared.of as u64);
        }
        Ok(())
    }

    fn finish(&mut self, record: &mut Record) -> Result<()> {
        let server = self.rig.mount()?;
        self.compare_clients(record)?;
        server.unmount()?;
        self.upkeep.finish(&mut self.rig, record)?;
        let server = self.rig.mount()?;
        let root = self.rig.mount_point();
        self.clients.iter().try_for_each(|client| client::lock(client).compare_exactly(&root))?;
        server.unmount()?;
        self.rig.is_equal_everywhere()
    }
}
