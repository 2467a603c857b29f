//! `hammer2 cluster add`, `replace` and `adopt`: volumes become members.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use hammer2_core::cluster::resync::ResyncCounts;
use hammer2_core::cluster::vote::Role;
use hammer2_core::cluster::{MemberState, NodeIndex};
use hammer2_core::fs::TimeSource as _;
use hammer2_core::newfs::{self, NewfsOptions};

use super::mounted;
use super::orders::{self, Print};
use crate::admin::{Name, Order, take_in, whole_path};
use crate::cli::output::Output;
use crate::cli::progress;
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
    /// NODE[+NODE...][@LABEL], or the directory a cluster is mounted on
    #[arg(value_parser = Target::parser())]
    target: Target,
    /// The volumes of the new node, IMG[:IMG2...]; formatted if they hold no filesystem
    #[arg(value_name = "NEW", value_parser = Target::parser())]
    new: Target,
}

/// Put a new node in the place of a member, which may be missing
#[derive(Args)]
pub(in crate::cli) struct Replace {
    /// NODE+NODE...[@LABEL], or the directory it is mounted on
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
    pub(super) fn run(&self, settings: &Settings, output: &mut Output) -> Result<Outcome, Failure> {
        let session = Session::new(settings);
        let images = new_node(&session, &self.target, &self.new)?;
        if self.target.directory().is_none() {
            found(&session, &self.target)?;
        }
        let order = Order::Add { images, votes: self.kind == MemberType::Master };
        orders::carry_out(settings, &self.target, &order, &mut Print { output, json: false })
    }
}

impl Replace {
    pub(super) fn run(&self, settings: &Settings, output: &mut Output) -> Result<Outcome, Failure> {
        let images = new_node(&Session::new(settings), &self.target, &self.new)?;
        let order = Order::Replace { old: Name::new(&self.old), images };
        orders::carry_out(settings, &self.target, &order, &mut Print { output, json: false })
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
                let counter = progress::byte_counter();
                let show =
                    &mut |node: NodeIndex, counts: &ResyncCounts| orders::show(&counter, node.0, &(*counts).into());
                let taken = take_in(fs, member.node, member.role == Role::Master, show).await;
                counter.finish_and_clear();
                taken?;
            }
            Ok(Outcome::Good)
        })
    }
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

/// The volumes of a new node, formatted if they hold no filesystem. Those that a mount has open already do.
fn new_node(session: &Session, target: &Target, new: &Target) -> Result<Vec<PathBuf>, Failure> {
    let Some(images) = new.only_node().filter(|_| new.label.is_none() && new.path == b"/") else {
        return Err(Failure::unusable("name the new node without label and path"));
    };
    let volumes: Vec<PathBuf> = images.iter().map(|image| whole_path(image)).collect();
    let mount = target.directory().map(mounted::status).transpose()?;
    let is_known = mount.is_some_and(|status| volumes.iter().all(|volume| status.has_image(volume)));
    match session.run(format_blank(session, images)) {
        // It is in use there.
        Err(Failure::Unusable(_)) if is_known => {}
        formatted => formatted?,
    }
    Ok(volumes)
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
