//! `hammer2 cluster status`: which nodes are in step, and what is wrong with the others.

use clap::Args;
use hammer2_core::cluster::vote::{CommitId, Mount, State};
use hammer2_core::cluster::{ClusterStatus, Health, MemberState, MemberStatus, NodeIndex};
use hammer2_core::fs::{FileSystem, MountError};
use serde_json::{Value, json};

use crate::cli::output::Output;
use crate::cli::session::{Session, Settings, mount_failure};
use crate::cli::target::Target;
use crate::cli::{Failure, Outcome};
use crate::device::Access;

/// Show how a cluster and its nodes are
///
/// Exit status: 0 all members are in step, 1 a quorum is, 3 too few to change anything.
#[derive(Args)]
pub(in crate::cli) struct Status {
    /// Print a JSON object
    #[arg(long)]
    json: bool,
    /// NODE+NODE...[@LABEL]
    #[arg(value_parser = Target::parser())]
    target: Target,
}

impl Status {
    pub(super) fn run(&self, settings: &Settings, output: &mut Output) -> Result<Outcome, Failure> {
        let session = Session::new(settings);
        session.run(async {
            let fs = self.look(&session).await?;
            let Some(status) = fs.cluster_status() else {
                return Err(Failure::unusable("this PFS is no cluster's: `cluster create` makes one"));
            };
            if self.json {
                output.line(json_of(&fs, &status))?;
            } else {
                show(&fs, &status, output)?;
            }
            Ok(match status.health {
                Health::Healthy => Outcome::Good,
                Health::Degraded => Outcome::Bad,
                Health::Stopped => Outcome::Stopped,
            })
        })
    }
}

impl Status {
    /// Mounts the cluster, or if it must not be, any member: each says what there is to say of the others.
    async fn look(&self, session: &Session) -> Result<FileSystem, Failure> {
        let error = match session.mount_as(&self.target, Access::Read, None).await? {
            Ok((fs, _)) => return Ok(fs),
            Err(error) => error,
        };
        if matches!(error, MountError::Op(_)) {
            for node in (0..self.target.nodes.len() as u8).map(NodeIndex) {
                let mount = Some(Mount::AsOf(Some(node)));
                if let Ok((fs, _)) = session.mount_as(&self.target, Access::Read, mount).await? {
                    return Ok(fs);
                }
            }
        }
        Err(mount_failure(&self.target, error))
    }
}

fn health(health: Health) -> &'static str {
    match health {
        Health::Healthy => "healthy",
        Health::Degraded => "degraded",
        Health::Stopped => "stopped",
    }
}

/// A word for a state, and what there is to say of it.
fn state(state: MemberState) -> (&'static str, String) {
    match state {
        MemberState::InSync => ("in sync", String::new()),
        MemberState::Behind(debt) if debt.thorough => ("behind", "`cluster resync` compares everything".into()),
        MemberState::Behind(_) => ("behind", "`cluster resync` copies what changed".into()),
        MemberState::Ejected(why) => ("ejected", why.to_string()),
        MemberState::Aside(State::Outside) => ("aside", "no member (any more): `cluster add` makes it one".into()),
        MemberState::Aside(State::Twin) => ("aside", "a copy of another member: name only one of them".into()),
        MemberState::Aside(State::Damaged(corruption)) => ("aside", corruption.to_string()),
        MemberState::Aside(_) => ("aside", "has nothing of this PFS, or is no part of the mount".into()),
    }
}

/// The same, with what the others know of it.
fn described(member: &MemberStatus) -> (&'static str, String) {
    let (state, mut note) = state(member.state);
    if member.is_distrusted {
        note += "; it held something wrong";
    } else if member.has_left {
        note += "; it left while it was in use";
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

fn json_of(fs: &FileSystem, status: &ClusterStatus) -> Value {
    let member = |member: MemberStatus| {
        let (state, note) = described(&member);
        let lag = member.version.map(|version| lag(version, status.version));
        json!({
            "node": member.node.0,
            "fsid": member.fsid.to_string(),
            "role": member.role.to_string(),
            "state": state,
            "note": note,
            "version": member.version.map(|version| version.to_string()),
            "tid": member.tid.0,
            "behind_tids": status.tid.0.saturating_sub(member.tid.0),
            "behind_epochs": lag.map(|(epochs, _)| epochs),
            "behind_commits": lag.map(|(_, commits)| commits),
            "has_left": member.has_left,
            "is_distrusted": member.is_distrusted,
            "total_bytes": member.total_bytes,
            "free_bytes": member.free_bytes,
        })
    };
    json!({
        "health": health(status.health),
        "label": String::from_utf8_lossy(&fs.pfs().label),
        "clid": fs.pfs().clid.to_string(),
        "version": status.version.to_string(),
        "tid": status.tid.0,
        "masters": status.voters,
        "masters_in_sync": status.in_sync,
        "quorum": status.voters / 2 + 1,
        "changing_members": status.is_changing,
        "refused": status.refused.map(|refused| refused.to_string()),
        "nodes": fs.member_statuses().map(member).collect::<Vec<_>>(),
        "missing": fs.missing_members().iter().map(|member| json!({
            "fsid": member.fsid.to_string(),
            "role": member.role.to_string(),
            "version": member.last_known.to_string(),
        })).collect::<Vec<_>>(),
    })
}

fn show(fs: &FileSystem, status: &ClusterStatus, output: &mut Output) -> Result<(), Failure> {
    output.line(format_args!(
        "{}: {}, version {}, {} of {} masters in sync, quorum {}",
        String::from_utf8_lossy(&fs.pfs().label),
        health(status.health),
        status.version,
        status.in_sync,
        status.voters,
        status.voters / 2 + 1
    ))?;
    if let Some(refused) = status.refused {
        output.line(refused)?;
    }
    if status.is_changing {
        output.line("a change of the members is unfinished: the next mount that changes something finishes it")?;
    }
    output.line(format_args!(
        "{:>4}  {:11}  {:8}  {:>8}  {:>10}  {:>7}  note",
        "node", "role", "state", "version", "lag", "free"
    ))?;
    for member in fs.member_statuses() {
        let (state, note) = described(&member);
        let version = member.version.map_or("-".into(), |version| version.to_string());
        let lag = match member.version.map(|version| lag(version, status.version)) {
            None | Some((0, 0)) => "-".into(),
            Some((0, commits)) => format!("{commits} commits"),
            Some((epochs, _)) => format!("{epochs} epochs"),
        };
        let percent = (member.free_bytes * 100).checked_div(member.total_bytes).unwrap_or(0);
        output.line(
            format_args!(
                "{:>4}  {:11}  {state:8}  {version:>8}  {lag:>10}  {percent:>6}%  {note}",
                member.node.0,
                member.role.to_string()
            )
            .to_string()
            .trim_end(),
        )?;
    }
    for member in fs.missing_members() {
        let (role, version) = (member.role.to_string(), member.last_known.to_string());
        output
            .line(format_args!("   -  {role:11}  missing   {version:>8}  {:>10}  {:>7}  {}", "-", "-", member.fsid))?;
    }
    Ok(())
}
