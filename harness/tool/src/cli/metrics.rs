//! `hammer2 metrics`: the numbers of a mount.

use clap::Args;

use super::events::only_of_mounts;
use super::mounted;
use super::output::Output;
use super::pfs::whole;
use super::session::Settings;
use super::several::each;
use super::target::Target;
use super::{Failure, Outcome};
use crate::admin::Metric;

/// Print the numbers of a mount as Prometheus reads them: space, requests, disks and their errors, the last scrub
/// For the textfile collector of node_exporter, let a timer write them to a file NAME.prom.
#[derive(Args)]
pub(super) struct Metrics {
    /// Print a JSON array
    #[arg(long)]
    json: bool,
    /// The directory on which it is mounted
    #[arg(value_name = "DIR", required = true, value_parser = Target::parser())]
    targets: Vec<Target>,
}

impl Metrics {
    pub(super) fn run(&self, _: &Settings, output: &mut Output) -> Result<Outcome, Failure> {
        let mut all: Vec<Metric> = Vec::new();
        let outcome = each(&self.targets, |target| {
            let directory = whole(target)?.directory().ok_or_else(|| only_of_mounts(target))?;
            // Numbers of the same name stand together.
            for metric in mounted::metrics(directory)? {
                match all.iter_mut().find(|known| known.name == metric.name) {
                    Some(known) => known.samples.extend(metric.samples),
                    None => all.push(metric),
                }
            }
            Ok(Outcome::Good)
        });
        match self.json {
            true => output.line(serde_json::to_string(&all).map_err(Failure::failed)?)?,
            false => all.iter().try_for_each(|metric| output.line(metric))?,
        }
        outcome
    }
}
