//! Makes the machine that has a mount fail, and another take it over: the runner behind `scripts/takeover`.
//! Two machines may mount a cluster of three disks, which are on three more machines; each is a network namespace with a name of
//! its own. Writers work on the mount of one machine; it is killed, stopped and woken, cut off from a minority and from a
//! majority of its disks, while the other tries to mount as often as it can. At any time there is one writer, nothing that was
//! acknowledged is lost, and within 15 seconds a machine is in service.

mod failures;
mod load;
mod machine;
mod network;
mod record;
mod rig;

use std::error::Error;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::{Mutex, PoisonError};
use std::thread;

use clap::{Args, Parser};
use hammer2_core::random::Random;

use failures::Failure;
use record::{Outcome, Summary};
use rig::Rig;

/// Make machines fail that have a mount, and others take it over
#[derive(Parser)]
enum Command {
    /// Make machines fail
    Run(Settings),
    /// Write to a mount until something fails, and print what is durable
    Write {
        /// The writer
        number: u64,
        /// How often the mount has moved
        session: u64,
        /// Where it is mounted
        root: PathBuf,
    },
}

#[derive(Args)]
struct Settings {
    /// The `hammer2` tool
    #[arg(long)]
    tool: PathBuf,
    /// Where images are made
    #[arg(long)]
    folder: PathBuf,
    /// How many failures there are
    #[arg(long, default_value_t = 200)]
    times: u64,
    /// The first seed
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How many pairs of machines share the failures, each with a seed of its own
    #[arg(long, default_value_t = 1)]
    pairs: u64,
    /// Print JSON objects
    #[arg(long)]
    json: bool,
}

fn main() -> ExitCode {
    let settings = match Command::parse() {
        Command::Run(settings) => settings,
        // The parent has its output; the error is that of a failed mount.
        Command::Write { number, session, root } => {
            return load::write(number, session, &root).map_or(ExitCode::FAILURE, |()| ExitCode::SUCCESS);
        }
    };
    let summary = Mutex::new(Summary::default());
    let note = |outcome: &Outcome, seed: u64, number: u64| {
        summary.lock().unwrap_or_else(PoisonError::into_inner).add(outcome);
        if settings.json {
            println!("{}", outcome.json(seed, number));
        } else {
            println!(
                "seed {seed}, {number}: {} {}{} after {:.1} s, in step after {:.1} s",
                outcome.kind.name(),
                outcome.what,
                if outcome.has_moved { ": taken over, in service" } else { ": goes on, slowest change" },
                outcome.in_service_after.as_secs_f32(),
                outcome.in_step_after.as_secs_f32()
            );
        }
    };
    let failed = thread::scope(|scope| {
        let pairs: Vec<_> = (0..settings.pairs)
            .map(|pair| {
                let (settings, note) = (&settings, &note);
                let seed = settings.seed + pair;
                let times = settings.times / settings.pairs + u64::from(pair < settings.times % settings.pairs);
                scope.spawn(move || {
                    let outcome = failures_of(settings, seed, times, note);
                    if let Err(error) = &outcome {
                        println!("seed {seed} FAILED {error}");
                    }
                    outcome.is_err()
                })
            })
            .collect();
        pairs.into_iter().map(|pair| pair.join().unwrap_or(true)).filter(|failed| *failed).count()
    });
    if failed > 0 {
        return ExitCode::FAILURE;
    }
    let mut summary = summary.into_inner().unwrap_or_else(PoisonError::into_inner);
    match settings.json {
        true => println!("{}", summary.json()),
        false => summary.print(),
    }
    ExitCode::SUCCESS
}

/// Runs so many failures of one pair of machines.
fn failures_of(
    settings: &Settings,
    seed: u64,
    times: u64,
    note: &impl Fn(&Outcome, u64, u64),
) -> Result<(), Box<dyn Error>> {
    let mut random = Random::new(seed);
    let mut rig = Rig::create(settings, seed)?;
    for number in 0..times {
        let failure = Failure::roll(number, &mut random);
        let outcome = rig.suffer(&failure);
        let outcome =
            outcome.map_err(|error| format!("{number}: {} {}: {error}", failure.kind.name(), failure.describe()))?;
        note(&outcome, seed, number);
    }
    rig.finish()
}
