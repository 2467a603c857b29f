//! `hammer2 info`: the volumes, the header and the PFSs.

use clap::Args;
use hammer2_core::cluster::{Cluster, Pfs};
use hammer2_core::node::Node;
use serde_json::{Map, Value, json};

use super::failure::complain;
use super::output::Output;
use super::pfs_facts::{json_of_pfs, list_pfss, show_pfs};
use super::session::{Session, Settings};
use super::target::Target;
use super::{Failure, Outcome};

/// Print what a filesystem is: its header, volumes and PFSs
#[derive(Args)]
pub(super) struct Info {
    /// Print a JSON object
    #[arg(long)]
    json: bool,
    /// NODE
    #[arg(value_parser = Target::parser())]
    target: Target,
}

impl Info {
    pub(super) fn run(&self, settings: &Settings, output: &mut Output) -> Result<Outcome, Failure> {
        if self.target.label.is_some() || self.target.path != b"/" {
            return Err(Failure::unusable("info is about a whole filesystem: name it without label and path"));
        }
        let session = Session::new(settings);
        session.run(async {
            let node = session.open_node(&self.target).await?;
            let volumes = describe_volumes(&node);
            let header = describe_header(&node);
            let cluster = Cluster::of_one(session.heap(), node, session.node_options()).map_err(Failure::failed)?;
            let (pfss, damage) = list_pfss(&cluster).await;
            if self.json {
                let pfss: Vec<_> = pfss.iter().map(json_of_pfs).collect();
                output.line(json!({ "header": header, "volumes": volumes, "pfs": pfss }))?;
            } else {
                show(&header, &volumes, &pfss, output)?;
            }
            match damage {
                Some(error) => {
                    complain(&format_args!("PFSs are missing: {error}"));
                    Ok(Outcome::Bad)
                }
                None => Ok(Outcome::Good),
            }
        })
    }
}

fn describe_header(node: &Node) -> Map<String, Value> {
    let header = &*node.header();
    let version = header.version().map_or(0, |version| version as u32);
    let facts = [
        ("copy", json!(node.header_copy())),
        ("version", json!(version)),
        ("fsid", json!(header.fsid.to_string())),
        ("mirror_tid", json!(header.mirror_tid().0)),
        ("freemap_tid", json!(header.freemap_tid().0)),
        ("allocator_size", json!(header.allocator_size())),
        ("allocator_free", json!(header.allocator_free())),
        ("allocator_beg", json!(header.allocator_beg().0)),
        ("boot_beg", json!(header.boot_beg().0)),
        ("boot_end", json!(header.boot_end().0)),
        ("aux_beg", json!(header.aux_beg().0)),
        ("aux_end", json!(header.aux_end().0)),
    ];
    facts.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
}

fn describe_volumes(node: &Node) -> Vec<Value> {
    let describe = |(id, volume): (usize, &hammer2_core::io::Volume)| {
        let device = volume.disk.info();
        json!({ "id": id, "device": device.name.as_str(), "base": volume.base.0, "bytes": volume.bytes() })
    };
    node.volumes().iter().enumerate().map(describe).collect()
}

fn show(header: &Map<String, Value>, volumes: &[Value], pfss: &[Pfs], output: &mut Output) -> Result<(), Failure> {
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    for (key, value) in header {
        output.line(format_args!("{key:<15} {}", text(value)))?;
    }
    for volume in volumes {
        let [id, base, bytes, device] = ["id", "base", "bytes", "device"].map(|key| text(&volume[key]));
        output.line(format_args!("volume {id:<8} {bytes} bytes at {base}: {device}"))?;
    }
    for pfs in pfss {
        show_pfs(pfs, output)?;
    }
    Ok(())
}
