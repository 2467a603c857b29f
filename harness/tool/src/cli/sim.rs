//! `hammer2 sim`: runs the simulator in its place, which is a program of its own and can do what this one must not be able to.

use std::env;
use std::ffi::OsString;
use std::io;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::Command;

use clap::Args;

use super::{Failure, Outcome};

/// The simulator.
const PROGRAM: &str = "hammer2-sim";

/// Simulate clusters on disks that fail: runs `hammer2-sim`, a program of its own
/// It is looked for beside this program, then in PATH, and gets all arguments: `hammer2 sim --help` prints its help. No package
/// contains it: `cargo build --release` in the sources makes it beside this program.
#[derive(Args)]
#[command(disable_help_flag = true)]
pub(super) struct Sim {
    /// The arguments of `hammer2-sim`
    #[arg(value_name = "ARGUMENT", trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<OsString>,
}

impl Sim {
    /// Becomes the simulator; returns only if there is none.
    pub(super) fn run(&self) -> Result<Outcome, Failure> {
        let beside = beside_this_program();
        let program = beside.clone().unwrap_or_else(|| PROGRAM.into());
        let error = Command::new(&program).args(&self.arguments).exec();
        Err(match error.kind() {
            io::ErrorKind::NotFound if beside.is_none() => Failure::unusable(format_args!(
                "{PROGRAM} is neither beside this program nor in PATH; in hammer2's sources, `cargo build --release` makes it \
                 as target/release/{PROGRAM}"
            )),
            _ => Failure::unusable(format_args!("{}: {error}", program.display())),
        })
    }
}

/// The simulator that was built or installed together with this program.
fn beside_this_program() -> Option<PathBuf> {
    let beside = env::current_exe().ok()?.with_file_name(PROGRAM);
    beside.is_file().then_some(beside)
}
