//! The `hammer2` tool.
#![forbid(unsafe_code)]

use std::process::ExitCode;

fn main() -> ExitCode {
    hammer2_tool::cli::main()
}
