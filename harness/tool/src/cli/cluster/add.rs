//! `hammer2 cluster add`, `replace` and `adopt`: volumes become members.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use hammer2_core::cluster::resync::ResyncCounts;
use hammer2_core::cluster::vote::Role;
use hammer2_core::cluster::{MemberState, NodeIndex};
use hammer2_core::newfs::NewfsOptions;
use hammer2_host::device::Access;
use serde_json::json;

use super::orders::{self, Print};
use crate::admin::{Name, Order, take_in, whole_path};
use crate::cli::format::{format, holds_hammer2, refuse_content};
use crate::cli::output::Output;
use crate::cli::progress;
use crate::cli::session::{Session, Settings};
use crate::cli::target::Target;
use crate::cli::{Failure, Outcome, mounted};

/// Make a volume a member: everything is copied to it. A filesystem of one node becomes a cluster
#[derive(Args)]
pub(in crate::cli) struct Add {
    /// Print the result as a JSON object
    #[arg(long)]
    json: bool,
    /// What it becomes
    #[arg(short = 't', value_enum, ignore_case = true, default_value_t = MemberType::Master)]
    kind: MemberType,
    #[command(flatten)]
    overwrite: Overwrite,
    /// NODE[+NODE...][@LABEL], or the directory a cluster is mounted on
    #[arg(value_parser = Target::parser())]
    target: Target,
    /// The volumes of the new node, IMG[:IMG2...]; formatted if they hold nothing
    #[arg(value_name = "NEW", value_parser = Target::parser())]
    new: Target,
}

/// Put a new node in the place of a member, which may be missing
#[derive(Args)]
pub(in crate::cli) struct Replace {
    /// Print the result as a JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    overwrite: Overwrite,
    /// NODE+NODE...[@LABEL], or the directory it is mounted on
    #[arg(value_parser = Target::parser())]
    target: Target,
    /// The member that goes: its image, node number or fsid
    #[arg(value_name = "OLD")]
    old: OsString,
    /// The volumes of the new node, IMG[:IMG2...]; formatted if they hold nothing
    #[arg(value_name = "NEW", value_parser = Target::parser())]
    new: Target,
}

/// Make one cluster of PFSs that `pfs-create -u` made one by one. The content of the first is copied to all others
#[derive(Args)]
pub(in crate::cli) struct Adopt {
    /// Print a JSON object for each node that was brought in step
    #[arg(long)]
    json: bool,
    /// NODE+NODE...[@LABEL]
    #[arg(value_parser = Target::parser())]
    target: Target,
}

/// What may be overwritten on the new volumes.
#[derive(Args)]
struct Overwrite {
    /// Overwrite anything but a HAMMER2 filesystem on the new volumes, unless it is in use; and allow a second master, although
    /// either of two stops both
    #[arg(short, long)]
    force: bool,
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
        let permit = || self.refuse_second_master(&session);
        let images = new_node(&session, &self.target, &self.new, self.overwrite.force, &permit)?;
        if self.target.directory().is_none() {
            found(&session, &self.target)?;
        }
        let order = Order::Add { images, votes: self.kind == MemberType::Master };
        orders::carry_out(settings, &self.target, &order, &mut Print { output, json: self.json })
    }
}

impl Add {
    /// Refuses a second master: two keep written content more safely than one, but stop sooner.
    fn refuse_second_master(&self, session: &Session) -> Result<(), Failure> {
        if self.overwrite.force || self.kind != MemberType::Master || self.masters(session)? != 1 {
            return Ok(());
        }
        let (target, new) = (&self.target, &self.new);
        Err(Failure::unusable(format_args!(
            "with two masters nothing can be changed any more when either stops: `hammer2 cluster add -t SLAVE {target} {new}` \
             makes a copy that can't stop the other, and `hammer2 cluster add -f {target} {new}` makes two masters, for a third \
             to follow"
        )))
    }

    /// How many masters there are.
    fn masters(&self, session: &Session) -> Result<usize, Failure> {
        if let Some(directory) = self.target.directory() {
            return Ok(mounted::status(directory)?.masters());
        }
        let (fs, _) = session.run(session.mount_to_serve(&self.target, Access::Read))?;
        Ok(fs.cluster_status().map_or(1, |status| status.voters))
    }
}

impl Replace {
    pub(super) fn run(&self, settings: &Settings, output: &mut Output) -> Result<Outcome, Failure> {
        let session = Session::new(settings);
        let images = new_node(&session, &self.target, &self.new, self.overwrite.force, &|| Ok(()))?;
        let order = Order::Replace { old: Name::new(&self.old), images };
        orders::carry_out(settings, &self.target, &order, &mut Print { output, json: self.json })
    }
}

impl Adopt {
    pub(super) fn run(&self, settings: &Settings, output: &mut Output) -> Result<Outcome, Failure> {
        let session = Session::new(settings);
        let first = Target { nodes: self.target.nodes.iter().take(1).cloned().collect(), ..self.target.clone() };
        found(&session, &first)?;
        session.change_members(&self.target, None, async |fs, images| {
            let others: Vec<_> = fs.member_statuses().filter(|member| member.state != MemberState::InSync).collect();
            for member in others {
                let counter = progress::byte_counter();
                counter.tick();
                let show = &mut |node: NodeIndex, counts: &ResyncCounts| {
                    progress::show_copy(&counter, &images.called(node), &(*counts).into());
                };
                let taken = take_in(fs, images, member.node, member.role == Role::Master, show).await;
                counter.finish_and_clear();
                let snapshots_lacking = taken?;
                if self.json {
                    let (node, called) = (member.node.0, images.called(member.node));
                    output.line(json!({ "node": node, "called": called, "snapshots_lacking": snapshots_lacking }))?;
                }
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

/// The volumes of a new node, formatted if they hold nothing and `permit` allows it. Volumes that a mount has open already hold
/// something.
fn new_node(
    session: &Session,
    target: &Target,
    new: &Target,
    force: bool,
    permit: &dyn Fn() -> Result<(), Failure>,
) -> Result<Vec<PathBuf>, Failure> {
    let Some(images) = new.only_node().filter(|_| new.label.is_none() && new.path == b"/") else {
        return Err(Failure::unusable("name the new node without label and path"));
    };
    let volumes: Vec<PathBuf> = images.iter().map(|image| whole_path(image)).collect();
    let mount = target.directory().map(mounted::status).transpose()?;
    let is_known = mount.is_some_and(|status| volumes.iter().all(|volume| status.has_image(volume)));
    match session.run(format_blank(session, images, force, permit)) {
        // It is in use there.
        Err(Failure::Unusable(_)) if is_known => permit()?,
        formatted => formatted?,
    }
    Ok(volumes)
}

/// Formats volumes, unless they hold a filesystem of ours. With `force`, anything else on them is overwritten.
async fn format_blank(
    session: &Session,
    images: &[PathBuf],
    force: bool,
    permit: &dyn Fn() -> Result<(), Failure>,
) -> Result<(), Failure> {
    let disks = session.open_disks(images, Access::Write)?;
    let is_formatted = holds_hammer2(&disks).await?;
    if !is_formatted && !force {
        refuse_content(images, &disks).await?;
    }
    permit()?;
    if is_formatted {
        return Ok(());
    }
    format(&disks, &NewfsOptions { labels: &[], ..NewfsOptions::default() }).await.map(drop)
}
