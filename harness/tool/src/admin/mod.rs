//! Administration of a cluster in use: the tool mounts it for a moment, or a mount carries orders out while it goes on.
//! An [`Order`] is carried out on a mounted filesystem, whoever mounted it; its result is a [`Done`]. An order can be sent to the
//! process that serves a mount, which sends the [`Done`] or the [`Status`] back.

mod advice;
mod event;
mod facts;
mod file_facts;
mod kernel;
mod last_scrub;
mod members;
mod metric;
mod names;
mod paused_scrub;
mod quotas;
mod report;
mod short_name;
pub mod socket;
mod state;
mod status;
mod upkeep;
pub mod wire;
mod wording;

use std::path::{Path, PathBuf};

use hammer2_core::cluster::resync::ResyncCounts;
use hammer2_core::cluster::{Change, NodeIndex};
use hammer2_core::fs::{Error, FileSystem};
use hammer2_core::io::Disk;
use hammer2_core::media::Uuid;
use hammer2_core::memory::Vec as HeapVec;
use hammer2_host::random::new_uuid;
use serde::{Deserialize, Serialize};

pub(crate) use advice::health_of;
pub use event::{Event, EventKind};
pub use facts::{Freed, NodeFacts, PfsFacts, header_fields, list_pfss};
pub use file_facts::FileFacts;
pub(crate) use file_facts::link_target;
pub use kernel::KernelMount;
pub use last_scrub::LastScrub;
pub use members::take_in;
pub use metric::{Metric, MetricType};
pub use names::{Images, LeftOut, Name};
pub use paused_scrub::PausedScrub;
pub use quotas::{QuotaFacts, quotas_of, set_quota};
pub use report::{Copied, Done, Freeing, Grown, Resynced, Scrubbed, Scrubbing};
pub use status::{Errors, Status};
pub use upkeep::{while_scrubbing, while_working};
pub use wording::Known;

/// A chunk is staged by one pass of bulkfree and freed by the next.
pub const BULKFREE_PASSES: usize = 2;

/// What is to be done.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Order {
    /// Make volumes a member.
    Add {
        /// The volumes; they hold a filesystem.
        images: Vec<PathBuf>,
        /// It becomes a master once it has everything; otherwise it stays a slave.
        votes: bool,
    },
    /// Put volumes in the place of a member, which may be missing.
    Replace {
        /// The member that goes.
        old: Name,
        /// The volumes.
        images: Vec<PathBuf>,
    },
    /// Remove a member.
    Remove(Name),
    /// Make a slave in step a master.
    Promote(Name),
    /// Bring all nodes that are behind in step.
    Resync,
    /// Bring a slave in step, and let go of it, so that its disk can be taken away.
    Detach {
        /// Its volumes; the member may be missing.
        images: Vec<PathBuf>,
    },
    /// Read, compare and repair everything on every node.
    Scrub,
    /// The same, from where the last one was paused.
    ResumeScrub,
}

impl Order {
    /// True for an order that copies to members.
    pub fn copies(&self) -> bool {
        matches!(self, Self::Add { .. } | Self::Replace { .. } | Self::Resync | Self::Detach { .. })
    }

    /// True for an order that reads everything.
    pub fn is_scrub(&self) -> bool {
        matches!(self, Self::Scrub | Self::ResumeScrub)
    }
}

/// Why an order wasn't carried out.
#[derive(Clone, Debug, thiserror::Error, Serialize, Deserialize)]
pub enum Refused {
    /// It makes no sense here.
    #[error("{0}")]
    Unusable(String),
    /// It failed.
    #[error("{0}")]
    Failed(String),
}

impl Refused {
    pub(crate) fn unusable(why: impl ToString) -> Self {
        Self::Unusable(why.to_string())
    }

    pub(crate) fn failed(why: impl ToString) -> Self {
        Self::Failed(why.to_string())
    }
}

/// Opens volumes.
pub type Open<'o> = dyn Fn(&[PathBuf]) -> Result<HeapVec<Disk>, Refused> + 'o;

/// A filesystem, and where its nodes come from.
pub struct Site<'s> {
    /// The filesystem.
    pub fs: &'s FileSystem,
    /// What its nodes were opened from.
    pub images: &'s Images,
    /// Opens volumes for writing.
    pub open: &'s Open<'s>,
    /// Returns true when a scrub is to pause.
    pub pauses: &'s dyn Fn() -> bool,
}

impl Site<'_> {
    /// Carries out an order; `show` gets the progress of copies.
    pub async fn carry_out(
        &self,
        order: &Order,
        show: &mut dyn FnMut(NodeIndex, &ResyncCounts),
    ) -> Result<Done, Refused> {
        let fs = self.fs;
        if fs.cluster_status().is_none() && !order.is_scrub() {
            return Err(Refused::unusable(self.images.no_cluster()));
        }
        match order {
            Order::Add { images, votes } => return self.add(images, *votes, show).await,
            Order::Replace { old, images } => return self.replace(old, images, show).await,
            Order::Remove(member) => self.change(Change::Remove(self.member(member)?)).await?,
            Order::Promote(member) => self.change(Change::Promote(self.member(member)?)).await?,
            Order::Resync => return self.resync(show).await,
            Order::Scrub => return self.scrub(None).await,
            Order::ResumeScrub => {
                let paused = PausedScrub::read(fs.pfs().clid).ok_or_else(|| self.no_paused_scrub())?;
                return self.scrub(Some(paused)).await;
            }
            Order::Detach { images } => return self.detach(images, show).await,
        }
        Ok(Done::Changed { snapshots_lacking: 0 })
    }

    fn known(&self) -> Known<'_> {
        Known::of_mount(self.images, self.fs)
    }

    /// A refusal for an operation that failed, with the names of the disks.
    fn failed(&self, error: &Error) -> Refused {
        Refused::failed(self.known().error(error))
    }

    async fn change(&self, change: Change) -> Result<(), Refused> {
        self.fs.change_members(change).await.map_err(|error| self.failed(&error))
    }
}

/// A new random UUID, for an order that needs one.
pub(crate) fn fresh_uuid() -> Result<Uuid, Refused> {
    new_uuid().map_err(|error| Refused::failed(format_args!("no random numbers: {error}")))
}

/// The path of an image that any process understands: from the root of the tree, unless the image isn't in the tree at all.
pub fn whole_path(image: &Path) -> PathBuf {
    let is_export = image.to_str().is_some_and(|name| hammer2_host::device::ExportAddress::parse(name).is_some());
    if is_export { image.to_owned() } else { std::path::absolute(image).unwrap_or_else(|_| image.to_owned()) }
}
