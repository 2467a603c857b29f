//! Whatever happens, nothing acknowledged is lost: power cuts at every write, allocations and requests that fail, full volumes.
//!
//! `HAMMER2_FULL` tries more of everything, `H2_SEED` chooses what is torn and shuffled.

mod cuts;
mod failures;
mod full;
mod pfss;
mod volume;
mod workloads;

use std::env;
use std::rc::Rc;

use cuts::{Effort, Recording, Tally};
use hammer2_core::io::MemoryDisk;
use hammer2_core::io::wrap::Operations;
use hammer2_harness::model::{Model, Step};
use rustix::time::{ClockId, clock_gettime};
use volume::Host;

/// Volumes whose size gives them one, two and four header copies.
const VOLUMES: [(u64, &str); 3] = [(256 << 20, "one copy"), (3 << 30, "two copies"), (8 << 30, "four copies")];

fn is_full() -> bool {
    env::var_os("HAMMER2_FULL").is_some()
}

fn seed() -> u64 {
    env::var("H2_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(1)
}

fn effort() -> Effort {
    match is_full() {
        true => Effort { tears: 6, header_tears: 12, shuffles: 8, check_every: 1, depth: 0 },
        false => Effort { tears: 2, header_tears: 5, shuffles: 2, check_every: 8, depth: 0 },
    }
}

fn cpu_seconds() -> f64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

/// Runs what cuts, and says how fast it did.
fn timed(what: &str, run: impl FnOnce() -> Tally) {
    let start = cpu_seconds();
    let Tally { cuts, checks } = run();
    let seconds = cpu_seconds() - start;
    let rate = cuts as f64 / seconds;
    println!("{what}: {cuts} cuts, {checks} of them checked by fsck, {rate:.0} cuts per CPU second");
}

/// A volume with a small tree.
fn prepared(host: &Host) -> (Rc<MemoryDisk>, Model) {
    let base = host.formatted(VOLUMES[0].0);
    let mut model = Model::new();
    host.run(async {
        let fs = host.mount_writable(volume::HEAP, volume::device(&base)).await.unwrap();
        for step in workloads::prepared() {
            step.perform(&fs, &model).await.unwrap();
            assert!(step.apply(&mut model));
        }
    });
    (base, model)
}

#[test]
fn cuts_of_every_sequence_of_two_operations() {
    let host = Host::new();
    let vocabulary = workloads::vocabulary();
    let one = vocabulary.iter().map(|step| vec![step.clone()]);
    let pairs = vocabulary.iter().flat_map(|first| vocabulary.iter().map(|then| vec![first.clone(), then.clone()]));
    let sequences: Vec<Vec<Step>> = one.chain(pairs).collect();
    let (base, model) = prepared(&host);
    timed(&format!("{} sequences", sequences.len()), || {
        let mut total = Tally::default();
        for (index, sequence) in sequences.iter().enumerate() {
            let steps: Vec<Step> = sequence.iter().cloned().chain([Step::Sync]).collect();
            let recording = Recording::new(&host, format!("{sequence:?}"), base.clone(), model.clone(), &steps);
            total.add(recording.cut_everywhere(&host, effort(), seed() + index as u64));
        }
        total
    });
}

fn cut_workloads(volume_bytes: u64, copies: &str) {
    let host = Host::new();
    let base = host.formatted(volume_bytes);
    timed(&format!("workloads on a volume with {copies} of the header"), || {
        let mut total = Tally::default();
        for (index, (name, steps)) in workloads::all().into_iter().enumerate() {
            let recording = Recording::new(&host, name, base.clone(), Model::new(), &steps);
            total.add(recording.cut_everywhere(&host, effort(), seed() + index as u64));
        }
        total
    });
}

#[test]
fn cuts_of_every_workload_with_one_header_copy() {
    cut_workloads(VOLUMES[0].0, VOLUMES[0].1);
}

#[test]
fn cuts_of_every_workload_with_two_header_copies() {
    cut_workloads(VOLUMES[1].0, VOLUMES[1].1);
}

#[test]
fn cuts_of_every_workload_with_four_header_copies() {
    cut_workloads(VOLUMES[2].0, VOLUMES[2].1);
}

/// After a cut in a header write the volume is used again, and the power cut again.
#[test]
fn cuts_of_what_follows_a_cut() {
    let host = Host::new();
    let steps = [
        Step::Create("f".into()),
        Step::Sync,
        Step::Append("f".into(), 700),
        Step::Sync,
        Step::Unlink("f".into()),
        Step::Sync,
    ];
    for (bytes, copies) in VOLUMES {
        let base = host.formatted(bytes);
        timed(&format!("cuts after cuts, {copies} of the header"), || {
            let depth = if is_full() { 2 } else { 1 };
            let effort = Effort { depth, tears: 1, shuffles: 1, ..effort() };
            Recording::new(&host, "after a cut", base, Model::new(), &steps).cut_everywhere(&host, effort, seed())
        });
    }
}

#[test]
fn every_allocation_fails() {
    let host = Host::new();
    let (base, model) = prepared(&host);
    let count = failures::fail_allocations(&host, &base, &model, &workloads::mixed());
    println!("{count} allocations, each failed in turn");
}

fn every_request_fails(kind: Operations) {
    let host = Host::new();
    let (base, model) = prepared(&host);
    let count = failures::fail_requests(&host, &base, &model, &workloads::mixed(), kind);
    println!("{count} requests of {kind:?}, each failed in turn");
}

#[test]
fn every_write_fails() {
    every_request_fails(Operations::WRITE);
}

#[test]
fn every_flush_fails() {
    every_request_fails(Operations::FLUSH);
}

#[test]
fn every_read_fails() {
    every_request_fails(Operations::READ);
}

#[test]
fn a_full_volume_keeps_what_it_accepted_and_is_filled_again() {
    let host = Host::new();
    // Built for speed a hundred take seconds, without optimization minutes.
    let many = if cfg!(debug_assertions) && !is_full() { 3 } else { 100 };
    for (sizes, rounds) in [(&[1_000_000, 100_000, 10_000, 600][..], many), (&[3000], 2), (&[100], 2)] {
        let start = cpu_seconds();
        let held = full::fill_again_and_again(&host, sizes, rounds);
        let seconds = cpu_seconds() - start;
        println!("{} names and {} bytes, sizes {sizes:?}, {rounds} times: {seconds:.1} s", held.names, held.bytes);
    }
}
