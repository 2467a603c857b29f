//! `hammer2 cluster status`: which nodes are in step, and what is wrong with the others.

use clap::Args;
use hammer2_core::cluster::vote::Mount;
use hammer2_core::cluster::{Health, NodeIndex};
use hammer2_core::fs::FileSystem;
use hammer2_host::device::Access;

use crate::admin::{self, Images};
use crate::cli::output::Output;
use crate::cli::session::{Session, Settings};
use crate::cli::target::Target;
use crate::cli::{Failure, Outcome, mounted};

/// Show the state of a cluster and its nodes
///
/// Exit status: 0 all members are in step, 1 a quorum is, 3 too few to change anything.
#[derive(Args)]
pub(in crate::cli) struct Status {
    /// Print a JSON object
    #[arg(long)]
    json: bool,
    /// Print a page for a browser: the picture, members, the last scrub, and for a mount the events
    #[arg(long, conflicts_with = "json")]
    html: bool,
    /// Print a picture: members, versions, lag, errors, the last scrub
    #[arg(long, conflicts_with_all = ["json", "html"])]
    svg: bool,
    /// NODE+NODE...[@LABEL], or the directory it is mounted on
    #[arg(value_parser = Target::parser())]
    target: Target,
}

impl Status {
    pub(super) fn run(&self, settings: &Settings, output: &mut Output) -> Result<Outcome, Failure> {
        if let Some(directory) = self.target.directory() {
            let events = if self.html { Some(mounted::past_events(directory)?) } else { None };
            return self.print(&mounted::status(directory)?, events.as_deref(), output);
        }
        let session = Session::new(settings);
        session.run(async {
            let (fs, images) = self.look(&session).await?;
            let none = || Failure::unusable(images.no_cluster());
            self.print(&admin::Status::of(&fs, &images).await.ok_or_else(none)?, None, output)
        })
    }

    fn print(
        &self,
        status: &admin::Status,
        events: Option<&[admin::Event]>,
        output: &mut Output,
    ) -> Result<Outcome, Failure> {
        match self {
            Self { json: true, .. } => output.line(serde_json::to_string(status).map_err(Failure::failed)?)?,
            Self { html: true, .. } => output.line(status.html(events))?,
            Self { svg: true, .. } => output.line(status.svg())?,
            _ => output.line(status)?,
        }
        Ok(match status.health() {
            Health::Healthy => Outcome::Good,
            Health::Degraded => Outcome::Bad,
            Health::Stopped => Outcome::Stopped,
        })
    }
}

impl Status {
    /// Mounts the cluster, or any member if the cluster can't be mounted: each has records of the others.
    async fn look(&self, session: &Session) -> Result<(FileSystem, Images), Failure> {
        let error = match session.mount_as(&self.target, Access::Read, None).await? {
            Ok(mounted) => return Ok(mounted),
            Err(error) => error,
        };
        if error.is_refused {
            for node in (0..self.target.nodes.len() as u8).map(NodeIndex) {
                let mount = Some(Mount::AsOf(Some(node)));
                if let Ok(mounted) = session.mount_as(&self.target, Access::Read, mount).await? {
                    return Ok(mounted);
                }
            }
        }
        Err(error.into())
    }
}
