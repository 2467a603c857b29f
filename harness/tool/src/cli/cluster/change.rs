//! `hammer2 cluster remove`, `promote` and `force`: changing the members and their votes.

use std::ffi::OsString;

use clap::Args;
use hammer2_core::cluster::resync::ResyncCounts;
use hammer2_core::cluster::vote::Mount;
use hammer2_core::cluster::{MemberState, NodeIndex};
use hammer2_core::fs::FileSystem;
use hammer2_host::device::Access;
use serde_json::json;

use super::orders::{self, Print};
use crate::admin::{Images, Known, Name, Order, Resynced};
use crate::cli::output::Output;
use crate::cli::session::{Session, Settings};
use crate::cli::target::Target;
use crate::cli::{Failure, Outcome, progress};

/// Remove a member, which may be missing. If it is there, its PFS is removed from it
#[derive(Args)]
pub(in crate::cli) struct Remove {
    #[command(flatten)]
    named: Named,
}

/// Make a slave that is in step a master
#[derive(Args)]
pub(in crate::cli) struct Promote {
    #[command(flatten)]
    named: Named,
}

/// Go on with the content of one member, without a quorum or against other members. Those that are there and contradict it are
/// given up: its content is copied to them. Masters that aren't there are slaves from then on
#[derive(Args)]
pub(in crate::cli) struct Force {
    /// Do it; without this, only say what would be given up
    #[arg(short, long)]
    force: bool,
    #[command(flatten)]
    named: Named,
}

#[derive(Args)]
struct Named {
    /// Print the result as a JSON object
    #[arg(long)]
    json: bool,
    /// NODE[+NODE...][@LABEL], or, except for `force`, the directory it is mounted on
    #[arg(value_parser = Target::parser())]
    target: Target,
    /// The member: its image, node number or fsid
    #[arg(value_name = "MEMBER")]
    member: OsString,
}

impl Named {
    fn order(
        &self,
        settings: &Settings,
        order: impl FnOnce(Name) -> Order,
        output: &mut Output,
    ) -> Result<Outcome, Failure> {
        let order = order(Name::new(&self.member));
        orders::carry_out(settings, &self.target, &order, &mut Print { output, json: self.json })
    }
}

impl Remove {
    pub(super) fn run(&self, settings: &Settings, output: &mut Output) -> Result<Outcome, Failure> {
        self.named.order(settings, Order::Remove, output)
    }
}

impl Promote {
    pub(super) fn run(&self, settings: &Settings, output: &mut Output) -> Result<Outcome, Failure> {
        self.named.order(settings, Order::Promote, output)
    }
}

impl Force {
    pub(super) fn run(&self, settings: &Settings, output: &mut Output) -> Result<Outcome, Failure> {
        let Named { target, member, json } = &self.named;
        let session = Session::new(settings);
        // Any node's version will do to look up which node is meant.
        let images = session.run(session.images(target, Access::Read))?;
        let node = images.node(&Name::new(member))?;
        if !self.force {
            let mounted = session.run(session.mount_as(target, Access::Read, Some(Mount::Forced(node))))?;
            let (fs, images) = mounted?;
            return Err(self.announce(&fs, &images, node));
        }
        session.change_members(target, Some(Mount::Forced(node)), async |fs, images| {
            let counter = progress::byte_counter();
            counter.tick();
            let show = &mut |node: NodeIndex, counts: &ResyncCounts| {
                progress::show_copy(&counter, &images.called(node), &(*counts).into());
            };
            let all = fs.resync_all(show).await.map_err(Failure::failed)?;
            counter.finish_and_clear();
            for (node, resynced) in all {
                let called = images.called(node);
                let copied = resynced.map_err(|error| Failure::failed(format_args!("{called}: {error}")))?;
                if *json {
                    let resynced = Resynced { node: node.0, called, copied: Ok(copied.into()) };
                    Print { output: &mut *output, json: true }.resynced(&resynced)?;
                }
            }
            for member in fs.missing_members() {
                let fsid = member.fsid;
                match json {
                    true => output.line(json!({ "missing": fsid.to_string() }))?,
                    false => output.line(format_args!(
                        "member {fsid} isn't there and votes no more: `hammer2 cluster remove {target} {fsid}` gives it up"
                    ))?,
                }
            }
            Ok(Outcome::Good)
        })
    }

    /// What would be given up.
    fn announce(&self, fs: &FileSystem, images: &Images, chosen: NodeIndex) -> Failure {
        let Named { target, member, .. } = &self.named;
        let known = Known::of_mount(images, fs);
        let mut words = format!("this keeps what {} has, whatever others have", known.called(chosen));
        for other in fs.member_statuses().filter(|other| matches!(other.state, MemberState::Behind(_))) {
            let version = other.version.map_or("nothing".to_owned(), |version| format!("version {version}"));
            words += &format!("; {} ({version}) is overwritten with it", known.called(other.node));
        }
        for missing in fs.missing_members() {
            words += &format!("; member {}, which isn't there, votes no more", missing.fsid);
        }
        let member = member.display();
        Failure::unusable(format_args!("{words}: `hammer2 cluster force -f {target} {member}` does it"))
    }
}
