//! Random damage over whole images.

use super::{DATA, VOLUME_BYTES, populated};
use crate::media::DataOff;
use crate::memory::{self, Vec};
use crate::random::Random;
use crate::selftest::image::population::Scale;
use crate::selftest::image::{Seal, Spread, Written};
use crate::selftest::mounted::{mount, read_everything};
use crate::selftest::{Case, Environment, Failure, block_on};

pub(super) const CASES: &[Case] =
    &[Case { name: "mutations: random damage with good check codes does no harm", run: sealed_mutations }];

/// How many times an image is damaged before a fresh copy is taken.
const PER_COPY: u64 = 5;

/// Changes some bytes of a random block and renews the check codes above, again and again: only the structure shows the damage,
/// and nothing may panic, hang or grow.
fn sealed_mutations(environment: &dyn Environment) -> Result<(), Failure> {
    let (heap, clock) = (environment.heap(), environment.clock());
    let mut random = Random::new(environment.seed());
    block_on(environment, async {
        let (image, _) = populated(environment, &[VOLUME_BYTES], Spread::Packed, Scale::TINY).await?;
        let mut written = Written::new(&image)?;
        let mut places: Vec<DataOff> = Vec::new_in(heap);
        let mut full = false;
        let _ = written.find(&mut |place| {
            full |= memory::push(&mut places, place.entry.data_off()).is_err();
            false
        });
        places.retain(|place| *place != DataOff::NONE);
        let (mut unmountable, mut errors, mut names) = (0u64, 0u64, 0u64);
        for round in 0..environment.rounds() {
            if round % PER_COPY == 0 {
                written = Written::new(&image)?;
            }
            let chosen = places[random.below(places.len() as u64) as usize];
            // Earlier damage may have cut off the way to this block.
            let Ok(trail) = written.find(&mut |place| place.entry.data_off() == chosen) else { continue };
            let changes = 1 + random.below(4);
            written.change_block(&trail, Seal::Renew, |bytes| {
                for _ in 0..changes {
                    let at = random.below(bytes.len() as u64) as usize;
                    bytes[at] =
                        if random.below(2) == 0 { random.next_u64() as u8 } else { bytes[at] ^ 1 << random.below(8) };
                }
            })?;
            match mount(heap, written.open(heap, clock)?, DATA).await {
                Ok(fs) => {
                    let census = read_everything(heap, &fs).await?;
                    errors += census.errors;
                    names += census.names;
                }
                Err(_) => unmountable += 1,
            }
        }
        let (seed, rounds) = (environment.seed(), environment.rounds());
        environment.log(format_args!(
            "seed {seed}: {rounds} mutations, {unmountable} not mountable, {names} names and {errors} errors in the rest"
        ));
        Ok(())
    })
}
