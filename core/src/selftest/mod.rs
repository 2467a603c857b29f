//! The self-test suite.

pub mod image;
pub mod random;
pub mod survey;
