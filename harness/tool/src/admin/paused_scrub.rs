//! The place where a scrub that was paused, or whose mount ended, goes on, perhaps in another mount.
//! The place is kept on this machine, like the result of the last scrub: the format has no room for it, and noting it on the
//! disks would take a commit on each of them whenever something was read. Another machine begins anew.

use std::fmt::{self, Display};
use std::io;

use hammer2_core::cluster::{Scrub, ScrubCounts, ScrubPlace};
use hammer2_core::fs::{FileSystem, TimeSource as _};
use hammer2_core::media::{Key, Timestamp, Uuid};
use hammer2_host::time_source::HostTime;
use serde::{Deserialize, Serialize};

use super::{Scrubbed, Scrubbing, state};

/// Where a scrub goes on, and what it found before.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PausedScrub {
    /// When it got to this place, in microseconds since 1970.
    at_us: u64,
    /// The first element that wasn't read whole, and if it was begun, the first key below it that wasn't read.
    place: (u64, Option<u64>),
    again: bool,
    is_second: bool,
    counts: Scrubbed,
    /// How far it was.
    scrubbing: Scrubbing,
    /// The nodes that were read all the time.
    fsids: Vec<String>,
}

impl PausedScrub {
    /// The state of a scrub that continues `before`; none when everything was read.
    pub fn of(fs: &FileSystem, scrub: &Scrub, before: Option<&Self>) -> Option<Self> {
        let place = scrub.next?;
        Some(Self {
            at_us: HostTime.now().microseconds,
            place: (place.element.0, place.below.map(|below| below.0)),
            again: scrub.again,
            is_second: scrub.is_second,
            counts: scrub.counts.into(),
            scrubbing: fs.scrub_progress().into(),
            fsids: read_whole(fs, scrub, before),
        })
    }

    /// The scrub, to be continued.
    pub fn scrub(&self) -> Scrub {
        let (element, below) = (Key(self.place.0), self.place.1.map(Key));
        let counts = ScrubCounts::from(self.counts);
        let next = Some(ScrubPlace { element, below });
        Scrub { counts, next, again: self.again, is_second: self.is_second, ..Scrub::default() }
    }

    /// The paused scrub of a PFS, if this machine has one.
    pub fn read(clid: Uuid) -> Option<Self> {
        state::read(&name(clid))
    }

    /// Keeps it.
    pub fn keep(&self, clid: Uuid) -> io::Result<()> {
        state::keep(&name(clid), self)
    }

    /// Removes the record of a PFS's paused scrub.
    pub fn forget(clid: Uuid) {
        state::forget(&name(clid));
    }
}

impl Display for PausedScrub {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} UTC, when {}", Timestamp { microseconds: self.at_us }, self.scrubbing)
    }
}

/// The nodes that a scrub has read from its beginning on, including the time before it was paused.
pub(super) fn read_whole(fs: &FileSystem, scrub: &Scrub, before: Option<&PausedScrub>) -> Vec<String> {
    let read = fs.member_statuses().filter(|member| scrub.whole.is_none_or(|whole| whole.contains(member.node)));
    let read = read.map(|member| member.fsid.to_string());
    read.filter(|fsid| before.is_none_or(|before| before.fsids.contains(fsid))).collect()
}

fn name(clid: Uuid) -> String {
    format!("{clid}.paused.json")
}
