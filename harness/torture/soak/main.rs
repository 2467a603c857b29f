//! Long work on a mounted cluster whose disks fail: `scripts/soak` runs it.
//!
//! ```text
//!  clients (client.rs) -> mount of the cluster -> the hammer2 tool (server.rs) -> disks, served by FUSE, that break (disks/)
//!     each with a model of what must be there                                       broken and mended by breaker.rs
//! ```
//!
//! Rounds (soak.rs) end with an unmount, a kill or a power cut; between them disks are replaced, snapshots compared, space given
//! back, everything scrubbed (upkeep.rs). Observations become JSON (record.rs, with events from happening.rs), and the JSON
//! becomes a picture (plot.rs, with panels from chart.rs). `server.rs` belongs to the rig, which other programs use, too.
#![forbid(unsafe_code)]

mod beside;
mod breaker;
mod chart;
mod client;
mod dice;
mod disks;
mod hang;
mod happening;
mod interrupt;
mod latency;
mod perform;
mod plot;
mod record;
mod rig;
mod soak;
mod tree;
mod upkeep;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand};
use hammer2_torture::failure::{Failure, Result};

use interrupt::Interrupt;
use record::Record;
use rig::Rig;

const BESIDE_DISK_BYTES: u64 = 2 << 30;

/// Works on mounted clusters while their disks fail.
#[derive(Parser)]
#[command(name = "hammer2-soak")]
struct Arguments {
    /// The hammer2 tool; not needed to draw
    #[arg(long)]
    tool: Option<PathBuf>,
    /// An empty folder, best in memory; not needed to draw
    #[arg(long)]
    folder: Option<PathBuf>,
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Work until the time is over, then compare everything
    Run {
        /// Seconds
        #[arg(long)]
        seconds: u64,
        /// The same seed gives the same disks, faults and steps, as far as time allows
        #[arg(long)]
        seed: Option<u64>,
        /// Where to write soak.json and soak.svg
        #[arg(long)]
        output: PathBuf,
    },
    /// Draw the record of a run once more
    Draw {
        /// The soak.json of a run
        json: PathBuf,
        /// The picture
        svg: PathBuf,
    },
    /// Run a program on a mount of three masters, at $MOUNT, while their disks fail and return
    Beside {
        /// The seed of the faults
        #[arg(long, default_value_t = 1)]
        seed: u64,
        /// The program and its arguments
        #[arg(last = true, required = true)]
        command: Vec<String>,
    },
    /// Measure the effect of a hanging disk, one of three, on latencies
    Hang {
        /// Seconds before it hangs, and after it was left out
        #[arg(long, default_value_t = 20)]
        seconds: u64,
        /// The seed of the operations
        #[arg(long, default_value_t = 1)]
        seed: u64,
    },
}

fn main() -> ExitCode {
    match run(Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure::Violation(what)) => {
            eprintln!("FAILED  {what}");
            ExitCode::FAILURE
        }
        Err(other) => {
            eprintln!("hammer2-soak: {other}");
            ExitCode::from(2)
        }
    }
}

fn run(arguments: Arguments) -> Result<()> {
    let interrupt = Interrupt::watch()?;
    let Arguments { tool, folder, what } = arguments;
    let needed = |name| move || Failure::unusable(format_args!("{name} is needed for that"));
    let place = || Ok::<_, Failure>((tool.ok_or_else(needed("--tool"))?, folder.ok_or_else(needed("--folder"))?));
    match what {
        What::Draw { json, svg } => draw(&json, &svg),
        What::Run { seconds, seed, output } => {
            let seed = seed.unwrap_or_else(random_seed);
            eprintln!("seed {seed}");
            let (tool, folder) = place()?;
            let plan = soak::Plan { tool, folder, time: Duration::from_secs(seconds), seed };
            let mut record = Record::new();
            let outcome = soak::run(plan, &interrupt, &mut record);
            keep(&record, seed, &outcome, &output)?;
            outcome.map_err(|failure| match failure {
                Failure::Violation(what) => Failure::Violation(format!("seed {seed}: {what}")),
                other => other,
            })
        }
        What::Beside { seed, command } => {
            let (tool, folder) = place()?;
            let rig = Rig::new(&tool, &folder, 3, BESIDE_DISK_BYTES, seed)?;
            let seen = beside::run(&rig, &command, seed, &interrupt)?;
            let beside::Seen { faults, nodes_left, nodes_back } = seen;
            println!("faults: {faults}, nodes left {nodes_left}, back {nodes_back}; all disks hold the same");
            // If no node had left, this would test nothing.
            if nodes_left > 0 { Ok(()) } else { Err(Failure::unusable("no node has left: the program was too quick")) }
        }
        What::Hang { seconds, seed } => {
            let (tool, folder) = place()?;
            let rig = Rig::new(&tool, &folder, 3, soak::DISK_BYTES, seed)?;
            let phases = hang::run(&rig, Duration::from_secs(seconds), seed, &interrupt)?;
            show("healthy", &phases.healthy);
            println!("left out after {:.1} s", phases.left_out_after.as_secs_f64());
            show("until then", &phases.until_left_out);
            show("without it", &phases.without_it);
            Ok(())
        }
    }
}

fn show(title: &str, latencies: &latency::Latencies) {
    println!("{title}");
    for class in latency::CLASSES {
        println!("{class:>9}: {}", latencies.of(class));
    }
}

/// Draws the picture of a record.
fn draw(json: &Path, svg: &Path) -> Result<()> {
    let unusable = |error: &dyn std::fmt::Display| Failure::unusable(format_args!("{}: {error}", json.display()));
    let record = std::fs::read(json).map_err(|error| unusable(&error))?;
    let record = serde_json::from_slice(&record).map_err(|error| unusable(&error))?;
    plot::draw(&record, svg)
}

/// Writes the record, however the run ended.
fn keep(record: &Record, seed: u64, outcome: &Result<()>, output: &Path) -> Result<()> {
    let outcome = outcome.as_ref().err().map_or("ok".to_owned(), ToString::to_string);
    let json = record.json(seed, &outcome);
    std::fs::create_dir_all(output)?;
    std::fs::write(output.join("soak.json"), format!("{json}\n"))?;
    plot::draw(&json, &output.join("soak.svg"))?;
    for (what, count) in &record.totals {
        println!("{count:9} {what}");
    }
    println!("{:9} MiB resident at most", json["most_resident_bytes"].as_u64().unwrap_or(0) >> 20);
    show("latencies", &record.latencies);
    Ok(())
}

/// A random seed, which is printed so that it can be given again.
fn random_seed() -> u64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    u64::from(now.subsec_nanos()) << 16 ^ now.as_secs()
}
