//! What there is to say of a PFS.

use hammer2_core::cluster::{Cluster, OpError, Pfs};
use hammer2_core::media::{KeyRange, PfsSubkind};
use serde_json::{Map, Value, json};

use super::Failure;
use super::output::{Output, Shown, insert_bytes};

/// All PFSs up to the first that can't be read.
pub(super) async fn list_pfss(cluster: &Cluster) -> (Vec<Pfs>, Option<OpError>) {
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

/// A PFS as a JSON object.
pub(super) fn json_of_pfs(pfs: &Pfs) -> Value {
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

/// A PFS in a few lines.
pub(super) fn show_pfs(pfs: &Pfs, output: &mut Output) -> Result<(), Failure> {
    let stats = pfs.root.stats;
    output.line(format_args!("pfs {}", Shown(&pfs.label)))?;
    output.line(format_args!("    type        {} {}", pfs.kind, subkind_name(pfs.subkind)))?;
    output.line(format_args!("    cluster     {} ({} masters recorded)", pfs.clid, pfs.masters))?;
    output.line(format_args!("    pfs         {}", pfs.fsid))?;
    output.line(format_args!("    created     {}", pfs.root.meta.btime()))?;
    output.line(format_args!("    content     {} inodes, {} bytes", stats.inodes, stats.data_bytes))?;
    output.line(format_args!("    modify_tid  {}", pfs.root.modify_tid))?;
    Ok(())
}
