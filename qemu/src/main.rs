//! Test kernel.
fn main() {}
