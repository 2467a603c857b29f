//! How PFSs are listed: as lines and as JSON.

use hammer2_core::cluster::{Cluster, OpError, Pfs};
use hammer2_core::media::{ModifyTid, Timestamp};
use indicatif::HumanBytes;
use serde_json::{Map, Value, json};

use super::Failure;
use super::output::{Output, Shown, insert_bytes};
use crate::admin::{self, PfsFacts};

/// All PFSs up to the first that can't be read.
pub(super) async fn list_pfss(cluster: &Cluster) -> (Vec<Pfs>, Option<OpError>) {
    admin::list_pfss(async |range| cluster.next_pfs(range).await).await
}

/// A PFS as a JSON object.
pub(super) fn json_of_pfs(pfs: &PfsFacts) -> Value {
    let mut object = Map::new();
    insert_bytes(&mut object, "label", &pfs.label);
    let facts = [
        ("type", json!(pfs.kind)),
        ("subtype", json!(pfs.subkind)),
        ("clid", json!(pfs.clid)),
        ("fsid", json!(pfs.fsid)),
        ("nmasters", json!(pfs.masters)),
        ("modify_tid", json!(pfs.modify_tid)),
        ("inodes", json!(pfs.inodes)),
        ("data_bytes", json!(pfs.data_bytes)),
        ("created_us", json!(pfs.created_us)),
    ];
    object.extend(facts.into_iter().map(|(key, value)| (key.to_owned(), value)));
    Value::Object(object)
}

/// A PFS in a few lines.
pub(super) fn show_pfs(pfs: &PfsFacts, output: &mut Output) -> Result<(), Failure> {
    output.line(format_args!("pfs {}", Shown(&pfs.label)))?;
    output.line(format_args!("    type        {} {}", pfs.kind, pfs.subkind))?;
    output.line(format_args!("    cluster     {} ({} masters recorded)", pfs.clid, pfs.masters))?;
    output.line(format_args!("    pfs         {}", pfs.fsid))?;
    output.line(format_args!("    created     {}", Timestamp { microseconds: pfs.created_us }))?;
    output.line(format_args!("    content     {} inodes, {}", pfs.inodes, HumanBytes(pfs.data_bytes)))?;
    output.line(format_args!("    modify_tid  {}", ModifyTid(pfs.modify_tid)))?;
    Ok(())
}
