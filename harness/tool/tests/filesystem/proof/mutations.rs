//! Random mutations of whole images.

use std::env;
use std::time::{Duration, Instant};

use hammer2_core::media::MediaOffset;
use hammer2_core::media::volume_header::VOLUME_HEADER_BYTES;
use hammer2_core::random::Random;
use hammer2_core::selftest::image::{Changes, ImageError};

use super::damage::Damage;
use super::subject::Subject;

/// About 50 seconds' work; half of them with the check codes renewed.
const MUTATIONS: u64 = 20_000;
/// How long mounting and reading everything may take. It takes a few milliseconds; the rest is for a busy machine.
const MOST_TIME: Duration = Duration::from_secs(10);
/// Device reads of one mount and walk: a sound image needs a tenth.
const MOST_READS: u64 = 10_000;

#[test]
fn mutations_give_errors_or_the_truth() {
    let seed = env::var("HAMMER2_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or(1);
    println!("seed {seed}: {MUTATIONS} mutations");
    let subject = Subject::populated();
    let sound = subject.inventory().expect("the image is sound");
    let mut unmountable = 0;
    for number in 0..MUTATIONS {
        let mut random = Random::new(seed << 32 ^ number);
        let mut changes = Changes::new(&subject.written, &subject.map);
        let damage = mutate(&subject, &mut changes, &mut random).expect("the disk is in memory");
        let start = Instant::now();
        subject.counters.take();
        let found = subject.inventory();
        unmountable += u64::from(found.is_err());
        let (reads, took) = (subject.counters.take().reads, start.elapsed());
        let verdict = damage.judge(&sound, &found);
        assert_eq!(verdict, Ok(()), "mutation {number} of seed {seed}: {damage:?}");
        assert!(reads < MOST_READS && took < MOST_TIME, "mutation {number} of seed {seed}: {reads} reads, {took:?}");
    }
    println!("{unmountable} of them can't be mounted");
    assert_eq!(subject.inventory().as_ref(), Ok(&sound), "all mutations were taken back");
    assert!((1..MUTATIONS / 4).contains(&unmountable), "mutations hit everything, and mostly not the roots");
}

/// Changes one to three places of the image.
fn mutate(subject: &Subject, changes: &mut Changes<'_>, random: &mut Random) -> Result<Damage, ImageError> {
    let mut damage = Damage::new(random.below(2) == 0);
    let entries = subject.map.entries();
    for _ in 0..=random.below(3) {
        let index = random.below(entries.len() as u64 + 8) as usize;
        let (index, start, bytes) = match entries.get(index) {
            Some(mapped) if mapped.block_bytes() == 0 => continue,
            Some(mapped) => (Some(index), mapped.entry.data_off().offset(), mapped.block_bytes()),
            None => (None, MediaOffset(0), VOLUME_HEADER_BYTES),
        };
        scribble(changes, start, bytes, random)?;
        if damage.disguised {
            changes.renew_checks(index)?;
        }
        damage.add(&subject.map, index);
    }
    Ok(damage)
}

/// Changes some bytes of a block: a bit, a byte, a field, or all from somewhere on.
fn scribble(
    changes: &mut Changes<'_>,
    start: MediaOffset,
    bytes: usize,
    random: &mut Random,
) -> Result<(), ImageError> {
    // Structures have their fields at their beginning, and blockrefs every 128 bytes.
    let within = if random.below(2) == 0 { bytes.min(1024) } else { bytes };
    let at = random.below(within as u64) as usize;
    let longest = [1, 1, 8, bytes][random.below(4) as usize];
    let mut piece = vec![0; longest.min(bytes - at)];
    let place = MediaOffset(start.0 + at as u64);
    changes.read(place, &mut piece)?;
    match random.below(4) {
        0 => piece[0] ^= 1 << random.below(8),
        1 => random.fill(&mut piece),
        2 => piece.fill(0),
        _ => piece.fill(0xff),
    }
    changes.write(place, &piece)
}
