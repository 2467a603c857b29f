//! What a mount needs to be done while nobody asks for anything.

mod nodes;

pub use nodes::{Attendant, Event, Pace, Trouble};

use super::FileSystem;

impl FileSystem {
    /// [Looks after](crate::cluster::Cluster::keep) the mount, for as long as it is polled. Every host runs it beside its
    /// requests.
    pub async fn keep(&self) {
        self.cluster.keep().await;
    }

    /// Does something, and [looks after](Self::keep) the mount meanwhile.
    pub async fn attend<T>(&self, work: impl Future<Output = T>) -> T {
        self.cluster.attend(work).await
    }
}
