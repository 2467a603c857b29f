//! `hammer2 cluster remove`, `promote` and `force`: who the members are, and whose word counts.

use std::ffi::OsString;

use clap::Args;
use hammer2_core::cluster::vote::Mount;

use super::orders::{self, Print};
use crate::admin::{Name, Order};
use crate::cli::output::Output;
use crate::cli::session::{Session, Settings};
use crate::cli::target::Target;
use crate::cli::{Failure, Outcome};
use crate::device::Access;

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

/// Go on with what one member holds, without a quorum or against what others hold. Those that are there and contradict it are
/// given up: they are copied from it. Masters that aren't there are slaves from then on
#[derive(Args)]
pub(in crate::cli) struct Force {
    #[command(flatten)]
    named: Named,
}

#[derive(Args)]
struct Named {
    /// NODE[+NODE...][@LABEL], or, but for `force`, the directory it is mounted on
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
        orders::carry_out(settings, &self.target, &order, &mut Print { output, json: false })
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
    pub(super) fn run(&self, settings: &Settings, _: &mut Output) -> Result<Outcome, Failure> {
        let Named { target, member } = &self.named;
        let session = Session::new(settings);
        // Which node it is: looked up with any node's version mounted.
        let images = session.run(session.images(target, Access::Read))?;
        let node = images.node(&Name::new(member))?;
        session.change_members(target, Some(Mount::Forced(node)), async |fs, _| {
            for (_, resynced) in fs.resync_all(&mut |_, _| {}).await.map_err(Failure::failed)? {
                resynced.map_err(Failure::failed)?;
            }
            Ok(Outcome::Good)
        })
    }
}
