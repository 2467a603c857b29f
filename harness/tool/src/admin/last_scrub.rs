//! The result of the last scrub.

use std::fmt::{self, Display};

use hammer2_core::fs::TimeSource as _;
use hammer2_core::media::{Timestamp, Uuid};
use hammer2_host::time_source::HostTime;
use serde::{Deserialize, Serialize};

use super::{Scrubbed, state};

/// The result of the last scrub of a PFS.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct LastScrub {
    /// When it ended, in microseconds since 1970.
    pub at_us: u64,
    /// What it found.
    pub counts: Scrubbed,
    /// The nodes that were read.
    fsids: Vec<String>,
    /// Members that weren't read.
    unread: usize,
}

impl LastScrub {
    /// A scrub that ends now, of these nodes.
    pub fn now(counts: Scrubbed, fsids: Vec<String>, unread: usize) -> Self {
        Self { at_us: HostTime.now().microseconds, counts, fsids, unread }
    }

    /// The last one of a PFS that is known of.
    pub fn read(clid: Uuid) -> Option<Self> {
        state::read(&name(clid))
    }

    /// Keeps it, if that is possible.
    pub fn keep(&self, clid: Uuid) {
        if let Err(error) = state::keep(&name(clid), self) {
            log::warn!("{error}: what the scrub came to is not kept");
        }
    }

    /// True when that node was read.
    pub(super) fn has_read(&self, fsid: &str) -> bool {
        self.fsids.iter().any(|known| known == fsid)
    }

    /// When it ended.
    pub(super) fn at(&self) -> String {
        Timestamp { microseconds: self.at_us }.to_string()
    }

    /// All was read, and is well.
    pub fn was_good(&self) -> bool {
        self.counts.is_whole() && self.unread == 0
    }
}

impl Display for LastScrub {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} UTC: {}, {} members unread", self.at(), self.counts, self.unread)
    }
}

fn name(clid: Uuid) -> String {
    format!("{clid}.json")
}
