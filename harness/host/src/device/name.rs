//! Names of devices, which errors carry.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use hammer2_core::io::DeviceName;

/// All names that devices of this process have had. There are only as many as an administrator has typed.
static NAMES: Mutex<BTreeMap<&'static str, &'static &'static str>> = Mutex::new(BTreeMap::new());

/// A name that stays until the process ends, so that an error may outlive its device. It is kept once, however often a device of
/// that name is opened.
pub fn lasting_name(name: &str) -> DeviceName {
    let mut names = NAMES.lock().unwrap_or_else(PoisonError::into_inner);
    let known = names.get(name).copied();
    DeviceName::new(known.unwrap_or_else(|| {
        let name: &'static str = Box::leak(name.into());
        *names.entry(name).or_insert(Box::leak(Box::new(name)))
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_kept_once_and_whole() {
        let long = "/ä".repeat(200);
        let (first, second) = (lasting_name(&long), lasting_name(&long.clone()));
        assert_eq!(first.as_str(), long);
        assert!(std::ptr::eq(first.as_str(), second.as_str()));
    }
}
