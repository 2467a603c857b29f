//! Nothing acknowledged is ever lost: power cuts at every write, allocations and requests that fail, full volumes.
//! `HAMMER2_FULL` tries more of everything, `H2_SEED` chooses the tears and shuffles.

mod content;
mod cuts;
mod discards;
mod failures;
mod fragments;
mod full;
mod orphans;
mod pfss;
mod volume;
mod workloads;

use std::env;
use std::rc::Rc;

use cuts::{Effort, Recording, Tally};
use hammer2_core::io::MemoryDisk;
use hammer2_core::io::wrap::Operations;
use hammer2_model::{Model, Step};
use rustix::time::{ClockId, clock_gettime};
use volume::Host;

use crate::perform::perform;

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
        true => Effort { tears: 6, header_tears: 12, header_sector: None, shuffles: 8, check_every: 1, depth: 0 },
        false => Effort { tears: 2, header_tears: 5, header_sector: None, shuffles: 2, check_every: 8, depth: 0 },
    }
}

fn cpu_seconds() -> f64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

/// Runs cuts, and prints how fast they were.
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
            perform(&step, &fs, &model).await.unwrap();
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

#[test]
fn a_whole_volume_is_not_written_by_mounting() {
    let host = Host::new();
    for (bytes, copies) in VOLUMES {
        let once = Recording::new(&host, "mounted", host.formatted(bytes), Model::new(), &[]);
        assert_eq!(once.write_count(), 0, "{copies}");
    }
    let (used, model) = prepared(&host);
    assert_eq!(Recording::new(&host, "mounted", used, model, &[]).write_count(), 0);
}

/// Sizes before and after: inside the last leaf of the freemap, into others, into places of further header copies.
const GROWTHS: [(u64, u64); 4] = [(256 << 20, 512 << 20), (256 << 20, 5 << 29), (3 << 30, 5 << 30), (5 << 29, 9 << 30)];

fn growing(host: &Host, (from, to): (u64, u64)) -> Rc<MemoryDisk> {
    let disk = host.formatted(from);
    disk.grow(to);
    disk
}

#[test]
fn cuts_of_growing() {
    let host = Host::new();
    let steps = workloads::growing();
    for (from, to) in GROWTHS {
        timed(&format!("{} MiB become {} MiB", from >> 20, to >> 20), || {
            let base = growing(&host, (from, to));
            let depth = u32::from(is_full());
            let effort = Effort { depth, check_every: 1, ..effort() };
            let mut total = Tally::default();
            // Growing is also tried alone, as no later header then fills the places of new copies.
            for steps in [&steps[..], &[Step::Grow]] {
                let recording = Recording::new(&host, "growing", base.clone(), Model::new(), steps);
                total.add(recording.cut_everywhere(&host, effort, seed()));
            }
            total
        });
    }
}

#[test]
fn requests_and_allocations_fail_while_growing() {
    let host = Host::new();
    let steps = workloads::growing();
    let base = growing(&host, GROWTHS[1]);
    let mut count = failures::fail_allocations(&host, &base, &Model::new(), &steps, 1);
    for kind in [Operations::WRITE, Operations::FLUSH, Operations::READ] {
        count += failures::fail_requests(&host, &base, &Model::new(), &steps, kind);
    }
    println!("{count} requests and allocations, each failed in turn");
}

/// After a cut in a header write, the volume is used again, and the power is cut again.
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

/// A header lands except for one sector, the volume is used again, and only that sector of the next header lands: if it is the
/// same in both, the first header becomes whole. Its blocks must still be there.
#[test]
fn a_torn_header_that_the_next_would_make_whole() {
    let host = Host::new();
    let steps = [Step::Create("f".into()), Step::Append("f".into(), 700), Step::Sync];
    for (bytes, copies) in VOLUMES {
        let base = host.formatted(bytes);
        timed(&format!("headers torn at every sector that isn't blank, {copies}"), || {
            let mut total = Tally::default();
            for sector in [0, 1, 4, 7, 127] {
                let once = Effort { tears: 0, header_tears: 0, shuffles: 0, depth: 1, ..effort() };
                let effort = Effort { header_sector: Some(sector), ..once };
                let recording = Recording::new(&host, format!("sector {sector}"), base.clone(), Model::new(), &steps);
                total.add(recording.cut_everywhere(&host, effort, seed()));
            }
            total
        });
    }
}

#[test]
fn what_is_discarded_no_header_in_reach_leads_to() {
    let host = Host::new();
    for (bytes, copies) in VOLUMES {
        let (discards, bytes) = discards::check(&host, bytes);
        assert!(discards > 2 && bytes > 1 << 19, "{discards} discards of {bytes} bytes");
        println!("{discards} discards of {bytes} bytes, {copies} of the header");
    }
}

#[test]
fn files_removed_while_open_are_gone_after_a_crash() {
    let host = Host::new();
    for (count, closed) in [(1, &[][..]), (5, &[]), (5, &[4]), (5, &[0]), (5, &[2, 1]), (3, &[1, 2, 0])] {
        orphans::reclaim(&host, VOLUMES[0].0, count, closed);
    }
    orphans::reclaim_in_snapshot(&host, VOLUMES[0].0);
}

#[test]
fn every_allocation_fails() {
    let host = Host::new();
    let (base, model) = prepared(&host);
    for in_a_row in [1, 2, 3, 6] {
        let count = failures::fail_allocations(&host, &base, &model, &workloads::mixed(), in_a_row);
        println!("{count} allocations, each failed in turn, {in_a_row} in a row");
    }
}

#[test]
fn content_that_could_not_be_written_is_written_later() {
    let host = Host::new();
    for steps in [content::in_an_inode(), content::in_pages()] {
        let failures = content::insist_on(&host, &steps);
        assert!(failures > 3, "{failures}");
        println!("{failures} steps failed for want of memory");
    }
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
fn a_sync_finds_room_on_a_fragmented_volume() {
    let (free, tally) = fragments::change_within_blocks(&Host::new(), seed());
    println!("{free} bytes free in small pieces: {tally:?}");
    assert!(free > 20 << 20 && tally.refused > 3 && tally.done > 50, "{free} bytes free, {tally:?}");
}

#[test]
fn a_full_volume_keeps_what_it_accepted_and_is_filled_again() {
    let host = Host::new();
    for (sizes, rounds) in [(&[1_000_000, 100_000, 10_000, 600][..], 100), (&[3000], 4), (&[100], 3)] {
        let start = cpu_seconds();
        let held = full::fill_again_and_again(&host, sizes, rounds);
        let seconds = cpu_seconds() - start;
        println!("{} names and {} bytes, sizes {sizes:?}, {rounds} times: {seconds:.1} s", held.names, held.bytes);
    }
}
