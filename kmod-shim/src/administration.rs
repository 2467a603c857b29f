//! What an administrator asks of a mount inside a kernel, and what that answers: extended attributes of the mount's root, which
//! hold structures of fixed size, in the byte order of the machine. Both sides take them from here.
//!
//! An order is begun by writing it, and goes on by itself; how far it is, and what came of it, is read.

use core::fmt::{self, Write};

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Of what is written and read. It is raised whenever a structure here changes.
pub const VERSION: u32 = 1;

/// The attribute that is read to know how the cluster is: [`ClusterFacts`], then [`MemberFacts`] and [`MissingFacts`].
pub const STATUS: &str = "system.hammer2.status";
/// The attribute that [`OrderFacts`] are written to.
pub const ORDER: &str = "system.hammer2.order";
/// The attribute that is read to know what came of the last order: [`OutcomeFacts`], then [`CopyFacts`].
pub const OUTCOME: &str = "system.hammer2.outcome";

/// What is to be done.
pub mod order {
    /// Everything on every node is read, compared and repaired.
    pub const SCRUB: u32 = 1;
    /// The scrub under way is paused.
    pub const PAUSE_SCRUB: u32 = 2;
    /// The scrub that was paused goes on.
    pub const RESUME_SCRUB: u32 = 3;
    /// Members that left are looked at again, and all that are behind are brought in step.
    pub const RESYNC: u32 = 4;
    /// A member goes.
    pub const REMOVE: u32 = 5;
    /// A slave in step becomes a master.
    pub const PROMOTE: u32 = 6;
}

/// How a cluster is.
pub mod health {
    /// All members are in step.
    pub const HEALTHY: u32 = 0;
    /// A quorum is.
    pub const DEGRADED: u32 = 1;
    /// Too few are to change anything.
    pub const STOPPED: u32 = 2;
}

/// How a member is.
pub mod state {
    /// It takes part.
    pub const IN_SYNC: u32 = 0;
    /// It has an older version.
    pub const BEHIND: u32 = 1;
    /// It left.
    pub const EJECTED: u32 = 2;
    /// It is no part of the mount.
    pub const ASIDE: u32 = 3;
    /// Nothing could be read of it.
    pub const UNREAD: u32 = 4;
}

/// How an order stands.
pub mod progress {
    /// None was given since it was mounted.
    pub const NONE: u32 = 0;
    /// It is under way.
    pub const UNDER_WAY: u32 = 1;
    /// It was carried out.
    pub const DONE: u32 = 2;
    /// A scrub that was paused.
    pub const PAUSED: u32 = 3;
    /// It has failed.
    pub const FAILED: u32 = 4;
}

/// Words, of at most so many bytes; zeros follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Text<const N: usize>([u8; N]);

impl<const N: usize> Text<N> {
    /// Words; what doesn't fit is left out.
    pub fn of(words: fmt::Arguments<'_>) -> Self {
        struct Cut<'t>(&'t mut [u8]);
        impl Write for Cut<'_> {
            fn write_str(&mut self, text: &str) -> fmt::Result {
                let count = text.len().min(self.0.len());
                let (here, rest) = core::mem::take(&mut self.0).split_at_mut(count);
                here.copy_from_slice(&text.as_bytes()[..count]);
                self.0 = rest;
                Ok(())
            }
        }
        let mut bytes = [0; N];
        // It takes anything.
        let _ = Cut(&mut bytes).write_fmt(words);
        Self(bytes)
    }

    /// Bytes; what doesn't fit is left out.
    pub fn of_bytes(words: &[u8]) -> Self {
        let mut bytes = [0; N];
        let count = words.len().min(N);
        bytes[..count].copy_from_slice(&words[..count]);
        Self(bytes)
    }

    /// The words, as bytes.
    pub fn bytes(&self) -> &[u8] {
        let end = self.0.iter().position(|byte| *byte == 0).unwrap_or(N);
        &self.0[..end]
    }
}

/// How a cluster is, or a filesystem that is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct ClusterFacts {
    /// [`VERSION`].
    pub version: u32,
    /// 0 for a PFS that never was a cluster's.
    pub is_cluster: u32,
    /// Of [`health`].
    pub health: u32,
    /// A change of the members isn't finished.
    pub is_changing: u32,
    /// Masters there are.
    pub masters: u32,
    /// Masters in step.
    pub masters_in_sync: u32,
    /// How many [`MemberFacts`] follow.
    pub members: u32,
    /// How many [`MissingFacts`] follow those.
    pub missing: u32,
    /// The last transaction id.
    pub tid: u64,
    /// Bytes of the filesystem.
    pub total_bytes: u64,
    /// Bytes of those that are free.
    pub free_bytes: u64,
    /// The cluster.
    pub clid: [u8; 16],
    /// Its version.
    pub commit: Text<64>,
    /// The label of its PFS.
    pub label: Text<256>,
    /// Why nothing can be changed, if that was decided when it was mounted.
    pub refused: Text<240>,
}

/// How a member is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct MemberFacts {
    /// Its place among the nodes.
    pub node: u32,
    /// Of [`state`].
    pub state: u32,
    /// It left while it was in use, and hasn't come back.
    pub has_left: u32,
    /// The others found something wrong on it.
    pub is_distrusted: u32,
    /// Commands that it hasn't executed yet.
    pub backlog: u32,
    /// Its version is known: the next two say something.
    pub has_version: u32,
    /// How many epochs it is behind.
    pub behind_epochs: u32,
    /// Or how many commits of the same epoch.
    pub behind_commits: u32,
    /// The last transaction id of its version.
    pub tid: u64,
    /// Reads that failed.
    pub read_errors: u64,
    /// Writes that failed.
    pub write_errors: u64,
    /// Blocks that weren't what they should have been.
    pub bad_blocks: u64,
    /// Blocks that were written anew from other nodes.
    pub repaired_blocks: u64,
    /// Bytes of its filesystem.
    pub total_bytes: u64,
    /// Bytes of those that are free.
    pub free_bytes: u64,
    /// Of content that was looked at to bring it in step, while that is done.
    pub seen_bytes: u64,
    /// All there is to be looked at; 0 when nobody does.
    pub expected_bytes: u64,
    /// How long the rest will take; `u64::MAX` if nothing is known of that.
    pub seconds_left: u64,
    /// Its PFS.
    pub fsid: [u8; 16],
    /// What it is in the cluster.
    pub role: Text<16>,
    /// What it has committed.
    pub commit: Text<64>,
    /// Its devices, separated by colons.
    pub devices: Text<512>,
    /// Why it isn't in step.
    pub why: Text<240>,
}

/// A member that isn't among the nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct MissingFacts {
    /// Its PFS.
    pub fsid: [u8; 16],
    /// What it is in the cluster.
    pub role: Text<16>,
    /// Its version when it was seen last.
    pub commit: Text<64>,
}

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct OrderFacts {
    /// [`VERSION`].
    pub version: u32,
    /// Of [`order`].
    pub order: u32,
    /// The member it is about, if it is about one.
    pub fsid: [u8; 16],
}

/// What came of the last order, or how far it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct OutcomeFacts {
    /// [`VERSION`].
    pub version: u32,
    /// Of [`order`]; 0 before the first.
    pub order: u32,
    /// Of [`progress`].
    pub progress: u32,
    /// How many [`CopyFacts`] follow.
    pub copies: u32,
    /// Orders that were begun since it was mounted.
    pub number: u64,
    /// Bytes of content that a scrub has read.
    pub bytes: u64,
    /// All there were to read.
    pub expected_bytes: u64,
    /// What a scrub came to.
    pub scrub: ScrubFacts,
    /// Why it has failed.
    pub why: Text<240>,
}

/// What a scrub came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct ScrubFacts {
    /// Nodes that were read.
    pub nodes: u64,
    /// Inodes, entries and file blocks.
    pub elements: u64,
    /// Bytes of file blocks.
    pub bytes: u64,
    /// Blocks that couldn't be read on one node.
    pub bad_blocks: u64,
    /// Those of them that were written anew.
    pub repaired: u64,
    /// Nodes that were brought in step.
    pub rebuilt: u64,
    /// Nodes that had to leave.
    pub ejected: u64,
    /// Nodes whose freemap was mended.
    pub freemaps_mended: u64,
    /// Nodes whose headers were mended.
    pub headers_mended: u64,
}

/// What came of bringing a node in step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct CopyFacts {
    /// Its place among the nodes.
    pub node: u32,
    /// It is in step; otherwise `why` says why not.
    pub is_in_sync: u32,
    /// Elements looked at.
    pub compared: u64,
    /// Elements written.
    pub copied: u64,
    /// Elements removed.
    pub removed: u64,
    /// Bytes of file blocks written.
    pub bytes: u64,
    /// Snapshots it had to do without.
    pub snapshots_removed: u64,
    /// Snapshots it was given.
    pub snapshots_copied: u64,
    /// Snapshots it lacks.
    pub snapshots_lacking: u64,
    /// Its devices, separated by colons.
    pub devices: Text<512>,
    /// Why it isn't in step.
    pub why: Text<240>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_cut_where_they_do_not_fit_and_end_at_a_zero() {
        let text = Text::<8>::of(format_args!("{}{}", "disk", 12));
        assert_eq!(text.bytes(), b"disk12");
        assert_eq!(Text::<8>::of(format_args!("{}{}", "four", "five and more")).bytes(), b"fourfive");
        assert_eq!(Text::<4>::of_bytes(b"label").bytes(), b"labe");
        assert_eq!(Text::<4>::of(format_args!("")).bytes(), b"");
    }

    #[test]
    fn structures_are_what_they_were_in_this_version() {
        let sizes = [
            size_of::<ClusterFacts>(),
            size_of::<MemberFacts>(),
            size_of::<MissingFacts>(),
            size_of::<OrderFacts>(),
            size_of::<OutcomeFacts>(),
            size_of::<CopyFacts>(),
        ];
        assert_eq!((VERSION, sizes), (1, [632, 960, 96, 24, 352, 816]));
    }
}
