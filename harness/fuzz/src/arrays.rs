//! Arrays of blockrefs that may hold anything.

use hammer2_core::media::{BlockArray, Key};

/// Searches an array in both ways: a sound one must give the same answer to both.
pub fn check(array: BlockArray<'_>, key: Key) {
    let careful = array.first_reaching(0, key);
    if array.check().is_ok() {
        let quick = array.first_reaching_sound(key);
        assert_eq!(careful.map(|found| found.map(|(index, _)| index)), Ok(quick.map(|(index, _)| index)));
    }
    for entry in array.entries() {
        let _ = (entry.name(), entry.stats(), entry.methods.compression(), entry.verify(&[]));
        if let (false, Ok(span)) = (entry.is_empty(), array.check_entry(None, entry)) {
            assert!(array.span().contains(span) && span.first <= span.last);
        }
    }
}
