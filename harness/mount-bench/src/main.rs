//! Benchmarks of mounts: `scripts/bench mount` and `scripts/bench linux` run them.
//! The same work is done on a mount of ours, on a FUSE filesystem that keeps names and sizes in maps and no content (FUSE's own
//! cost: the limit), and on Linux's own filesystems on loop devices; or on a mount of three masters, the limit, btrfs' raid1c3
//! and ZFS' mirror of three, the last by FUSE, too. Client and servers share one processor; images are in memory. The work is
//! done once more in a guest, on the module and on Linux's own filesystems ([`linux`]).
#![forbid(unsafe_code)]

mod candidates;
mod limit;
mod linux;
#[path = "../../tool/src/mount/protocol.rs"]
mod protocol;
mod report;
mod row;
mod timed;
mod workloads;

use std::fmt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use candidates::Copies;
use clap::{Parser, Subcommand};
use linux::guest::{self, Guest};
use linux::measured::Filesystem;
use report::Report;
use timed::{SCALE, Timed};

/// Measures mounts.
#[derive(Parser)]
#[command(name = "mount-bench")]
struct Arguments {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Serve the filesystem that does nothing, until it is unmounted
    Limit {
        /// Where
        directory: PathBuf,
    },
    /// Run everything
    Run {
        /// The hammer2 tool
        #[arg(long)]
        tool: PathBuf,
        /// Runs of each measurement; the median counts
        #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
        runs: u32,
        /// A folder in memory, for images
        #[arg(long, default_value = "/dev/shm")]
        folder: PathBuf,
        /// Measure filesystems that keep everything on three devices
        #[arg(long)]
        three: bool,
        /// Memory for our filesystem, in MiB
        #[arg(long, default_value_t = 64)]
        memory: u16,
        /// End with one JSON object: milliseconds by row and filesystem; the table goes to standard error
        #[arg(long)]
        json: bool,
    },
    /// In a guest that counts instructions: mount a filesystem by a command, and print the cost of each row
    Guest {
        /// What is mounted
        filesystem: Filesystem,
        /// Where
        directory: PathBuf,
        /// The command serves the filesystem until it is unmounted
        #[arg(long)]
        server: bool,
        /// How it is mounted
        #[arg(last = true, required = true)]
        command: Vec<String>,
    },
    /// Compare the output of guests, from standard input
    Compare {
        /// End with one JSON object; the table goes to standard error
        #[arg(long)]
        json: bool,
    },
}

fn main() -> ExitCode {
    let outcome = match Arguments::parse().what {
        What::Limit { directory } => limit::serve(&directory).map(|()| true),
        What::Run { tool, runs, folder, three, memory, json } => {
            let copies = if three { Copies::Three } else { Copies::One };
            run(&tool, runs, &folder, (copies, memory)).map(|report| {
                print(&report, json.then(|| report.json()));
                report.is_good()
            })
        }
        What::Guest { filesystem, directory, server, command } => {
            guest::run(&Guest { filesystem, directory, command, is_server: server }).map(|()| true)
        }
        What::Compare { json } => linux::report::Report::read(std::io::stdin().lock()).map(|report| {
            print(&report, json.then(|| report.json()));
            report.is_good()
        }),
    };
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("mount-bench: {error}");
            ExitCode::from(2)
        }
    }
}

/// Prints a report as a table, or that to standard error and an object last.
fn print(report: &impl fmt::Display, object: Option<serde_json::Value>) {
    match object {
        Some(object) => {
            eprint!("{report}");
            println!("{object}");
        }
        None => print!("{report}"),
    }
}

fn run(tool: &Path, runs: u32, folder: &Path, (copies, memory_mib): (Copies, u16)) -> std::io::Result<Report> {
    // Processes that are started from here on stay on it, too.
    let mut one = rustix::thread::CpuSet::new();
    one.set(0);
    rustix::thread::sched_setaffinity(None, &one)?;
    let folder = tempfile::tempdir_in(folder)?;
    let mut report = Report::new(copies);
    let candidates = candidates::all(tool, folder.path(), copies, memory_mib)?;
    for round in 0..runs {
        for candidate in &candidates {
            let mut mounted = candidate.mount_new()?;
            let note = &mut |row, cost| report.note(row, candidate.name(), cost);
            SCALE.all(&mut Timed { mounted: &mut mounted, note })?;
            let peak = mounted.unmount()?;
            report.note_peak(candidate.name(), peak);
        }
        eprintln!("round {} of {runs}", round + 1);
    }
    Ok(report)
}
