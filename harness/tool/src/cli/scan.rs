//! `hammer2 scan`: finds volumes, and says which belong together.

use std::fmt::Write;
use std::path::PathBuf;

use clap::Args;
use hammer2_core::media::Heartbeat;
use indicatif::HumanBytes;
use serde_json::{Value, json};

use super::failure::complain;
use super::output::{Output, Shown};
use super::session::Settings;
use super::{Failure, Outcome, progress};
use crate::scan::{Cluster, Found, Incomplete, Member, Missing, Node, Standing, candidates};

/// Find HAMMER2 volumes, and say which belong together and which are missing
/// Prints a line for each cluster, with its members and their state, and for each volume that belongs to none. Volumes in use are
/// looked at, too, as of their last commit. Nothing is written.
#[derive(Args)]
#[command(
    after_help = "HAMMER2_DEVICES in the environment names what is searched instead of all block devices, also for @LABEL, \
LABEL= and UUID=: files, folders, devices and exports, separated by commas.

Exit status:
  0  everything was looked at
  1  something couldn't be looked at
  2  wrong usage"
)]
pub(super) struct Scan {
    /// Print a JSON object for each
    #[arg(long)]
    json: bool,
    /// Print udev's properties of one device: ID_FS_TYPE=hammer2, ID_FS_LABEL, ID_FS_UUID; nothing if it holds no volume
    #[arg(long, conflicts_with = "json")]
    udev: bool,
    /// Files, folders with files, block devices, exports (nbd://HOST/EXPORT) [default: all block devices]
    #[arg(value_name = "PATH")]
    paths: Vec<PathBuf>,
}

impl Scan {
    pub(super) fn run(&self, _: &Settings, output: &mut Output) -> Result<Outcome, Failure> {
        let found = search(&self.paths);
        if self.udev {
            return udev_properties(&found).iter().try_for_each(|line| output.line(line)).map(|()| Outcome::Good);
        }
        for cluster in &found.clusters() {
            output.line(if self.json { json_of_cluster(cluster).to_string() } else { text_of_cluster(cluster) })?;
        }
        for node in found.single_nodes() {
            output.line(if self.json { json_of_node(node).to_string() } else { text_of_node(node) })?;
        }
        for set in &found.incomplete {
            output.line(if self.json { json_of_set(set).to_string() } else { text_of_set(set) })?;
        }
        found.unseen.iter().for_each(|why| complain(why));
        if found.nodes.is_empty() && found.incomplete.is_empty() {
            complain(&"no HAMMER2 volume was found");
        }
        Ok(if found.unseen.is_empty() { Outcome::Good } else { Outcome::Bad })
    }
}

/// Everything found on these paths, or on all block devices if none is named. Shows that it is still at work, as it waits for
/// exports that don't answer.
pub(super) fn search(paths: &[PathBuf]) -> Found {
    let _searching = progress::waiting("looking at disks");
    Found::on(&candidates(paths))
}

/// udev's properties of a device: the volume's id, and the label of the PFS that a mount would choose.
fn udev_properties(found: &Found) -> Vec<String> {
    let chosen = |node: &Node| node.usual_pfs().map(|pfs| pfs.label.to_vec());
    let volume = found.nodes.first().map(|node| (node.fsid, chosen(node)));
    let Some((fsid, label)) = volume.or_else(|| found.incomplete.first().map(|set| (set.fsid, None))) else {
        return Vec::new();
    };
    let mut properties = vec!["ID_FS_TYPE=hammer2".to_owned(), "ID_FS_USAGE=filesystem".to_owned()];
    properties.extend([format!("ID_FS_UUID={fsid}"), format!("ID_FS_UUID_ENC={fsid}")]);
    if let Some(label) = label {
        let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"#+-.:=@_".contains(byte);
        let plain = label.iter().map(|byte| if is_plain(byte) { char::from(*byte) } else { '_' });
        properties.push(format!("ID_FS_LABEL={}", plain.collect::<String>()));
        let encoded = label.iter().map(|byte| match is_plain(byte) {
            true => char::from(*byte).to_string(),
            false => format!("\\x{byte:02x}"),
        });
        properties.push(format!("ID_FS_LABEL_ENC={}", encoded.collect::<String>()));
    }
    properties
}

/// Paths as text.
fn shown(images: &[PathBuf]) -> Vec<String> {
    images.iter().map(|image| image.display().to_string()).collect()
}

/// A node as commands take it.
pub(super) fn name(images: &[PathBuf]) -> String {
    shown(images).join(":")
}

/// A cluster as commands take it.
fn spec(cluster: &Cluster) -> String {
    let nodes: Vec<_> = cluster.nodes().map(|member| name(&member.images)).collect();
    format!("{}@{}", nodes.join("+"), Shown(&cluster.label))
}

/// The word for a standing, and what it means for the user.
fn words(standing: Standing) -> (&'static str, String) {
    match standing {
        Standing::InStep => ("in step", String::new()),
        Standing::Stale { epochs: 0, commits } => ("stale", format!(", {commits} commits behind")),
        Standing::Stale { epochs, .. } => ("stale", format!(", {epochs} epochs behind")),
        Standing::Unfinished => ("stale", ", it left while it was in use".into()),
        Standing::Apart => ("apart", ", written apart from the others".into()),
        Standing::Foreign => ("foreign", ", no member (any more)".into()),
        Standing::Copy => ("copy", ", of another member".into()),
    }
}

fn text_of_cluster(cluster: &Cluster) -> String {
    let Cluster { clid, label, masters, members, missing } = cluster;
    let mut line = format!(
        "{}: cluster {clid}, {}, {} of {masters} masters in step, quorum {}",
        Shown(label),
        cluster.health().name(),
        cluster.masters_in_step(),
        cluster.quorum()
    );
    for Member { images, role, standing, held_by, in_use, .. } in members {
        let (state, note) = words(*standing);
        // Writing to a string doesn't fail.
        let _ = write!(line, "; {} {role} {state}{note}{}", name(images), use_of(held_by.as_ref(), in_use.as_deref()));
    }
    for missing in missing {
        let fsid = missing.fsid.map(|fsid| format!(" {fsid}")).unwrap_or_default();
        let _ = write!(line, "; missing {}{fsid}", missing.role);
    }
    line
}

/// The mount or program that uses a node, in words.
fn use_of(held_by: Option<&Heartbeat>, in_use: Option<&str>) -> String {
    match (held_by, in_use) {
        (_, Some(_)) => ", in use here".into(),
        (Some(Heartbeat { host, time, .. }), None) => format!(", held by {host}, last at {time} UTC by its clock"),
        (None, None) => String::new(),
    }
}

fn json_of_holder(held_by: Option<&Heartbeat>) -> Value {
    held_by.map_or(
        Value::Null,
        |Heartbeat { host, time, .. }| json!({ "host": host.to_string(), "time": time.to_string() }),
    )
}

fn json_of_cluster(cluster: &Cluster) -> Value {
    let member = |member: &Member| {
        let (epochs, commits) = match member.standing {
            Standing::Stale { epochs, commits } => (Some(epochs), Some(commits)),
            _ => (None, None),
        };
        json!({
            "images": shown(&member.images), "fsid": member.fsid.to_string(), "role": member.role.to_string(),
            "state": words(member.standing).0, "version": member.version.map(|version| version.to_string()),
            "behind_epochs": epochs, "behind_commits": commits, "held_by": json_of_holder(member.held_by.as_ref()),
            "in_use": member.in_use,
        })
    };
    let missing = |Missing { fsid, role }: &Missing| {
        let fsid = fsid.map(|fsid| fsid.to_string());
        json!({ "fsid": fsid, "role": role.to_string() })
    };
    let members: Vec<_> = cluster.members.iter().map(member).collect();
    let missing: Vec<_> = cluster.missing.iter().map(missing).collect();
    json!({
        "cluster": cluster.clid.to_string(), "label": String::from_utf8_lossy(&cluster.label), "health": cluster.health().name(),
        "masters": cluster.masters, "masters_in_step": cluster.masters_in_step(), "quorum": cluster.quorum(),
        "members": members, "missing": missing, "spec": spec(cluster),
    })
}

fn text_of_node(node: &Node) -> String {
    let labels: Vec<_> = node.pfss.iter().map(|pfs| Shown(&pfs.label).to_string()).collect();
    let (total, free) = (HumanBytes(node.total_bytes), HumanBytes(node.free_bytes));
    let used = use_of(node.held_by.as_ref(), node.in_use.as_deref());
    let damage = node.damage.as_ref().map(|damage| format!("; PFSs are missing: {damage}")).unwrap_or_default();
    let copy =
        node.copy_of.as_ref().map(|other| format!("; a copy of {}, or it of this", name(other))).unwrap_or_default();
    format!(
        "{}: volume {}, {total}, {free} free; PFSs {}{used}{copy}{damage}",
        name(&node.images),
        node.fsid,
        labels.join(", ")
    )
}

fn json_of_node(node: &Node) -> Value {
    let labels: Vec<_> = node.pfss.iter().map(|pfs| String::from_utf8_lossy(&pfs.label)).collect();
    json!({
        "volume": node.fsid.to_string(), "images": shown(&node.images), "pfs": labels, "total_bytes": node.total_bytes,
        "free_bytes": node.free_bytes, "members": shown(&node.images), "missing": [],
        "held_by": json_of_holder(node.held_by.as_ref()), "in_use": node.in_use,
        "copy_of": node.copy_of.as_deref().map(shown), "damage": node.damage, "spec": name(&node.images),
    })
}

fn text_of_set(set: &Incomplete) -> String {
    let missing: Vec<_> = set.missing.iter().map(ToString::to_string).collect();
    let lacks = match missing.is_empty() {
        true => String::new(),
        false => format!(", missing volumes {} of {}", missing.join(", "), set.count),
    };
    let damage = set.damage.as_ref().map(|damage| format!("; {damage}")).unwrap_or_default();
    format!("{}: volume {}{lacks}{damage}", name(&set.images), set.fsid)
}

fn json_of_set(set: &Incomplete) -> Value {
    json!({
        "volume": set.fsid.to_string(), "images": shown(&set.images), "volumes": set.count, "members": shown(&set.images),
        "missing": set.missing, "damage": set.damage,
    })
}
