//! `hammer2 cluster create`: formatted volumes become masters of a new PFS.

use std::ffi::OsString;

use clap::Args;
use hammer2_core::cluster::PfsOutcome;
use hammer2_core::fs::TimeSource as _;
use hammer2_core::media::PfsKind;
use hammer2_host::time_source::HostTime;
use serde_json::{Map, Value};

use crate::cli::output::{Output, insert_bytes};
use crate::cli::pfs::{label, new_pfs, taken};
use crate::cli::session::{Session, Settings};
use crate::cli::target::Target;
use crate::cli::{Failure, Outcome};

/// Make formatted volumes the masters of a new PFS
#[derive(Args)]
pub(in crate::cli) struct Create {
    /// Print the result as a JSON object
    #[arg(long)]
    json: bool,
    /// The label of the PFS
    #[arg(short = 'L', long, value_name = "LABEL")]
    label: OsString,
    /// A node that becomes a slave
    #[arg(long, value_name = "NODE", value_parser = Target::parser())]
    slave: Vec<Target>,
    /// A node that becomes a soft master: written by itself, as a history of its own
    #[arg(long, value_name = "NODE", value_parser = Target::parser())]
    soft_master: Vec<Target>,
    /// A node that becomes a soft slave: read by itself
    #[arg(long, value_name = "NODE", value_parser = Target::parser())]
    soft_slave: Vec<Target>,
    /// The masters, each IMG[:IMG2...]
    #[arg(value_name = "NODE", required = true, value_parser = Target::parser())]
    nodes: Vec<Target>,
}

impl Create {
    pub(super) fn run(&self, settings: &Settings, output: &mut Output) -> Result<Outcome, Failure> {
        let new = new_pfs(label(&self.label)?, PfsKind::Master)?;
        let (target, kinds) = self.target()?;
        let session = Session::new(settings);
        session.run(async {
            let cluster = session.open_whole_cluster(&target).await?;
            let create = async { cluster.create_as(&new, &kinds, HostTime.random()).await.map_err(Failure::failed) };
            match session.administer(&cluster, create).await? {
                PfsOutcome::Done if self.json => {
                    let mut object = Map::new();
                    insert_bytes(&mut object, "label", new.label);
                    object.insert("clid".into(), new.clid.to_string().into());
                    object.insert("nodes".into(), kinds.len().into());
                    output.line(Value::Object(object)).map(|()| Outcome::Good)
                }
                PfsOutcome::Done => Ok(Outcome::Good),
                _ => Err(taken(new.label)),
            }
        })
    }

    /// The nodes as one target, and what they become.
    fn target(&self) -> Result<(Target, Vec<PfsKind>), Failure> {
        let all = [
            (&self.nodes, PfsKind::Master),
            (&self.slave, PfsKind::Slave),
            (&self.soft_master, PfsKind::SoftMaster),
            (&self.soft_slave, PfsKind::SoftSlave),
        ];
        let (mut nodes, mut kinds) = (Vec::new(), Vec::new());
        for (node, kind) in all.into_iter().flat_map(|(nodes, kind)| nodes.iter().map(move |node| (node, kind))) {
            if node.label.is_some() || node.path != b"/" {
                return Err(Failure::unusable("name the nodes without label and path"));
            }
            nodes.extend(node.nodes.iter().cloned());
            kinds.resize(nodes.len(), kind);
        }
        let most = hammer2_core::cluster::MAX_NODES;
        if nodes.len() > most {
            return Err(Failure::unusable(format_args!("a cluster has at most {most} nodes")));
        }
        Ok((Target { nodes, label: None, path: b"/".to_vec() }, kinds))
    }
}
