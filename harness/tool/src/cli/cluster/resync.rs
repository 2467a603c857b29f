//! `hammer2 cluster resync`: bringing nodes in step that stayed away or failed.

use clap::Args;

use super::orders::{self, Print};
use crate::admin::{Order, whole_path};
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
    /// Bring only this slave in step, which may have been away, and let go of it, so that its disk can be unplugged
    #[arg(long, value_name = "NODE", value_parser = Target::parser())]
    detach: Option<Target>,
    /// NODE+NODE...[@LABEL], or the directory it is mounted on
    #[arg(value_parser = Target::parser())]
    target: Target,
}

impl Resync {
    pub(super) fn run(&self, settings: &Settings, output: &mut Output) -> Result<Outcome, Failure> {
        let order = match &self.detach {
            Some(slave) => {
                let images = slave.only_node().ok_or_else(|| Failure::unusable("--detach wants one node"))?;
                Order::Detach { images: images.iter().map(|image| whole_path(image)).collect() }
            }
            None => Order::Resync,
        };
        let outcome =
            orders::carry_out(settings, &self.target, &order, &mut Print { output: &mut *output, json: self.json })?;
        if let (Some(slave), Outcome::Good, false) = (&self.detach, outcome, self.json) {
            output.line(format_args!("{slave} isn't in use any more: its disk can be unplugged"))?;
        }
        Ok(outcome)
    }
}
