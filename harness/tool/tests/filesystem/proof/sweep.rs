//! A flipped bit anywhere in the used parts of an image.

use std::collections::BTreeMap;
use std::env;

use hammer2_core::media::MediaOffset;
use hammer2_core::media::volume_header::VOLUME_HEADER_BYTES;
use hammer2_core::selftest::image::Changes;

use super::damage::Damage;
use super::subject::Subject;

/// A bit is flipped in one of so many bytes, unless all are tried: about 50 seconds' work.
const STEP: usize = 64;

#[test]
fn a_flipped_bit_is_harmless_or_reported() {
    let step = if env::var_os("HAMMER2_FULL").is_some_and(|full| full == "1") { 1 } else { STEP };
    let subject = Subject::populated();
    let sound = subject.inventory().expect("the image is sound");
    let mut used = BTreeMap::from([(MediaOffset(0), (None, VOLUME_HEADER_BYTES))]);
    for (index, mapped) in subject.map.entries().iter().enumerate().filter(|(_, mapped)| mapped.block_bytes() > 0) {
        used.insert(mapped.entry.data_off().offset(), (Some(index), mapped.block_bytes()));
    }
    let used_bytes: usize = used.values().map(|(_, bytes)| bytes).sum();
    println!("{used_bytes} bytes in {} blocks, a bit in every {step}. byte", used.len());
    assert!(used_bytes > 1_000_000);
    let (mut flips, mut noticed) = (0u64, 0u64);
    for (start, (index, bytes)) in used {
        for at in (0..bytes).step_by(step) {
            let mut changes = Changes::new(&subject.written, &subject.map);
            let place = MediaOffset(start.0 + at as u64);
            let mut byte = [0];
            changes.read(place, &mut byte).expect("the disk is in memory");
            byte[0] ^= 1 << (flips % 8);
            changes.write(place, &byte).expect("the disk is in memory");
            let mut damage = Damage::new(false);
            damage.add(&subject.map, index);
            let found = subject.inventory();
            assert_eq!(damage.judge(&sound, &found), Ok(()), "bit {} of byte {place:?}: {damage:?}", flips % 8);
            flips += 1;
            noticed += u64::from(found.as_ref() != Ok(&sound));
        }
    }
    println!("{flips} bits flipped, {noticed} of them seen");
}
