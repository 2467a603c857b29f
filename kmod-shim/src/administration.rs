//! Orders and questions of an administrator to a mount inside a kernel, and the answers: extended attributes of the mount's root
//! that contain structures of fixed size, in the machine's byte order. Both sides use the definitions here.
//!
//! Writing an order begins it, and it goes on by itself; its progress and its result are read.

use core::fmt::{self, Write};

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// The version of the structures. It is raised whenever one of them changes.
pub const VERSION: u32 = 1;

/// The attribute with the state of the cluster: [`ClusterFacts`], then [`MemberFacts`] and [`MissingFacts`].
pub const STATUS: &str = "system.hammer2.status";
/// The attribute to which [`OrderFacts`] are written.
pub const ORDER: &str = "system.hammer2.order";
/// The attribute with the result of the last order: [`OutcomeFacts`], then [`CopyFacts`].
pub const OUTCOME: &str = "system.hammer2.outcome";

/// Orders.
pub mod order {
    /// Reads, compares and repairs everything on every node.
    pub const SCRUB: u32 = 1;
    /// Pauses the current scrub.
    pub const PAUSE_SCRUB: u32 = 2;
    /// Resumes the scrub that was paused.
    pub const RESUME_SCRUB: u32 = 3;
    /// Looks again at members that left, and brings all members in step that are behind.
    pub const RESYNC: u32 = 4;
    /// Removes a member.
    pub const REMOVE: u32 = 5;
    /// Makes a slave in step a master.
    pub const PROMOTE: u32 = 6;
}

/// The health of a cluster.
pub mod health {
    /// All members are in step.
    pub const HEALTHY: u32 = 0;
    /// A quorum is in step.
    pub const DEGRADED: u32 = 1;
    /// Too few members are in step to change anything.
    pub const STOPPED: u32 = 2;
}

/// The state of a member.
pub mod state {
    /// It takes part.
    pub const IN_SYNC: u32 = 0;
    /// It has an older version.
    pub const BEHIND: u32 = 1;
    /// It left.
    pub const EJECTED: u32 = 2;
    /// It is no part of the mount.
    pub const ASIDE: u32 = 3;
    /// Nothing of it could be read.
    pub const UNREAD: u32 = 4;
}

/// The progress of an order.
pub mod progress {
    /// No order was given since the mount.
    pub const NONE: u32 = 0;
    /// It is under way.
    pub const UNDER_WAY: u32 = 1;
    /// It was carried out.
    pub const DONE: u32 = 2;
    /// A scrub is paused.
    pub const PAUSED: u32 = 3;
    /// The order has failed.
    pub const FAILED: u32 = 4;
}

/// Text of at most `BYTES` bytes, followed by zeros.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Text<const N: usize>([u8; N]);

impl<const N: usize> Text<N> {
    /// Formats text, cut off where it doesn't fit.
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
        // Writing to it can't fail.
        let _ = Cut(&mut bytes).write_fmt(words);
        Self(bytes)
    }

    /// Copies bytes, cut off where they don't fit.
    pub fn of_bytes(words: &[u8]) -> Self {
        let mut bytes = [0; N];
        let count = words.len().min(N);
        bytes[..count].copy_from_slice(&words[..count]);
        Self(bytes)
    }

    /// The text, as bytes.
    pub fn bytes(&self) -> &[u8] {
        let end = self.0.iter().position(|byte| *byte == 0).unwrap_or(N);
        &self.0[..end]
    }
}

/// The state of a cluster, or of a filesystem that isn't one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct ClusterFacts {
    /// [`VERSION`].
    pub version: u32,
    /// 0 for a PFS that never was in a cluster.
    pub is_cluster: u32,
    /// One of [`health`].
    pub health: u32,
    /// Not 0 while a change of the members isn't finished.
    pub is_changing: u32,
    /// The number of masters.
    pub masters: u32,
    /// The number of masters in step.
    pub masters_in_sync: u32,
    /// The number of [`MemberFacts`] that follow.
    pub members: u32,
    /// The number of [`MissingFacts`] that follow those.
    pub missing: u32,
    /// The last transaction id.
    pub tid: u64,
    /// Bytes of the filesystem.
    pub total_bytes: u64,
    /// Bytes of those that are free.
    pub free_bytes: u64,
    /// The id of the cluster.
    pub clid: [u8; 16],
    /// Its version.
    pub commit: Text<64>,
    /// The label of its PFS.
    pub label: Text<256>,
    /// Why nothing can be changed, if that was decided at mount.
    pub refused: Text<240>,
}

/// The state of a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct MemberFacts {
    /// Its place among the nodes.
    pub node: u32,
    /// One of [`state`].
    pub state: u32,
    /// Not 0 if it left while it was in use, and hasn't come back.
    pub has_left: u32,
    /// Not 0 if the others found wrong content on it.
    pub is_distrusted: u32,
    /// Commands that it hasn't executed yet.
    pub backlog: u32,
    /// Not 0 if its version is known: then the next two fields are valid.
    pub has_version: u32,
    /// The number of epochs it is behind,
    pub behind_epochs: u32,
    /// or the number of commits in the same epoch.
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
    /// Bytes of content that were looked at to bring it in step, while that is under way.
    pub seen_bytes: u64,
    /// Bytes of content that there are to look at; 0 when it isn't being brought in step.
    pub expected_bytes: u64,
    /// The time it will still take, in seconds; `u64::MAX` if nothing is known of that.
    pub seconds_left: u64,
    /// The id of its PFS.
    pub fsid: [u8; 16],
    /// Its role in the cluster.
    pub role: Text<16>,
    /// Its last commit.
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
    /// The id of its PFS.
    pub fsid: [u8; 16],
    /// Its role in the cluster.
    pub role: Text<16>,
    /// Its version when it was last seen.
    pub commit: Text<64>,
}

/// An order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct OrderFacts {
    /// [`VERSION`].
    pub version: u32,
    /// One of [`order`].
    pub order: u32,
    /// The member that it concerns, if it concerns one.
    pub fsid: [u8; 16],
}

/// The result of the last order, or its progress.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct OutcomeFacts {
    /// [`VERSION`].
    pub version: u32,
    /// One of [`order`]; 0 before the first.
    pub order: u32,
    /// One of [`progress`].
    pub progress: u32,
    /// The number of [`CopyFacts`] that follow.
    pub copies: u32,
    /// The number of orders that were begun since the mount.
    pub number: u64,
    /// Bytes of content that a scrub has read.
    pub bytes: u64,
    /// Bytes of content that there were to read.
    pub expected_bytes: u64,
    /// The result of a scrub.
    pub scrub: ScrubFacts,
    /// Why the order has failed.
    pub why: Text<240>,
}

/// The result of a scrub.
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
    /// Bad blocks that were written anew.
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

/// The result of bringing a node in step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct CopyFacts {
    /// Its place among the nodes.
    pub node: u32,
    /// Not 0 if it is in step; otherwise `why` says why not.
    pub is_in_sync: u32,
    /// Elements looked at.
    pub compared: u64,
    /// Elements written.
    pub copied: u64,
    /// Elements removed.
    pub removed: u64,
    /// Bytes of file blocks written.
    pub bytes: u64,
    /// Snapshots that were removed from it.
    pub snapshots_removed: u64,
    /// Snapshots that were copied to it.
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
