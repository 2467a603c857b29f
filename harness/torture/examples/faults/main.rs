//! Breaks the disks of a cluster that a kernel in QEMU works on: the host's half of `scripts/boot --faults`.
//!
//! Each scenario makes a cluster, boots the kernel on it, does something to a disk through QMP or from outside, and waits for the
//! expected lines of the console. QEMU's counters or the images show that the fault really happened. At the end the kernel has
//! compared everything, and so does the host: all nodes in step, each disk sound and with the same content by itself.

mod cluster;
mod disks;
mod machine;
mod qmp;
mod rig;
mod scenarios;
mod settings;

use std::process::ExitCode;
use std::time::Instant;

use clap::Parser;

use scenarios::{ALL, DEMONSTRATION, Scenario};
use settings::Settings;

fn main() -> ExitCode {
    let settings = Settings::parse();
    if settings.tell {
        return match (DEMONSTRATION.run)(&settings) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                println!("FAILED  {}: {error}", DEMONSTRATION.name);
                ExitCode::FAILURE
            }
        };
    }
    let mut chosen: Vec<&Scenario> = Vec::new();
    for name in &settings.names {
        let Some(scenario) = ALL.iter().find(|scenario| scenario.name == name) else {
            let names: Vec<&str> = ALL.iter().map(|scenario| scenario.name).collect();
            eprintln!("boot: no scenario `{name}`; there are {}", names.join(", "));
            return ExitCode::from(2);
        };
        chosen.push(scenario);
    }
    if chosen.is_empty() {
        chosen = ALL.iter().collect();
    }
    let (mut passed, mut failed) = (0, 0);
    for scenario in chosen {
        let start = Instant::now();
        let outcome = (scenario.run)(&settings);
        let seconds = start.elapsed().as_secs_f32();
        match outcome {
            Ok(()) => {
                passed += 1;
                println!("{} ok ({seconds:.1} s)", scenario.name);
            }
            Err(error) => {
                failed += 1;
                println!("{} FAILED {error}", scenario.name);
            }
        }
        // The folder isn't needed any more.
        let _ = std::fs::remove_dir_all(settings.folder.join(scenario.name));
    }
    println!("{passed} passed, {failed} failed");
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
