//! Bringing members in step, and reading them all: what was done, and what wasn't.

use std::pin::pin;
use std::time::Duration;

use futures_util::future::{Either, select};
use hammer2_core::cluster::NodeIndex;
use hammer2_core::cluster::resync::ResyncCounts;
use hammer2_core::fs::FileSystem;

use super::{Copied, Done, LastScrub, Refused, Resynced, Scrubbing, Site};
use crate::clock::HostClock;

/// How often it is told how far a scrub is.
const BETWEEN_TELLING: Duration = Duration::from_millis(200);

/// Waits for a scrub, and has it told meanwhile how far it is.
pub async fn while_scrubbing<T>(
    fs: &FileSystem,
    clock: &HostClock,
    work: impl Future<Output = T>,
    mut show: impl FnMut(Scrubbing),
) -> T {
    let mut work = pin!(work);
    loop {
        match select(work, pin!(clock.sleep(BETWEEN_TELLING))).await {
            Either::Left((done, _)) => return done,
            Either::Right(((), going_on)) => work = going_on,
        }
        show(fs.scrub_progress().into());
    }
}

impl Site<'_> {
    pub(super) async fn resync(&self, show: &mut dyn FnMut(NodeIndex, &ResyncCounts)) -> Result<Done, Refused> {
        // Who doesn't answer any more is not in step.
        self.fs.probe().await.map_err(Refused::failed)?;
        let all = self.fs.resync_all(show).await.map_err(Refused::failed)?;
        let mut nodes: Vec<Resynced> = Vec::new();
        for (node, copied) in all {
            let copied = copied.map(Copied::from).map_err(|error| self.known().error(&error));
            nodes.push(Resynced { node: node.0, called: self.called(node), copied });
        }
        for member in self.fs.member_statuses() {
            if let Some(why) = self.images.why_apart(&member)
                && nodes.iter().all(|resynced| resynced.node != member.node.0)
            {
                let called = self.called(member.node);
                nodes.push(Resynced { node: member.node.0, called, copied: Err(why) });
            }
        }
        Ok(Done::Resynced { nodes, missing: self.missing() })
    }

    pub(super) async fn scrub(&self) -> Result<Done, Refused> {
        let counts = self.fs.scrub().await.map_err(|error| Refused::failed(self.known().error(&error)))?;
        let apart = self.fs.member_statuses().filter_map(|member| {
            let why = self.images.why_apart(&member)?;
            Some(format!("{}: {why}", self.called(member.node)))
        });
        let unread: Vec<String> = apart.chain(self.missing()).collect();
        let counts = counts.into();
        LastScrub::now(self.fs, counts, unread.len()).keep(self.fs.pfs().clid);
        Ok(Done::Scrubbed { counts, unread })
    }

    /// Members that aren't there.
    fn missing(&self) -> Vec<String> {
        let missing = self.fs.missing_members();
        missing.iter().map(|member| self.images.about_missing(member.fsid)).collect()
    }

    /// What a node is called: by its disks, its number and its fsid.
    fn called(&self, node: NodeIndex) -> String {
        self.known().called(node)
    }
}
