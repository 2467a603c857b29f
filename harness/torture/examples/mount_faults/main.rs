//! Breaks the disks of a cluster that is mounted by FUSE: the runner behind `scripts/faults`.
//!
//! Each scenario makes a cluster of three masters and a slave on images, loop devices and NBD exports, mounts it, and runs a load
//! that writes, fsyncs and verifies files while a disk is broken. It checks from outside that the fault really happened, and in
//! the mount's log what followed. At the end all nodes are in step, and each is sound and has the same content by itself.

mod disks;
mod load;
mod rig;
mod scenarios;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use clap::Parser;

use scenarios::{ALL, Outcome, Scenario};

/// Break the disks of a mounted cluster and check the result
#[derive(Clone, Parser)]
struct Settings {
    /// The `hammer2` tool
    #[arg(long)]
    tool: PathBuf,
    /// Where images are made
    #[arg(long)]
    folder: PathBuf,
    /// Power cuts to make
    #[arg(long, default_value_t = 10)]
    cuts: usize,
    /// The scenarios to run; all if none is named
    names: Vec<String>,
}

fn main() -> ExitCode {
    let settings = Settings::parse();
    let mut chosen: Vec<&Scenario> = Vec::new();
    for name in &settings.names {
        let Some(scenario) = ALL.iter().find(|scenario| scenario.name == name) else {
            let names: Vec<&str> = ALL.iter().map(|scenario| scenario.name).collect();
            eprintln!("faults: no scenario `{name}`; there are {}", names.join(", "));
            return ExitCode::from(2);
        };
        chosen.push(scenario);
    }
    if chosen.is_empty() {
        chosen = ALL.iter().collect();
    }
    let (mut passed, mut failed, mut skipped) = (0, 0, 0);
    for scenario in chosen {
        let start = Instant::now();
        let outcome = (scenario.run)(&settings);
        let seconds = start.elapsed().as_secs_f32();
        match outcome {
            Ok(Outcome::Passed(seen)) => {
                passed += 1;
                println!("{} ok ({seconds:.1} s): {seen}", scenario.name);
            }
            Ok(Outcome::Skipped(why)) => {
                skipped += 1;
                println!("{} SKIPPED {why}", scenario.name);
            }
            Err(error) => {
                failed += 1;
                println!("{} FAILED {}", scenario.name, error.to_string().replace('\n', " | "));
            }
        }
        // The folder isn't needed any more.
        let _ = std::fs::remove_dir_all(settings.folder.join(scenario.name));
    }
    let skipped = if skipped > 0 { format!(", {skipped} skipped") } else { String::new() };
    println!("{passed} passed, {failed} failed{skipped}");
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
