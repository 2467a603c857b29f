//! What the last scrub came to: kept on this machine, as the disks have no place for it.
//!
//! In `/var/lib/hammer2`, a user's in `$XDG_STATE_HOME/hammer2` or `~/.local/state/hammer2`; where `HAMMER2_STATE` says
//! otherwise, there. Where it can't be kept, nobody knows of it.

use std::env;
use std::fmt::{self, Display};
use std::fs;
use std::path::PathBuf;

use hammer2_core::cluster::MemberState;
use hammer2_core::fs::{FileSystem, TimeSource as _};
use hammer2_core::media::{Timestamp, Uuid};
use rustix::process::geteuid;
use serde::{Deserialize, Serialize};

use super::Scrubbed;
use crate::time_source::HostTime;

/// What the last scrub of a PFS came to.
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
    /// A scrub that ends now.
    pub fn now(fs: &FileSystem, counts: Scrubbed, unread: usize) -> Self {
        let read = fs.member_statuses().filter(|member| member.state == MemberState::InSync);
        Self {
            at_us: HostTime.now().microseconds,
            counts,
            fsids: read.map(|member| member.fsid.to_string()).collect(),
            unread,
        }
    }

    /// The last one of a PFS that is known of.
    pub fn read(clid: Uuid) -> Option<Self> {
        serde_json::from_slice(&fs::read(place(clid)?).ok()?).ok()
    }

    /// Keeps it, if it can be kept.
    pub fn keep(&self, clid: Uuid) {
        let Some(place) = place(clid) else { return };
        let keep = || {
            let folder = place.parent().unwrap_or(&place);
            fs::create_dir_all(folder)?;
            // Whoever reads it meanwhile sees the one before, or this one.
            let whole = tempfile_beside(&place);
            fs::write(&whole, serde_json::to_vec(self)?)?;
            fs::rename(&whole, &place)
        };
        if let Err(error) = keep() {
            log::warn!("{}: {error}: what the scrub came to is not kept", place.display());
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

fn tempfile_beside(place: &std::path::Path) -> PathBuf {
    place.with_extension(format!("{}.tmp", std::process::id()))
}

fn place(clid: Uuid) -> Option<PathBuf> {
    Some(folder()?.join("scrub").join(format!("{clid}.json")))
}

/// Where what this machine knows is kept.
fn folder() -> Option<PathBuf> {
    let of = |name: &str| env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    if let Some(said) = of("HAMMER2_STATE") {
        return Some(said);
    }
    if geteuid().is_root() {
        return Some("/var/lib/hammer2".into());
    }
    of("XDG_STATE_HOME").or_else(|| Some(of("HOME")?.join(".local/state"))).map(|base| base.join("hammer2"))
}
