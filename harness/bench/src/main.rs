//! Benchmarks: `scripts/bench` runs them.
//!
//! Everything happens in this process, on images in memory, and what is measured is CPU time, not time on the wall: that
//! depends too much on what else a machine does. Each benchmark sets a filesystem beside what bounds it or a peer, both in the
//! same run, and has a goal for the ratio.
#![forbid(unsafe_code)]

mod cpu_time;
mod image;
mod lookup;
mod peer;
mod report;
mod sequential;

use std::error::Error;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use report::Report;

/// Measures HAMMER2 against what bounds it and against its peers, in CPU time, on images in memory.
#[derive(Parser)]
#[command(name = "bench", after_help = "Exit code: 0 when all goals were reached, 1 when one wasn't, 2 on errors.")]
struct Arguments {
    #[command(subcommand)]
    what: What,
    /// Print JSON
    #[arg(long, global = true)]
    json: bool,
    /// Runs of each measurement; the median counts
    #[arg(long, global = true, default_value_t = 7, value_parser = clap::value_parser!(u32).range(1..))]
    runs: u32,
}

#[derive(Subcommand)]
enum What {
    /// Sequential reads and lookups
    Read,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let report = match arguments.what {
        What::Read => read(arguments.runs),
    };
    match report {
        Ok(report) => {
            if arguments.json {
                println!("{:#}", report.json());
            } else {
                print!("{report}");
            }
            if report.is_good() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(error) => {
            eprintln!("bench: {error}");
            ExitCode::from(2)
        }
    }
}

fn read(runs: u32) -> Result<Report, Box<dyn Error>> {
    let mut report = Report::new(runs);
    report.add(sequential::uncompressed(runs)?);
    report.add(sequential::lz4(runs)?);
    lookup::lookups(runs)?.into_iter().for_each(|row| report.add(row));
    Ok(report)
}
