//! `hammer2 cluster scrub`: reading everything on every node, and repairing what another node has.

use clap::Args;

use super::orders::{self, Print};
use crate::admin::Order;
use crate::cli::output::Output;
use crate::cli::session::Settings;
use crate::cli::target::Target;
use crate::cli::{Failure, Outcome};

/// Read everything on every node, compare, and repair what another node has
#[derive(Args)]
pub(in crate::cli) struct Scrub {
    /// Print a JSON object
    #[arg(long)]
    json: bool,
    /// NODE+NODE...[@LABEL], or the directory it is mounted on
    #[arg(value_parser = Target::parser())]
    target: Target,
}

impl Scrub {
    pub(in crate::cli) fn run(&self, settings: &Settings, output: &mut Output) -> Result<Outcome, Failure> {
        orders::carry_out(settings, &self.target, &Order::Scrub, &mut Print { output, json: self.json })
    }
}
