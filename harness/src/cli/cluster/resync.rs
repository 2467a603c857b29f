//! `hammer2 cluster resync`: bringing nodes in step that stayed away or failed.

use clap::Args;
use hammer2_core::cluster::NodeIndex;
use hammer2_core::cluster::resync::ResyncCounts;
use hammer2_core::fs::{Error, FileSystem};
use serde_json::json;

use crate::cli::failure::complain;
use crate::cli::output::Output;
use crate::cli::progress;
use crate::cli::session::{Session, Settings};
use crate::cli::target::Target;
use crate::cli::{Failure, Outcome};

/// Bring nodes in step that stayed away or failed
#[derive(Args)]
pub(in crate::cli) struct Resync {
    /// Print a JSON object for each node
    #[arg(long)]
    json: bool,
    /// NODE+NODE...[@LABEL]
    #[arg(value_parser = Target::parser())]
    target: Target,
}

impl Resync {
    pub(super) fn run(&self, settings: &Settings, output: &mut Output) -> Result<Outcome, Failure> {
        Session::new(settings).change(&self.target, async |fs| {
            let mut outcome = Outcome::Good;
            let behind: Vec<_> = fs.nodes_behind().collect();
            for node in behind {
                let counts = match showing(fs, node).await {
                    Ok(counts) => counts,
                    Err(error) => {
                        complain(&format_args!("node {}: {error}", node.0));
                        outcome = Outcome::Bad;
                        continue;
                    }
                };
                if self.json {
                    output.line(json!({
                        "node": node.0,
                        "compared": counts.compared,
                        "copied": counts.copied,
                        "removed": counts.removed,
                        "bytes": counts.bytes,
                    }))?;
                } else {
                    output.line(format_args!(
                        "node {}: in sync; {} elements compared, {} copied, {} removed, {} bytes of content",
                        node.0, counts.compared, counts.copied, counts.removed, counts.bytes
                    ))?;
                }
            }
            Ok(outcome)
        })
    }
}

/// Brings a node in step, and shows how far that is.
pub(super) async fn showing(fs: &FileSystem, node: NodeIndex) -> Result<ResyncCounts, Error> {
    let counter = progress::byte_counter();
    let show = &mut |counts: &ResyncCounts| {
        counter.set_position(counts.bytes);
        counter
            .set_message(format!("node {}: {} elements compared, {} copied", node.0, counts.compared, counts.copied));
    };
    let copied = fs.resync_showing(node, show).await;
    counter.finish_and_clear();
    copied
}
