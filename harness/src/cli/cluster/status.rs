//! `hammer2 cluster status`: which nodes are in step, and what is wrong with the others.

use clap::Args;
use hammer2_core::cluster::vote::State;
use hammer2_core::cluster::{ClusterStatus, Health, MemberState, MemberStatus};
use hammer2_core::fs::FileSystem;
use serde_json::{Value, json};

use crate::cli::output::Output;
use crate::cli::session::{Session, Settings};
use crate::cli::target::Target;
use crate::cli::{Failure, Outcome};

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
            let fs = session.mount(&self.target).await?;
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
        MemberState::Behind(debt) if debt.thorough => ("behind", "everything is to be compared".into()),
        MemberState::Behind(_) => ("behind", "what changed is to be copied".into()),
        MemberState::Ejected(why) => ("ejected", why.to_string()),
        MemberState::Aside(State::Outside) => ("aside", "no member, or removed".into()),
        MemberState::Aside(State::Twin) => ("aside", "a copy of another member: name only one of them".into()),
        MemberState::Aside(State::Damaged(corruption)) => ("aside", corruption.to_string()),
        MemberState::Aside(_) => ("aside", "has nothing of this PFS, or is no part of the mount".into()),
    }
}

fn json_of(fs: &FileSystem, status: &ClusterStatus) -> Value {
    let member = |member: MemberStatus| {
        let (state, note) = state(member.state);
        json!({
            "node": member.node.0,
            "fsid": member.fsid.to_string(),
            "role": member.role.to_string(),
            "state": state,
            "note": note,
            "version": member.version.map(|version| version.to_string()),
            "tid": member.tid.0,
            "behind_tids": status.tid.0.saturating_sub(member.tid.0),
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
        "refused": status.refused.map(|refused| refused.to_string()),
        "nodes": fs.member_statuses().map(member).collect::<Vec<_>>(),
        "missing": fs.missing_members().iter().map(|fsid| fsid.to_string()).collect::<Vec<_>>(),
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
    output.line(format_args!("{:>4}  {:11}  {:8}  {:>8}  {:>7}  note", "node", "role", "state", "version", "free"))?;
    for member in fs.member_statuses() {
        let (state, note) = state(member.state);
        let version = member.version.map_or("-".into(), |version| version.to_string());
        let percent = (member.free_bytes * 100).checked_div(member.total_bytes).unwrap_or(0);
        output.line(
            format_args!(
                "{:>4}  {:11}  {state:8}  {version:>8}  {percent:>6}%  {note}",
                member.node.0,
                member.role.to_string()
            )
            .to_string()
            .trim_end(),
        )?;
    }
    for fsid in fs.missing_members() {
        output.line(format_args!("   -  {:11}  {:8}  {:>8}  {:>7}  {fsid}", "-", "missing", "-", "-"))?;
    }
    Ok(())
}
