//! Events of a mount and its disks, as followers of the mount receive them.

use std::fmt::{self, Display};

use hammer2_core::media::Timestamp;
use serde::{Deserialize, Serialize};

/// Something that happened.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Event {
    /// The number of the event since the mount began, from 1.
    pub number: u64,
    /// When it was seen, in microseconds since 1970.
    pub time_us: u64,
    /// What kind of event it is.
    pub kind: EventKind,
    /// The directory of the mount.
    pub directory: String,
    /// The label of the PFS.
    pub label: String,
    /// The images of the disk it is about, if it is about one.
    pub disk: Option<String>,
    /// The id of the member it is about.
    pub fsid: Option<String>,
    /// In words.
    pub text: String,
}

/// Kinds of events. Hooks get them by these names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EventKind {
    /// The mount began.
    Mounted,
    /// It ends.
    Unmounted,
    /// A member is in step, and wasn't.
    MemberInSync,
    /// A member is behind.
    MemberBehind,
    /// A member left: it can't be used.
    MemberLeft,
    /// A disk doesn't take part in the mount.
    MemberAside,
    /// A member isn't there.
    MemberMissing,
    /// Too few members are in step: nothing is changed any more.
    QuorumLost,
    /// Changes go on.
    QuorumBack,
    /// A device failed at something.
    DeviceErrors,
    /// Blocks weren't what they should have been.
    BadBlocks,
    /// Blocks were written anew from other members.
    Repaired,
    /// Another machine took the disks over.
    Fenced,
    /// A scrub begins, or goes on.
    ScrubBegun,
    /// A scrub pauses.
    ScrubPaused,
    /// A scrub ended, or was refused.
    ScrubEnded,
}

impl EventKind {
    /// What it is called.
    pub fn name(self) -> String {
        serde_json::to_value(self).ok().and_then(|name| name.as_str().map(str::to_owned)).unwrap_or_default()
    }
}

impl Event {
    /// When it was seen, to the second.
    pub(super) fn second(&self) -> String {
        let mut time = Timestamp { microseconds: self.time_us }.to_string();
        time.truncate("2026-12-31 23:59:59".len());
        time
    }
}

impl Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}: ", self.second(), self.kind.name())?;
        if let Some(disk) = &self.disk {
            write!(f, "{disk}: ")?;
        }
        f.write_str(&self.text.replace(char::is_control, "?"))
    }
}
