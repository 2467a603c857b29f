//! `hammer2 cluster add`, `replace` and `adopt`: volumes become members.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use hammer2_core::cluster::vote::Role;
use hammer2_core::cluster::{Change, MemberState, NodeIndex};
use hammer2_core::fs::{FileSystem, TimeSource as _};
use hammer2_core::media::{PfsKind, Uuid};
use hammer2_core::newfs::{self, NewfsOptions};

use super::{naming, resync};
use crate::cli::output::Output;
use crate::cli::pfs::new_pfs;
use crate::cli::session::{Session, Settings, TOOL_HEAP};
use crate::cli::target::Target;
use crate::cli::{Failure, Outcome};
use crate::device::Access;
use crate::random::fill_random;
use crate::time_source::HostTime;

/// Make a volume a member: it gets everything the others have. A filesystem of one node becomes a cluster
#[derive(Args)]
pub(in crate::cli) struct Add {
    /// What it becomes
    #[arg(short = 't', value_enum, default_value_t = MemberType::Master)]
    kind: MemberType,
    /// NODE[+NODE...][@LABEL]
    #[arg(value_parser = Target::parser())]
    target: Target,
    /// The volumes of the new node, IMG[:IMG2...]; formatted if they hold no filesystem
    #[arg(value_name = "NEW", value_parser = Target::parser())]
    new: Target,
}

/// Put a new node in the place of a member, which may be missing
#[derive(Args)]
pub(in crate::cli) struct Replace {
    /// NODE+NODE...[@LABEL]
    #[arg(value_parser = Target::parser())]
    target: Target,
    /// The member that goes: its image, node number or fsid
    #[arg(value_name = "OLD")]
    old: OsString,
    /// The volumes of the new node, IMG[:IMG2...]; formatted if they hold no filesystem
    #[arg(value_name = "NEW", value_parser = Target::parser())]
    new: Target,
}

/// Make one cluster of PFSs that `pfs-create -u` made one by one. What the first holds is copied to all others
#[derive(Args)]
pub(in crate::cli) struct Adopt {
    /// NODE+NODE...[@LABEL]
    #[arg(value_parser = Target::parser())]
    target: Target,
}

/// What a new member becomes.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "UPPER")]
enum MemberType {
    Master,
    Slave,
}

impl Add {
    pub(super) fn run(&self, settings: &Settings, _: &mut Output) -> Result<Outcome, Failure> {
        let session = Session::new(settings);
        found(&session, &self.target)?;
        let (target, node) = with_new(&session, &self.target, &self.new)?;
        session.change_members(&target, None, async |fs, seats| {
            let node = seats[node].ok_or_else(|| Failure::unusable("the new node can't be opened"))?;
            take_in(fs, node, self.kind == MemberType::Master).await.map(|_| Outcome::Good)
        })
    }
}

impl Replace {
    pub(super) fn run(&self, settings: &Settings, _: &mut Output) -> Result<Outcome, Failure> {
        let session = Session::new(settings);
        let (target, node) = with_new(&session, &self.target, &self.new)?;
        session.change_members(&target, None, async |fs, seats| {
            let old = naming::member(&self.old, &target, seats, fs)?;
            let node = seats[node].ok_or_else(|| Failure::unusable("the new node can't be opened"))?;
            let new = take_in(fs, node, false).await?;
            fs.change_members(Change::Replace { old, new }).await.map_err(Failure::failed)?;
            Ok(Outcome::Good)
        })
    }
}

impl Adopt {
    pub(super) fn run(&self, settings: &Settings, _: &mut Output) -> Result<Outcome, Failure> {
        let session = Session::new(settings);
        let first = Target { nodes: self.target.nodes.iter().take(1).cloned().collect(), ..self.target.clone() };
        found(&session, &first)?;
        session.change_members(&self.target, None, async |fs, _| {
            let others: Vec<_> = fs.member_statuses().filter(|member| member.state != MemberState::InSync).collect();
            for member in others {
                take_in(fs, member.node, member.role == Role::Master).await?;
            }
            Ok(Outcome::Good)
        })
    }
}

/// Makes a node a member, or finishes what was begun: it gets everything, and votes if it is to be a master.
async fn take_in(fs: &FileSystem, node: NodeIndex, votes: bool) -> Result<Uuid, Failure> {
    let member = |fs: &FileSystem| fs.member_statuses().find(|member| member.node == node);
    let is_begun = matches!(member(fs).map(|member| member.state), Some(MemberState::Behind(_)));
    if !is_begun {
        let label = fs.pfs().label.clone();
        fs.add_member(node, &new_pfs(&label, PfsKind::Slave)?).await.map_err(Failure::failed)?;
    }
    resync::showing(fs, node).await.map_err(Failure::failed)?;
    let member = member(fs).ok_or_else(|| Failure::failed("the new node is gone"))?;
    if votes && member.role == Role::Slave {
        fs.change_members(Change::Promote(member.fsid)).await.map_err(Failure::failed)?;
    }
    Ok(member.fsid)
}

/// Makes a filesystem of one node a cluster, if it isn't one.
fn found(session: &Session, target: &Target) -> Result<(), Failure> {
    if target.only_node().is_none() {
        return Ok(());
    }
    let founding = session.change(target, async |fs| {
        if fs.cluster_status().is_none() {
            fs.found_cluster().await.map_err(Failure::failed)?;
        }
        Ok(Outcome::Good)
    });
    founding.map(drop)
}

/// A target with one node more, which is formatted if it holds no filesystem; the place of the new one.
fn with_new(session: &Session, target: &Target, new: &Target) -> Result<(Target, usize), Failure> {
    let Some(images) = new.only_node().filter(|_| new.label.is_none() && new.path == b"/") else {
        return Err(Failure::unusable("name the new node without label and path"));
    };
    if target.nodes.len() == hammer2_core::cluster::MAX_NODES {
        return Err(Failure::unusable("these are as many nodes as a cluster has: leave out one that is to go"));
    }
    session.run(format_blank(session, images))?;
    let nodes = target.nodes.iter().chain([images]).cloned().collect();
    Ok((Target { nodes, ..target.clone() }, target.nodes.len()))
}

async fn format_blank(session: &Session, images: &[PathBuf]) -> Result<(), Failure> {
    let disks = session.open_disks(images, Access::Write)?;
    for disk in &disks {
        if newfs::has_filesystem(disk, TOOL_HEAP).await.map_err(Failure::failed)? {
            return Ok(());
        }
    }
    let disks: Vec<_> = disks.iter().collect();
    fill_random(&mut [0; 1]).map_err(|error| Failure::failed(format_args!("no random numbers: {error}")))?;
    let mut failed = None;
    let mut random = |bytes: &mut [u8]| {
        if let Err(error) = fill_random(bytes) {
            failed = Some(error);
        }
    };
    let options = NewfsOptions { labels: &[], ..NewfsOptions::default() };
    newfs::newfs(&disks, &options, TOOL_HEAP, &mut random, HostTime.now()).await.map_err(Failure::failed)?;
    failed.map_or(Ok(()), |error| Err(Failure::failed(format_args!("no random numbers: {error}"))))
}
