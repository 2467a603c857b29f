//! Running programs to their end, or making them end with this one.

use std::error::Error;
use std::path::Path;
use std::process::Command;

/// A command whose process doesn't outlive this one.
pub fn dependent(program: &Path) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL"]).arg(program);
    command
}

/// Runs a program to its end; returns its output.
///
/// # Errors
/// It can't be run, or fails: the error has its arguments and its output.
pub fn run(program: &str, arguments: &[&str]) -> Result<String, Box<dyn Error>> {
    let output = Command::new(program).args(arguments).output().map_err(|error| format!("{program}: {error}"))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned());
    }
    let said = String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout);
    Err(format!("{program} {}: {}", arguments.join(" "), said.trim()).into())
}
