//! `hammer2 info`: the volumes, the header and the PFSs.

use clap::Args;
use hammer2_core::cluster::{Cluster, Pfs};
use hammer2_core::media::{KeyRange, PfsSubkind};
use hammer2_core::node::Node;
use serde_json::{Map, Value, json};

use super::failure::complain;
use super::output::{Output, Shown, insert_bytes};
use super::session::{Session, Settings};
use super::target::Target;
use super::time::Utc;
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
            let cluster = Cluster::of_one(session.heap(), node, &session.node_options()).map_err(Failure::failed)?;
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
        json!({ "id": id, "device": device.name.as_str(), "base": volume.base.0, "bytes": volume.bytes })
    };
    node.volumes().iter().enumerate().map(describe).collect()
}

/// All PFSs up to the first that can't be read.
async fn list_pfss(cluster: &Cluster) -> (Vec<Pfs>, Option<hammer2_core::cluster::OpError>) {
    let mut pfss = Vec::new();
    let mut rest = Some(KeyRange::ALL);
    while let Some(range) = rest {
        match cluster.next_pfs(range).await {
            Ok(Some((pfs, after))) => {
                pfss.push(pfs);
                rest = after;
            }
            Ok(None) => break,
            Err(error) => return (pfss, Some(error)),
        }
    }
    (pfss, None)
}

fn subkind_name(subkind: PfsSubkind) -> &'static str {
    match subkind {
        PfsSubkind::None => "NONE",
        PfsSubkind::Snapshot => "SNAPSHOT",
        PfsSubkind::AutoSnapshot => "AUTOSNAP",
    }
}

fn json_of_pfs(pfs: &Pfs) -> Value {
    let mut object = Map::new();
    insert_bytes(&mut object, "label", &pfs.label);
    let stats = pfs.root.stats;
    let facts = [
        ("type", json!(pfs.kind.to_string())),
        ("subtype", json!(subkind_name(pfs.subkind))),
        ("clid", json!(pfs.clid.to_string())),
        ("fsid", json!(pfs.fsid.to_string())),
        ("nmasters", json!(pfs.masters)),
        ("modify_tid", json!(pfs.root.modify_tid.0)),
        ("inodes", json!(stats.inodes)),
        ("data_bytes", json!(stats.data_bytes)),
        ("created_us", json!(pfs.root.meta.btime().microseconds)),
    ];
    object.extend(facts.into_iter().map(|(key, value)| (key.to_owned(), value)));
    Value::Object(object)
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
        let stats = pfs.root.stats;
        output.line(format_args!("pfs {}", Shown(&pfs.label)))?;
        output.line(format_args!("    type        {} {}", pfs.kind, subkind_name(pfs.subkind)))?;
        output.line(format_args!("    cluster     {} ({} masters recorded)", pfs.clid, pfs.masters))?;
        output.line(format_args!("    pfs         {}", pfs.fsid))?;
        output.line(format_args!("    created     {}", Utc(pfs.root.meta.btime())))?;
        output.line(format_args!("    content     {} inodes, {} bytes", stats.inodes, stats.data_bytes))?;
        output.line(format_args!("    modify_tid  {}", pfs.root.modify_tid))?;
    }
    Ok(())
}
