//! x
use crate::selftest::Case;
pub(super) const CASES: &[Case] = &[];
