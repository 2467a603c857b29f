//! `hammer2 wait`: waits until a quorum of a cluster's disks is there.

use std::thread;
use std::time::{Duration, Instant};

use clap::Args;
use serde_json::{Value, json};

use super::named::{Name, Waiting};
use super::output::Output;
use super::{Failure, Outcome};
use crate::scan::{Found, candidates};

/// How often the disks are looked at.
const BETWEEN_LOOKS: Duration = Duration::from_secs(1);

/// Wait until there are enough disks to mount a filesystem, and say which are missing
/// For a cluster, that is a quorum of its masters in step; others are brought in step once it is mounted. Systemd units that
/// mount such a filesystem wait for it at boot.
#[derive(Args)]
#[command(after_help = "Exit status: 0 they are there, 1 it took too long, 2 wrong usage.")]
pub(super) struct Wait {
    /// Print a JSON object whenever the missing disks change, and a last one when enough are there
    #[arg(long)]
    json: bool,
    /// Give up after so many seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 90)]
    timeout: u32,
    /// @LABEL, LABEL=LABEL or UUID=UUID
    #[arg(value_name = "NAME", value_parser = parse)]
    name: Name,
}

impl Wait {
    pub(super) fn run(&self, output: &mut Output) -> Result<Outcome, Failure> {
        let begun = Instant::now();
        let mut told = String::new();
        loop {
            let waiting = match self.name.waiting(&Found::on(&candidates(&[]))) {
                Ok(()) => {
                    if self.json {
                        output.line(self.object(true, None))?;
                    }
                    return Ok(Outcome::Good);
                }
                Err(Waiting::For(what)) => what,
                Err(Waiting::InVain(why)) => return Err(Failure::unusable(why)),
            };
            if begun.elapsed() >= Duration::from_secs(self.timeout.into()) {
                return Err(Failure::failed(format_args!("gave up after {} seconds: {waiting}", self.timeout)));
            }
            if waiting != told {
                output.line(if self.json {
                    self.object(false, Some(&waiting)).to_string()
                } else {
                    waiting.clone()
                })?;
                output.finish()?;
                told = waiting;
            }
            thread::sleep(BETWEEN_LOOKS);
        }
    }

    fn object(&self, there: bool, waiting: Option<&str>) -> Value {
        json!({ "name": self.name.to_string(), "there": there, "waiting": waiting })
    }
}

fn parse(text: &str) -> Result<Name, String> {
    match Name::split(text.as_bytes())? {
        Some((name, b"/")) => Ok(name),
        _ => Err("name a filesystem as @LABEL, LABEL=LABEL or UUID=UUID".to_owned()),
    }
}
