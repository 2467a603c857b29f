//! `hammer2 info`: the volumes, the header and the PFSs.

use std::path::Path;

use clap::Args;
use hammer2_core::cluster::Cluster;
use indicatif::HumanBytes;
use serde_json::{Map, Value, json};

use super::failure::complain;
use super::mounted;
use super::output::Output;
use super::pfs_facts::{json_of_pfs, list_pfss, show_pfs};
use super::session::{Session, Settings};
use super::target::Target;
use super::{Failure, Outcome};
use crate::admin::{NodeFacts, PfsFacts};

/// Fields of the header that count bytes.
const BYTES: [&str; 2] = ["allocator_size", "allocator_free"];

/// Print facts about a filesystem: its header, volumes and PFSs
#[derive(Args)]
pub(super) struct Info {
    /// Print a JSON object
    #[arg(long)]
    json: bool,
    /// NODE, or the directory on which it is mounted
    #[arg(value_parser = Target::parser())]
    target: Target,
}

impl Info {
    pub(super) fn run(&self, settings: &Settings, output: &mut Output) -> Result<Outcome, Failure> {
        if self.target.label.is_some() || self.target.path != b"/" {
            return Err(Failure::unusable("info is about a whole filesystem: name it without label and path"));
        }
        if let Some(directory) = self.target.directory() {
            return self.mounted(directory, output);
        }
        let session = Session::new(settings);
        session.run(async {
            let node = session.open_node(&self.target).await?;
            let facts = NodeFacts::of(&node.header(), node.header_copy(), node.volumes());
            let cluster = Cluster::of_one(session.heap(), node, session.node_options()).map_err(Failure::failed)?;
            let (pfss, damage) = list_pfss(&cluster).await;
            let pfss: Vec<_> = pfss.iter().map(PfsFacts::from).collect();
            self.print(&[facts], &pfss, output)?;
            Ok(told_damage(damage.map(|error| error.to_string())))
        })
    }

    /// The same for a mount, from the process that serves it.
    fn mounted(&self, directory: &Path, output: &mut Output) -> Result<Outcome, Failure> {
        let mounted::Listed { nodes, pfss, damage } = mounted::facts(directory)?;
        self.print(&nodes, &pfss, output)?;
        Ok(told_damage(damage))
    }

    fn print(&self, nodes: &[NodeFacts], pfss: &[PfsFacts], output: &mut Output) -> Result<(), Failure> {
        if self.json {
            let pfss: Vec<_> = pfss.iter().map(json_of_pfs).collect();
            return output.line(match nodes {
                [NodeFacts { header, volumes }] => json!({ "header": header, "volumes": volumes, "pfs": pfss }),
                nodes => json!({ "nodes": nodes, "pfs": pfss }),
            });
        }
        for (number, NodeFacts { header, volumes }) in nodes.iter().enumerate() {
            if nodes.len() > 1 {
                output.line(format_args!("node {number}"))?;
            }
            show(header, volumes, output)?;
        }
        pfss.iter().try_for_each(|pfs| show_pfs(pfs, output))
    }
}

/// Says so when PFSs couldn't be read.
pub(super) fn told_damage(damage: Option<String>) -> Outcome {
    let Some(error) = damage else { return Outcome::Good };
    complain(&format_args!("PFSs are missing: {error}"));
    Outcome::Bad
}

fn show(header: &Map<String, Value>, volumes: &[Value], output: &mut Output) -> Result<(), Failure> {
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let bytes = |value: &Value| HumanBytes(value.as_u64().unwrap_or(0)).to_string();
    for (key, value) in header {
        let value = if BYTES.contains(&key.as_str()) { bytes(value) } else { text(value) };
        output.line(format_args!("{key:<15} {value}"))?;
    }
    for volume in volumes {
        let [id, base, device] = ["id", "base", "device"].map(|key| text(&volume[key]));
        output.line(format_args!("volume {id:<8} {} at {base}: {device}", bytes(&volume["bytes"])))?;
    }
    Ok(())
}
