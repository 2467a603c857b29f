//! `hammer2 recover` on volumes that were damaged at random: the content before the damage is known, and so are the blocks that
//! each file needs. Every recovered file has the content of some version of it; a file whose blocks all survive comes out whole;
//! files that don't come out are listed; and the volumes aren't changed.
//!
//! `H2_SEED` chooses the first of the seeds, `HAMMER2_FULL` makes them 1,000.

mod damage;
mod golden;
mod known;
mod needs;
mod outcome;
mod populate;
mod volumes;

use std::env;

use hammer2_core::media::volume_header::VOLUME_HEADER_BYTES;
use hammer2_core::random::Random;

use damage::Damage;
use known::Known;
use volumes::Volumes;

/// Seeds in which a newest root wasn't used, because the first block below it was bad.
const BAD_FIRST_LEAVES: [u64; 2] = [15, 30];
/// Seeds in which files that only a snapshot had weren't recovered, since newer inodes of them were whole: its index was lost, or
/// its root with all headers.
const LOST_SNAPSHOTS: [u64; 2] = [22, 507];
/// Seeds in which the newest header and everything verified of its flush except a root were lost, without a message.
const LOST_FLUSHES: [u64; 3] = [240, 766, 817];
/// A seed in which a link wasn't reported as lost, since its target, which nothing vouched for, was one that no host accepts.
const BAD_TARGETS: [u64; 1] = [732];

fn first_seed() -> Option<u64> {
    env::var("H2_SEED").ok().and_then(|seed| seed.parse().ok())
}

fn seeds(few: u64, many: u64) -> std::ops::Range<u64> {
    let first = first_seed().unwrap_or(1);
    first..first + if env::var_os("HAMMER2_FULL").is_some() { many } else { few }
}

/// Damages a copy of the volumes, recovers from it, and compares the result with the known content.
fn damaged(pristine: &Volumes, known: &Known, random: &mut Random) {
    let volumes = pristine.copy();
    let damage = Damage::roll(known, pristine, random);
    println!("  {damage:?}");
    damage.strike(&volumes);
    let before = volumes.digest();
    let outcome = outcome::recover(&volumes);
    assert_eq!(before, volumes.digest(), "recover wrote to the source");
    outcome.invents_nothing(known);
    outcome.lacks_nothing(known, &damage);
    outcome.lists_losses(known);
}

#[test]
fn what_survives_comes_back_and_nothing_else() {
    let found = [&BAD_FIRST_LEAVES[..], &LOST_SNAPSHOTS, &LOST_FLUSHES, &BAD_TARGETS]
        .concat()
        .into_iter()
        .filter(|_| first_seed().is_none());
    for seed in seeds(6, 1000).chain(found) {
        println!("H2_SEED={seed}");
        let mut random = Random::new(seed);
        let (volumes, known) = populate::populated(&mut random);
        for _ in 0..2 {
            damaged(&volumes, &known, &mut random);
        }
    }
}

#[test]
fn a_volume_that_is_whole_comes_out_whole() {
    let (volumes, known) = populate::populated(&mut Random::new(77));
    let outcome = outcome::recover(&volumes);
    outcome.invents_nothing(&known);
    outcome.lacks_nothing(&known, &Damage::none());
    assert!(outcome.is_complete());
}

/// With little memory, a root is written many times before it is committed: without a header, the last one must be found.
#[test]
fn the_newest_root_is_found_without_a_header() {
    let (volumes, files) = populate::crowded();
    for place in needs::headers(&volumes) {
        volumes.write(place.0, &[0; VOLUME_HEADER_BYTES]);
    }
    let outcome = outcome::recover(&volumes);
    assert!(outcome.is_complete());
    outcome.has_just(&files);
}

#[test]
#[ignore = "needs the golden volumes, which H2_GOLDEN names"]
fn golden_volumes_come_back() {
    for golden in golden::all() {
        let (volumes, known) = golden.open();
        for seed in seeds(golden.few_seeds(), 50) {
            println!("{golden:?} H2_SEED={seed}");
            damaged(&volumes, &known, &mut Random::new(seed));
        }
    }
}
