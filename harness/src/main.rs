//! Userspace harness.
fn main() {}
