//! Benchmarks of mounts: `scripts/bench mount` runs them.
//!
//! The same programs' work is done on a mount of ours, on a FUSE filesystem that keeps names and sizes in maps and no content
//! (what FUSE itself costs: the limit), and on Linux's own filesystems on loop devices; or on a mount of three masters, the
//! limit, btrfs' raid1c3 and ZFS' mirror of three, the last by FUSE, too. Client and servers share one processor; images are in
//! memory.
#![forbid(unsafe_code)]

mod candidates;
mod limit;
#[path = "../../src/mount/protocol.rs"]
mod protocol;
mod report;
mod row;
mod workloads;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use candidates::Copies;
use clap::{Parser, Subcommand};
use report::Report;

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
}

fn main() -> ExitCode {
    let outcome = match Arguments::parse().what {
        What::Limit { directory } => limit::serve(&directory).map(|()| true),
        What::Run { tool, runs, folder, three, memory, json } => {
            let copies = if three { Copies::Three } else { Copies::One };
            run(&tool, runs, &folder, (copies, memory)).map(|report| {
                if json {
                    eprint!("{report}");
                    println!("{}", report.json());
                } else {
                    print!("{report}");
                }
                report.is_good()
            })
        }
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

fn run(tool: &Path, runs: u32, folder: &Path, (copies, memory_mib): (Copies, u16)) -> std::io::Result<Report> {
    // What is started from here on stays on it, too.
    let mut one = rustix::thread::CpuSet::new();
    one.set(0);
    rustix::thread::sched_setaffinity(None, &one)?;
    let folder = tempfile::tempdir_in(folder)?;
    let mut report = Report::new(copies);
    let candidates = candidates::all(tool, folder.path(), copies, memory_mib)?;
    for round in 0..runs {
        for candidate in &candidates {
            let mut mounted = candidate.mount_new()?;
            workloads::all(&mut mounted, &mut |row, cost| report.note(row, candidate.name(), cost))?;
            let peak = mounted.unmount()?;
            report.note_peak(candidate.name(), peak);
        }
        eprintln!("round {} of {runs}", round + 1);
    }
    Ok(report)
}
