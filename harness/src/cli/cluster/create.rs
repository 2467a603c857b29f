//! `hammer2 cluster create`: formatted volumes become masters of a new PFS.

use std::ffi::OsString;

use clap::Args;
use hammer2_core::cluster::PfsOutcome;
use hammer2_core::fs::TimeSource as _;
use hammer2_core::media::PfsKind;

use crate::cli::output::Output;
use crate::cli::pfs::{label, new_pfs, taken};
use crate::cli::session::{Session, Settings};
use crate::cli::target::Target;
use crate::cli::{Failure, Outcome};
use crate::device::Access;
use crate::time_source::HostTime;

/// Make formatted volumes the masters of a new PFS
#[derive(Args)]
pub(in crate::cli) struct Create {
    /// The label of the PFS
    #[arg(short = 'L', long, value_name = "LABEL")]
    label: OsString,
    /// The nodes, each IMG[:IMG2...]
    #[arg(value_name = "NODE", required = true, value_parser = Target::parser())]
    nodes: Vec<Target>,
}

impl Create {
    pub(super) fn run(&self, settings: &Settings, _: &mut Output) -> Result<Outcome, Failure> {
        let new = new_pfs(label(&self.label)?, PfsKind::Master)?;
        let target = self.target()?;
        let session = Session::new(settings);
        session.run(async {
            let cluster = session.open_cluster(&target, Access::Write).await?;
            if cluster.nodes() < target.nodes.len() {
                return Err(Failure::unusable("all nodes must be there to make a cluster of them"));
            }
            match cluster.create(&new, HostTime.random()).await.map_err(Failure::failed)? {
                PfsOutcome::Done => Ok(Outcome::Good),
                _ => Err(taken(new.label)),
            }
        })
    }

    /// The nodes as one target.
    fn target(&self) -> Result<Target, Failure> {
        let mut nodes = Vec::new();
        for node in &self.nodes {
            if node.label.is_some() || node.path != b"/" {
                return Err(Failure::unusable("name the nodes without label and path"));
            }
            nodes.extend(node.nodes.iter().cloned());
        }
        let most = hammer2_core::cluster::MAX_NODES;
        if nodes.len() > most {
            return Err(Failure::unusable(format_args!("a cluster has at most {most} nodes")));
        }
        Ok(Target { nodes, label: None, path: b"/".to_vec() })
    }
}
