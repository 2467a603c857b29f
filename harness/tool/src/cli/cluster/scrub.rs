//! `hammer2 cluster scrub`: reading everything on every node, and repairing it from other nodes.

use clap::Args;

use super::orders::{self, Print};
use crate::admin::Order;
use crate::cli::output::Output;
use crate::cli::session::Settings;
use crate::cli::target::Target;
use crate::cli::{Failure, Outcome, mounted};

/// Read everything on every node, compare, and repair it from other nodes
#[derive(Args)]
pub(in crate::cli) struct Scrub {
    /// Print a JSON object
    #[arg(long)]
    json: bool,
    /// Pause the scrub that is under way in a mount
    #[arg(short, long, conflicts_with = "resume")]
    pause: bool,
    /// Go on where the last scrub on this machine was paused, or its mount or command ended
    #[arg(long)]
    resume: bool,
    /// NODE+NODE...[@LABEL], or the directory it is mounted on
    #[arg(value_parser = Target::parser())]
    target: Target,
}

impl Scrub {
    pub(in crate::cli) fn run(&self, settings: &Settings, output: &mut Output) -> Result<Outcome, Failure> {
        if self.pause {
            let Some(directory) = self.target.directory() else {
                return Err(Failure::unusable(
                    "only the scrub of a mount is paused so: name its directory; end another (^C), and --resume goes on with it",
                ));
            };
            mounted::pause_scrub(directory)?;
            return Ok(Outcome::Good);
        }
        let order = if self.resume { Order::ResumeScrub } else { Order::Scrub };
        orders::carry_out(settings, &self.target, &order, &mut Print { output, json: self.json })
    }
}
