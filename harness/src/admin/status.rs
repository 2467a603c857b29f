//! How a cluster and its nodes are: in words, as JSON, and from one process to another.

use std::fmt::{self, Display};
use std::path::Path;

use hammer2_core::cluster::vote::{CommitId, State};
use hammer2_core::cluster::{ClusterStatus, Health, Holder, MemberState, MemberStatus};
use hammer2_core::fs::FileSystem;
use hammer2_core::media::Heartbeat;
use serde::{Deserialize, Serialize};

use super::{Images, Known};

/// A cluster as it is.
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
}

/// A node as it is.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Node {
    node: u8,
    images: Vec<String>,
    fsid: String,
    role: String,
    state: String,
    note: String,
    version: Option<String>,
    tid: u64,
    behind_tids: u64,
    behind_epochs: Option<u32>,
    behind_commits: Option<u32>,
    /// Commands that it hasn't executed yet.
    #[serde(default)]
    backlog: usize,
    has_left: bool,
    is_distrusted: bool,
    total_bytes: u64,
    free_bytes: u64,
    held_by: Option<Held>,
}

/// Who writes to a node that other machines can reach.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Held {
    host: String,
    /// When it said so last, by the clock of its machine.
    time: String,
    /// It is the mount that is asked.
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
    role: String,
    version: String,
    note: String,
}

impl Status {
    /// How a mounted filesystem's cluster is; none for one that never was a cluster's.
    pub async fn of(fs: &FileSystem, images: &Images) -> Option<Self> {
        let status = fs.cluster_status()?;
        let missing = fs.missing_members();
        let mut nodes = Vec::new();
        for member in fs.member_statuses() {
            let held_by = fs.holder(member.node).await.map(Held::of);
            nodes.push(Node { held_by, ..Node::of(&member, &status, images) });
        }
        Some(Self {
            health: health(status.health).into(),
            label: String::from_utf8_lossy(&fs.pfs().label).into_owned(),
            clid: fs.pfs().clid.to_string(),
            version: status.version.to_string(),
            tid: status.tid.0,
            masters: status.voters,
            masters_in_sync: status.in_sync,
            quorum: status.voters / 2 + 1,
            changing_members: status.is_changing,
            refused: status.refused.map(|refused| Known::of_mount(images, fs.member_statuses()).op_error(&refused)),
            nodes,
            missing: { missing.iter() }
                .map(|member| Missing {
                    fsid: member.fsid.to_string(),
                    role: member.role.to_string(),
                    version: member.last_known.to_string(),
                    note: format!("`hammer2 cluster remove {} {}` gives it up", images.place(), member.fsid),
                })
                .collect(),
        })
    }

    /// True when a node was opened from this image.
    pub fn has_image(&self, image: &Path) -> bool {
        self.nodes.iter().flat_map(|node| &node.images).any(|known| Path::new(known) == image)
    }

    /// How many masters it has.
    pub fn masters(&self) -> usize {
        self.masters
    }

    /// How it is.
    pub fn health(&self) -> Health {
        match &self.health[..] {
            "healthy" => Health::Healthy,
            "degraded" => Health::Degraded,
            _ => Health::Stopped,
        }
    }
}

fn health(health: Health) -> &'static str {
    match health {
        Health::Healthy => "healthy",
        Health::Degraded => "degraded",
        Health::Stopped => "stopped",
    }
}

impl Node {
    fn of(member: &MemberStatus, status: &ClusterStatus, images: &Images) -> Self {
        let (state, note) = described(member);
        let lag = member.version.map(|version| lag(version, status.version));
        Self {
            node: member.node.0,
            images: images.of(member.node),
            fsid: member.fsid.to_string(),
            role: member.role.to_string(),
            state: state.into(),
            note,
            version: member.version.map(|version| version.to_string()),
            tid: member.tid.0,
            behind_tids: status.tid.0.saturating_sub(member.tid.0),
            behind_epochs: lag.map(|(epochs, _)| epochs),
            behind_commits: lag.map(|(_, commits)| commits),
            backlog: member.backlog,
            has_left: member.has_left,
            is_distrusted: member.is_distrusted,
            total_bytes: member.total_bytes,
            free_bytes: member.free_bytes,
            held_by: None,
        }
    }
}

/// A word for a state, and what there is to say of it.
fn state(state: MemberState) -> (&'static str, String) {
    match state {
        MemberState::InSync => ("in sync", String::new()),
        MemberState::Behind(debt) if debt.thorough => ("behind", "`hammer2 cluster resync` compares everything".into()),
        MemberState::Behind(_) => ("behind", "`hammer2 cluster resync` copies what changed".into()),
        MemberState::Ejected(why) => ("ejected", why.to_string()),
        MemberState::Aside(State::Outside) => {
            ("aside", "no member (any more): `hammer2 cluster add` makes it one".into())
        }
        MemberState::Aside(State::Twin) => ("aside", "a copy of another member: name only one of them".into()),
        MemberState::Aside(State::Damaged(corruption)) => ("aside", corruption.to_string()),
        MemberState::Aside(_) => ("aside", "has nothing of this PFS, or is no part of the mount".into()),
    }
}

/// The same, with what the others know of it.
fn described(member: &MemberStatus) -> (&'static str, String) {
    let (state, mut note) = match (member.state, member.unreadable) {
        (MemberState::Aside(_), Some(why)) => ("unread", format!("it can't be read: {why}")),
        (other, _) => state(other),
    };
    if member.is_distrusted {
        note += "; it held something wrong";
    } else if member.has_left {
        note += "; it left while it was in use";
    } else if member.backlog > 0 {
        note += &format!("; it lags by {} commands", member.backlog);
    }
    (state, note.trim_start_matches("; ").to_owned())
}

/// How many epochs a version lies behind, or how many commits of the same epoch.
fn lag(version: CommitId, newest: CommitId) -> (u32, u32) {
    let (old, new) = (version.position(), newest.position());
    match new.0.0.saturating_sub(old.0.0) {
        0 => (0, new.1.0.saturating_sub(old.1.0)),
        epochs => (epochs, 0),
    }
}

impl Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { label, health, version, masters_in_sync, masters, quorum, .. } = self;
        let label = label.replace(char::is_control, "?");
        write!(f, "{label}: {health}, version {version}, {masters_in_sync} of {masters} masters in sync, ")?;
        writeln!(f, "quorum {quorum}")?;
        if let Some(refused) = &self.refused {
            writeln!(f, "{refused}")?;
        }
        if self.changing_members {
            writeln!(f, "a change of the members is unfinished: the next mount that changes something finishes it")?;
        }
        let images = self.nodes.iter().map(|node| node.image().chars().count());
        let widest = images.chain(["image".len()]).max().unwrap_or(0);
        let heads = ["role", "state", "version", "lag", "free", "image"];
        let [role, state, version, lag, free, image] = heads;
        write!(f, "node  {role:11}  {state:8}  {version:>8}  {lag:>10}  {free:>5}  {image:widest$}  note")?;
        for node in &self.nodes {
            let Node { node: number, role, state, note, .. } = node;
            let version = node.version.as_deref().unwrap_or("-");
            let (lag, percent, image) = (node.lag(), node.free_percent(), node.image());
            let line = format!(
                "{number:>4}  {role:11}  {state:8}  {version:>8}  {lag:>10}  {percent:>4}%  {image:widest$}  {note}"
            );
            write!(f, "\n{}", line.trim_end())?;
        }
        for node in &self.nodes {
            if let Some(Held { host, time, is_own: false }) = &node.held_by {
                write!(f, "\n{}: written to by {host}, last at {time} UTC by its clock", node.image())?;
            }
        }
        for Missing { fsid, role, version, note } in &self.missing {
            write!(
                f,
                "\n   -  {role:11}  missing   {version:>8}  {:>10}  {:>5}  {:widest$}  {fsid}: {note}",
                "-", "-", "-"
            )?;
        }
        Ok(())
    }
}

impl Node {
    /// As users name it, fit for a terminal.
    fn image(&self) -> String {
        self.images.join(":").replace(char::is_control, "?")
    }

    fn lag(&self) -> String {
        match (self.behind_epochs, self.behind_commits) {
            (Some(epochs @ 1..), _) => format!("{epochs} epochs"),
            (_, Some(commits @ 1..)) => format!("{commits} commits"),
            _ => "-".to_owned(),
        }
    }

    fn free_percent(&self) -> u64 {
        (self.free_bytes * 100).checked_div(self.total_bytes).unwrap_or(0)
    }
}
