//! Crafted damage: every kind gives errors, and everything it doesn't touch can still be read.

use super::{DATA, VOLUME_BYTES, populated};
use crate::media::blockref::BlockFlags;
use crate::media::{Blockref, DataOff};
use crate::memory::Heap;
use crate::selftest::image::fault::{FAULTS, Fault, Hits};
use crate::selftest::image::population::{Object, Scale};
use crate::selftest::image::{Image, Seal, Spread, Written};
use crate::selftest::mounted::{Comparer, Mismatch, mount, read_everything};
use crate::selftest::{Case, Environment, Failure, block_on, ensure};

pub(super) const CASES: &[Case] = &[
    Case { name: "damage: every kind is noticed, and what it doesn't touch reads", run: every_kind },
    Case { name: "damage: a flipped bit in any block gives no wrong byte", run: every_block },
];

/// What happened to the objects of a damaged image.
#[derive(Debug, Default)]
struct Outcome {
    mounted: bool,
    good: usize,
    errors: usize,
    wrong: usize,
    last_wrong: Option<Failure>,
}

async fn outcome(
    environment: &dyn Environment,
    heap: Heap,
    written: &Written,
    objects: &[Object],
) -> Result<Outcome, Failure> {
    let mut outcome = Outcome::default();
    let Ok(fs) = mount(heap, written.open(heap, environment.clock())?, DATA).await else { return Ok(outcome) };
    outcome.mounted = true;
    let mut comparer = Comparer::new(environment)?;
    for object in objects {
        match comparer.compare(&fs, object).await {
            Ok(()) => outcome.good += 1,
            Err(Mismatch::Error(_)) => outcome.errors += 1,
            Err(Mismatch::Wrong(failure)) => {
                outcome.wrong += 1;
                outcome.last_wrong = Some(failure.of(format_args!("{}", object.name.escape_ascii())));
            }
        }
    }
    read_everything(heap, &fs).await?;
    Ok(outcome)
}

fn every_kind(environment: &dyn Environment) -> Result<(), Failure> {
    block_on(environment, async {
        let (image, objects) = populated(environment, &[VOLUME_BYTES], Spread::Packed, Scale::SMALL).await?;
        for fault in FAULTS {
            inflict(environment, &image, &objects, fault)
                .await
                .map_err(|failure| failure.of(format_args!("{}", fault.name)))?;
        }
        environment.log(format_args!("{} kinds", FAULTS.len()));
        Ok(())
    })
}

async fn inflict(
    environment: &dyn Environment,
    image: &Image,
    objects: &[Object],
    fault: &Fault,
) -> Result<(), Failure> {
    let mut written = Written::new(image)?;
    fault.inflict(&mut written)?;
    let outcome = outcome(environment, environment.heap(), &written, objects).await?;
    let lost = (outcome.errors, outcome.wrong);
    let as_expected = match fault.hits {
        Hits::Mount => !outcome.mounted,
        Hits::Nothing => outcome.mounted && lost == (0, 0),
        Hits::One => outcome.mounted && lost == (1, 0),
        Hits::Silent => outcome.mounted && lost == (0, 1),
        Hits::Many => outcome.mounted && outcome.errors > 1 && outcome.wrong == 0 && outcome.good > 0,
    };
    ensure(as_expected, format_args!("{outcome:?} instead of {:?}", fault.hits))
}

/// Flips a bit in one block after the other: no wrong byte may ever be returned. With fewer rounds than blocks, only some blocks
/// are hit.
fn every_block(environment: &dyn Environment) -> Result<(), Failure> {
    block_on(environment, async {
        let (image, objects) = populated(environment, &[VOLUME_BYTES], Spread::Packed, Scale::TINY).await?;
        let whole = Written::new(&image)?;
        let mut blocks: u64 = 0;
        let _ = whole.find(&mut |place| {
            blocks += u64::from(is_protected(place.entry));
            false
        });
        let step = blocks.div_ceil(environment.rounds().max(1)).max(1);
        for number in (0..blocks).step_by(step as usize) {
            let mut written = Written::new(&image)?;
            let mut left = number;
            let trail = written.find(&mut |place| {
                let hit = is_protected(place.entry) && left == 0;
                left = left.saturating_sub(u64::from(is_protected(place.entry)));
                hit
            })?;
            let entry = trail.entry()?;
            written.change_block(&trail, Seal::Keep, |bytes| {
                let at = (environment.seed() + 37 * number) as usize % bytes.len();
                bytes[at] ^= 1 << (number % 8);
            })?;
            let outcome = outcome(environment, environment.heap(), &written, &objects).await?;
            let noticed = !outcome.mounted || (outcome.errors > 0 && outcome.wrong == 0);
            // No object depends on the roots of the other PFSs.
            let elsewhere = entry.flags().contains(BlockFlags::PFSROOT);
            ensure(noticed || elsewhere, format_args!("{}: {outcome:?}", entry.name()))?;
        }
        environment.log(format_args!("each {step}. of {blocks} blocks"));
        ensure(blocks > 50, format_args!("only {blocks} blocks"))
    })
}

/// A block that has a check code.
fn is_protected(entry: &Blockref) -> bool {
    entry.data_off() != DataOff::NONE && entry.methods.check().is_ok_and(|check| check.code_bytes() > 0)
}
