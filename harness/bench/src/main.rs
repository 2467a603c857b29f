//! Benchmarks: `scripts/bench` runs them.
//! Everything happens in this process, on images in memory, and CPU time is measured: wall time depends too much on the machine's
//! other work. Each benchmark compares a filesystem with its limit or a peer in the same run, and has a goal for the ratio.
#![forbid(unsafe_code)]

mod cluster;
mod cpu_time;
mod device_bytes;
mod files;
mod hang;
mod image;
mod instructions;
mod lookup;
mod peer;
mod ram;
mod random_access;
mod report;
mod resync;
mod scale;
mod sequential;
mod stream;
mod throttled;
mod virtual_time;
mod volume;

use std::error::Error;
use std::process::ExitCode;

use clap::{Parser, Subcommand, ValueEnum};
use hammer2_host::check_functions;

use instructions::Counted;
use report::Report;

/// Measures HAMMER2 against its limits and its peers, in CPU time, on images in memory.
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
    /// Writing: streams, small files, random access, a million files, bytes written
    Write {
        /// Only these parts
        #[arg(value_enum)]
        parts: Vec<Part>,
    },
    /// Three masters: large files, small operations, slow and hanging disks, resynchronization
    Cluster {
        /// Only these parts
        #[arg(value_enum)]
        parts: Vec<ClusterPart>,
    },
    /// The instructions of operations, counted by valgrind
    Instructions {
        /// Only these
        #[arg(value_enum)]
        rows: Vec<Counted>,
        /// Do the work once with so many nodes, without counting
        #[arg(long, hide = true)]
        here: Option<usize>,
    },
}

/// A part of the measurements of clusters.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum ClusterPart {
    /// Three masters' large files, against one node and their limits
    Stream,
    /// Three masters' small operations, against one node
    Small,
    /// Three slow disks, against one, in virtual time
    Disks,
    /// A disk that hangs, in virtual time
    Hang,
    /// The requests and bytes of a resynchronization
    Resync,
}

/// A part of the measurements of writing.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Part {
    /// Large files, from one end to the other
    Stream,
    /// Many small files
    Files,
    /// 4 KiB at random places
    Random,
    /// A million files in one directory, and large volumes
    Scale,
    /// The bytes that a device is given to write
    Bytes,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    check_functions::use_processor();
    let report = match &arguments.what {
        What::Read => read(arguments.runs),
        What::Write { parts } => write(arguments.runs, parts),
        What::Cluster { parts } => cluster(arguments.runs, parts),
        What::Instructions { rows, here } => instructions(rows, *here),
    };
    match report {
        Ok(report) => {
            if arguments.json && matches!(arguments.what, What::Instructions { .. }) {
                println!("{}", report.amounts_json());
            } else if arguments.json {
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

/// The parts asked for, all of them when none was.
fn write(runs: u32, parts: &[Part]) -> Result<Report, Box<dyn Error>> {
    let wanted = |part| parts.is_empty() || parts.contains(&part);
    let mut report = Report::new(runs);
    if wanted(Part::Files) {
        files::create_and_unlink(runs)?.into_iter().for_each(|row| report.add(row));
    }
    if wanted(Part::Stream) {
        stream::against_peer(runs)?.into_iter().for_each(|row| report.add(row));
        stream::against_copies(runs)?.into_iter().for_each(|row| report.add(row));
        stream::against_codec(runs)?.into_iter().for_each(|row| report.add(row));
    }
    if wanted(Part::Random) {
        random_access::uncached(runs)?.into_iter().for_each(|row| report.add(row));
        random_access::cached(runs)?.into_iter().for_each(|row| report.add(row));
    }
    if wanted(Part::Scale) {
        scale::directories()?.into_iter().for_each(|row| report.add(row));
        scale::volumes(runs)?.into_iter().for_each(|row| report.add(row));
    }
    if wanted(Part::Bytes) {
        device_bytes::all()?.into_iter().for_each(|amount| report.add_amount(amount));
    }
    Ok(report)
}

/// The rows asked for, all of them when none was.
fn instructions(rows: &[Counted], here: Option<usize>) -> Result<Report, Box<dyn Error>> {
    let mut report = Report::new(1);
    if let Some(nodes) = here {
        rows.iter().try_for_each(|what| what.perform(nodes))?;
        return Ok(report);
    }
    instructions::count(rows)?.into_iter().for_each(|amount| report.add_amount(amount));
    Ok(report)
}

/// The parts asked for, all of them when none was.
fn cluster(runs: u32, parts: &[ClusterPart]) -> Result<Report, Box<dyn Error>> {
    let wanted = |part| parts.is_empty() || parts.contains(&part);
    let mut report = Report::new(runs);
    if wanted(ClusterPart::Stream) {
        cluster::streams(runs)?.into_iter().for_each(|row| report.add(row));
    }
    if wanted(ClusterPart::Small) {
        cluster::small(runs)?.into_iter().for_each(|row| report.add(row));
    }
    if wanted(ClusterPart::Disks) {
        cluster::slow_disks()?.into_iter().for_each(|row| report.add(row));
    }
    if wanted(ClusterPart::Hang) {
        let (row, amount) = hang::one_of_three()?;
        report.add(row);
        report.add_amount(amount);
    }
    if wanted(ClusterPart::Resync) {
        resync::after_changes()?.into_iter().for_each(|amount| report.add_amount(amount));
    }
    Ok(report)
}
