//! Bringing nodes of the cluster back in step while the file system is mounted.

use super::{Error, FileSystem};
use crate::cluster::resync::{ResyncCounts, ResyncError};
use crate::cluster::{MemberState, NodeIndex};

impl FileSystem {
    /// The nodes that have another version than the cluster's.
    pub fn nodes_behind(&self) -> impl Iterator<Item = NodeIndex> {
        self.cluster.behind()
    }

    /// What each node is to the mount, in the order in which they were opened.
    pub fn node_states(&self) -> impl Iterator<Item = MemberState> {
        self.cluster.states()
    }

    /// Brings a node in step with the others. Changes wait meanwhile.
    pub async fn resync(&self, node: NodeIndex) -> Result<ResyncCounts, Error> {
        let _changing = self.gate.change().await;
        self.sync_inside().await?;
        Ok(self.cluster.resync(node, &mut async || {}).await?)
    }
}

impl From<ResyncError> for Error {
    fn from(error: ResyncError) -> Self {
        match error {
            ResyncError::Cluster(error) => error.into(),
            ResyncError::Source(why) | ResyncError::Target(why) => Self::Resync(why),
        }
    }
}
