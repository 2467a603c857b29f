//! The state of a cluster and its nodes: as JSON, and as one process sends it to another. `table` has it in words, `drawn` as a
//! picture and a page.

mod drawn;
mod kernel;
mod table;

use std::path::Path;

use hammer2_core::cluster::{ClusterStatus, Health, Holder, MemberState, MemberStatus, NodeIndex};
use hammer2_core::fs::{CatchUp, FileSystem};
use hammer2_core::media::{Heartbeat, Timestamp};
use serde::{Deserialize, Serialize};

use super::short_name::short_names;
use super::{Images, Known, LastScrub, PausedScrub};

pub(super) use kernel::{KernelFacts, several, words};

/// The state of a cluster.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Status {
    health: String,
    label: String,
    clid: String,
    version: String,
    tid: u64,
    masters: usize,
    masters_in_sync: usize,
    quorum: usize,
    changing_members: bool,
    refused: Option<String>,
    nodes: Vec<Node>,
    missing: Vec<Missing>,
    /// The last scrub that anybody on this machine knows of.
    #[serde(default)]
    last_scrub: Option<LastScrub>,
    /// Where a scrub was paused, and how to resume it.
    #[serde(default)]
    paused_scrub: Option<String>,
}

/// The state of a node.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Node {
    node: u8,
    images: Vec<String>,
    /// The first of them in short.
    #[serde(default)]
    name: String,
    fsid: String,
    role: String,
    state: String,
    /// Since when, if that was seen.
    #[serde(default)]
    since: Option<String>,
    note: String,
    version: Option<String>,
    tid: u64,
    behind_tids: u64,
    behind_epochs: Option<u32>,
    behind_commits: Option<u32>,
    /// The progress while it is being brought in step.
    #[serde(default)]
    catching_up: Option<CatchingUp>,
    /// Commands that it hasn't executed yet.
    #[serde(default)]
    backlog: usize,
    #[serde(default)]
    errors: Errors,
    has_left: bool,
    is_distrusted: bool,
    total_bytes: u64,
    free_bytes: u64,
    held_by: Option<Held>,
}

/// The progress of bringing a node in step, in bytes of content.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct CatchingUp {
    /// Looked at so far.
    seen_bytes: u64,
    /// The total to look at when it began, without snapshots.
    expected_bytes: u64,
    /// How long the rest will take, at the speed so far.
    seconds_left: Option<u64>,
}

impl From<CatchUp> for CatchingUp {
    fn from(catch_up: CatchUp) -> Self {
        let CatchUp { seen_bytes, expected_bytes, .. } = catch_up;
        Self { seen_bytes, expected_bytes, seconds_left: catch_up.time_left().map(|left| left.as_secs()) }
    }
}

/// What went wrong on a node since it was opened.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct Errors {
    /// Reads that failed.
    pub read: u64,
    /// Writes that failed.
    pub write: u64,
    /// Blocks that weren't what they should have been.
    pub check: u64,
    /// Blocks that were written anew from other nodes.
    pub repaired: u64,
}

impl Errors {
    /// The errors of a node.
    pub fn of(member: &MemberStatus) -> Self {
        let (read, write) = (member.device_errors.reads, member.device_errors.writes);
        Self { read, write, check: member.bad_blocks, repaired: member.repaired_blocks }
    }
}

/// The mount that writes to a node which other machines can reach.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Held {
    host: String,
    /// The time of its last heartbeat, by the clock of its machine.
    time: String,
    /// It is the mount that was asked.
    is_own: bool,
}

impl Held {
    fn of(Holder { heartbeat: Heartbeat { host, time, .. }, is_own }: Holder) -> Self {
        Self { host: host.to_string(), time: time.to_string(), is_own }
    }
}

/// A member that isn't among the nodes.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Missing {
    fsid: String,
    /// The disks that it must be on, if it was named and couldn't be opened.
    #[serde(default)]
    images: Vec<String>,
    /// The first of them in short.
    #[serde(default)]
    name: String,
    role: String,
    version: String,
    note: String,
}

impl Status {
    /// The state of a mounted filesystem's cluster; none if the filesystem never belonged to one.
    pub async fn of(fs: &FileSystem, images: &Images) -> Option<Self> {
        let status = fs.cluster_status()?;
        let missing = fs.missing_members();
        let mut nodes = Vec::new();
        for member in fs.member_statuses() {
            let held_by = fs.holder(member.node).await.map(Held::of);
            let catching_up = fs.catching_up(member.node).map(CatchingUp::from);
            nodes.push(Node { held_by, catching_up, ..Node::of(&member, &status, images) });
        }
        let unopened = images.unopened(missing.len()).map(|node| node.images).unwrap_or_default();
        let unopened: Vec<String> = unopened.iter().map(|image| image.to_string_lossy().into_owned()).collect();
        let mut absent: Vec<Missing> = { missing.iter() }
            .map(|member| Missing {
                fsid: member.fsid.to_string(),
                images: unopened.clone(),
                name: String::new(),
                role: member.role.to_string(),
                version: member.last_known.to_string(),
                note: images.about_missing(member.fsid, missing.len(), status.health),
            })
            .collect();
        name_disks(&mut nodes, &mut absent);
        Some(Self {
            health: status.health.name().into(),
            label: String::from_utf8_lossy(&fs.pfs().label).into_owned(),
            clid: fs.pfs().clid.to_string(),
            version: status.version.to_string(),
            tid: status.tid.0,
            masters: status.voters,
            masters_in_sync: status.in_sync,
            quorum: status.voters / 2 + 1,
            changing_members: status.is_changing,
            refused: status.refused.map(|refused| Known::of_mount(images, fs).op_error(&refused)),
            nodes,
            missing: absent,
            last_scrub: LastScrub::read(fs.pfs().clid),
            paused_scrub: PausedScrub::read(fs.pfs().clid).map(|paused| {
                format!("a scrub got as far as {paused}: `hammer2 scrub --resume {}` goes on", images.place())
            }),
        })
    }

    /// Notes since when a node has its current state.
    pub fn note_since(&mut self, node: NodeIndex, since: Timestamp) {
        for known in self.nodes.iter_mut().filter(|known| known.node == node.0) {
            known.since = Some(since.to_string());
        }
    }

    /// True when a node was opened from this image.
    pub fn has_image(&self, image: &Path) -> bool {
        self.nodes.iter().flat_map(|node| &node.images).any(|known| Path::new(known) == image)
    }

    /// Remarks on members that aren't in step.
    pub(super) fn apart(&self) -> Vec<String> {
        let apart = self.nodes.iter().filter(|node| node.state != IN_SYNC);
        apart.map(|node| format!("{} (node {}): {}", node.images.join(":"), node.node, node.note)).collect()
    }

    /// The fsids of members in step.
    pub(super) fn in_sync(&self) -> Vec<String> {
        self.nodes.iter().filter(|node| node.state == IN_SYNC).map(|node| node.fsid.clone()).collect()
    }

    /// How many masters it has.
    pub fn masters(&self) -> usize {
        self.masters
    }

    /// Its health.
    pub fn health(&self) -> Health {
        Health::ALL.into_iter().find(|health| health.name() == self.health).unwrap_or(Health::Stopped)
    }
}

impl Node {
    fn of(member: &MemberStatus, status: &ClusterStatus, images: &Images) -> Self {
        let lag = member.version.map(|version| version.behind(status.version));
        Self {
            node: member.node.0,
            images: images.of(member.node),
            name: String::new(),
            fsid: member.fsid.to_string(),
            role: member.role.to_string(),
            state: word(member).into(),
            since: None,
            note: images.remark(member, status.health),
            version: member.version.map(|version| version.to_string()),
            tid: member.tid.0,
            behind_tids: status.tid.0.saturating_sub(member.tid.0),
            behind_epochs: lag.map(|(epochs, _)| epochs),
            behind_commits: lag.map(|(_, commits)| commits),
            catching_up: None,
            backlog: member.backlog,
            errors: Errors::of(member),
            has_left: member.has_left,
            is_distrusted: member.is_distrusted,
            total_bytes: member.total_bytes,
            free_bytes: member.free_bytes,
            held_by: None,
        }
    }
}

/// Gives disks short names; a member of which no disk is known is called by its fsid.
fn name_disks(nodes: &mut [Node], missing: &mut [Missing]) {
    let of_missing = missing.iter().map(|member| member.images.first().unwrap_or(&member.fsid).clone());
    let of_nodes = nodes.iter().map(|node| node.images.first().cloned().unwrap_or_default());
    let disks: Vec<String> = of_nodes.chain(of_missing).collect();
    let disks: Vec<&str> = disks.iter().map(String::as_str).collect();
    let places = nodes.iter_mut().map(|node| &mut node.name).chain(missing.iter_mut().map(|member| &mut member.name));
    for (place, name) in places.zip(short_names(&disks)) {
        *place = name.replace(char::is_control, "?");
    }
}

/// The word for a member that takes part.
const IN_SYNC: &str = "in sync";

/// A word for a state.
fn word(member: &MemberStatus) -> &'static str {
    match (member.state, member.unreadable) {
        (MemberState::Aside(_), Some(_)) => "unread",
        (MemberState::InSync, _) => IN_SYNC,
        (MemberState::Behind(_), _) => "behind",
        (MemberState::Ejected(_), _) => "ejected",
        (MemberState::Aside(_), None) => "aside",
    }
}
