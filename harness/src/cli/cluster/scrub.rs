//! `hammer2 cluster scrub`: reading everything on every node, and repairing what another node has.

use clap::Args;
use serde_json::json;

use crate::cli::output::Output;
use crate::cli::session::{Session, Settings};
use crate::cli::target::Target;
use crate::cli::{Failure, Outcome};

/// Read everything on every node, compare, and repair what another node has
#[derive(Args)]
pub(in crate::cli) struct Scrub {
    /// Print a JSON object
    #[arg(long)]
    json: bool,
    /// NODE+NODE...[@LABEL]
    #[arg(value_parser = Target::parser())]
    target: Target,
}

impl Scrub {
    pub(super) fn run(&self, settings: &Settings, output: &mut Output) -> Result<Outcome, Failure> {
        Session::new(settings).change(&self.target, async |fs| {
            if fs.cluster_status().is_none() {
                return Err(Failure::unusable("this PFS is no cluster's: `fsck` checks a single node"));
            }
            let counts = fs.scrub().await.map_err(Failure::failed)?;
            if self.json {
                output.line(json!({
                    "nodes": counts.nodes,
                    "elements": counts.elements,
                    "bytes": counts.bytes,
                    "bad_blocks": counts.bad_blocks,
                    "repaired": counts.repaired,
                    "rebuilt": counts.rebuilt,
                    "ejected": counts.ejected,
                }))?;
            } else {
                output.line(format_args!(
                    "{} nodes, {} elements, {} bytes: {} bad blocks, {} repaired; {} nodes rebuilt, {} ejected",
                    counts.nodes,
                    counts.elements,
                    counts.bytes,
                    counts.bad_blocks,
                    counts.repaired,
                    counts.rebuilt,
                    counts.ejected
                ))?;
            }
            let whole = counts.repaired == counts.bad_blocks && counts.ejected == 0;
            Ok(if whole { Outcome::Good } else { Outcome::Bad })
        })
    }
}
