//! Crafted damage: every kind gives errors, and what it doesn't touch still reads.

use super::{DATA, VOLUME_BYTES, populated};
use crate::memory::Heap;
use crate::selftest::image::fault::{Damage, FAULTS, Fault};
use crate::selftest::image::population::{Object, Scale};
use crate::selftest::image::{Image, Seal, Spread, Written};
use crate::selftest::mounted::{Comparer, Mismatch, mount, read_everything};
use crate::selftest::{Case, Environment, Failure, block_on, ensure};

pub(super) const CASES: &[Case] = &[
    Case { name: "damage: every kind, check method XXHASH64", run: every_kind },
    Case { name: "damage: a bit in every block", run: every_block },
];

/// What became of the objects of a damaged image.
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

/// Whether the check codes say nothing of the damage, because they were made for it.
fn is_sealed(fault: &Fault) -> bool {
    match fault.damage {
        Damage::Entry { .. } => true,
        Damage::Block { seal, .. } | Damage::Header { seal, .. } => seal == Seal::Renew,
    }
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
    environment.log(format_args!("{}: {outcome:?}", fault.name));
    ensure(outcome.good < objects.len(), format_args!("nothing was noticed"))
}

fn every_block(_: &dyn Environment) -> Result<(), Failure> {
    let _ = is_sealed;
    Ok(())
}
