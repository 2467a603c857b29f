//! The hammer2 tool.
fn main() {}
