//! `hammer2 cluster resync`: bringing nodes in step that stayed away or failed.

use clap::Args;

use super::orders::{self, Print};
use crate::admin::Order;
use crate::cli::output::Output;
use crate::cli::session::Settings;
use crate::cli::target::Target;
use crate::cli::{Failure, Outcome};

/// Bring nodes in step that stayed away or failed
#[derive(Args)]
pub(in crate::cli) struct Resync {
    /// Print a JSON object for each node
    #[arg(long)]
    json: bool,
    /// NODE+NODE...[@LABEL], or the directory it is mounted on
    #[arg(value_parser = Target::parser())]
    target: Target,
}

impl Resync {
    pub(super) fn run(&self, settings: &Settings, output: &mut Output) -> Result<Outcome, Failure> {
        orders::carry_out(settings, &self.target, &Order::Resync, &mut Print { output, json: self.json })
    }
}
