//! Results of orders to a cluster: in words, as JSON, and as one process sends them to another.

use std::fmt::{self, Display};

use hammer2_core::cluster::resync::ResyncCounts;
use hammer2_core::cluster::{BulkfreeProgress, Growth, ScrubCounts, ScrubProgress};
use hammer2_kmod_shim::administration::{CopyFacts, ScrubFacts};
use indicatif::HumanBytes;
use serde::{Deserialize, Serialize};

use super::{FileFacts, Freed, QuotaFacts};

/// The result of an order.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Done {
    /// The members are as ordered.
    Changed {
        /// Snapshots that couldn't be copied to a new member.
        snapshots_lacking: u64,
    },
    /// A snapshot was made.
    Made {
        /// Its label.
        label: Vec<u8>,
    },
    /// All answers were sent.
    Told {
        /// Why some are missing, if they are.
        damage: Option<String>,
    },
    /// Space was given back.
    Freed(Freed),
    /// These limits apply.
    Quotas(Vec<QuotaFacts>),
    /// The filesystem is as large as its devices.
    Grown(Grown),
    /// Facts about a file.
    File(FileFacts),
    /// Nodes were brought in step, or couldn't be.
    Resynced {
        /// The nodes that weren't in step.
        nodes: Vec<Resynced>,
        /// Members that aren't there, and what can be done about each.
        missing: Vec<String>,
    },
    /// A scrub was paused, and can go on from there.
    Paused(Scrubbing),
    /// Everything was read on the nodes that are there.
    Scrubbed {
        /// What it found.
        counts: Scrubbed,
        /// Members that weren't read, and why.
        unread: Vec<String>,
    },
}

/// The result of bringing a node in step.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Resynced {
    /// Its number.
    pub node: u8,
    /// What it is called.
    pub called: String,
    /// What was copied, or why nothing was.
    pub copied: Result<Copied, String>,
}

/// The amount of a copy, in elements and bytes of content.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Copied {
    pub(crate) compared: u64,
    pub(crate) copied: u64,
    removed: u64,
    pub(crate) bytes: u64,
    /// Snapshots that were removed to make room.
    snapshots_removed: u64,
    /// Snapshots that were copied.
    pub(crate) snapshots_copied: u64,
    /// Snapshots it still lacks.
    snapshots_lacking: u64,
}

impl From<ResyncCounts> for Copied {
    fn from(counts: ResyncCounts) -> Self {
        let ResyncCounts { compared, copied, removed, bytes, .. } = counts;
        let ResyncCounts { snapshots_removed, snapshots_copied, snapshots_lacking, .. } = counts;
        Self { compared, copied, removed, bytes, snapshots_removed, snapshots_copied, snapshots_lacking }
    }
}

impl From<CopyFacts> for Copied {
    fn from(facts: CopyFacts) -> Self {
        let CopyFacts { compared, copied, removed, bytes, .. } = facts;
        let CopyFacts { snapshots_removed, snapshots_copied, snapshots_lacking, .. } = facts;
        Self { compared, copied, removed, bytes, snapshots_removed, snapshots_copied, snapshots_lacking }
    }
}

impl Display for Copied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { compared, copied, removed, bytes, .. } = self;
        let Self { snapshots_removed, snapshots_copied, snapshots_lacking, .. } = self;
        write!(f, "{compared} elements compared, {copied} copied, {removed} removed, {bytes} bytes of content")?;
        if *snapshots_removed > 0 {
            write!(f, "; it was full: {snapshots_removed} old snapshots went")?;
        }
        if *snapshots_copied > 0 {
            write!(f, "; snapshots given to it: {snapshots_copied}")?;
        }
        if *snapshots_lacking > 0 {
            write!(f, "; snapshots without room: {snapshots_lacking}")?;
        }
        Ok(())
    }
}

/// The result of growing, in bytes.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Grown {
    /// Its size before.
    pub old_bytes: u64,
    /// Its size now.
    pub new_bytes: u64,
    /// Free by now.
    pub free_bytes: u64,
}

impl Grown {
    /// The result of growing, with the bytes that are free since.
    pub fn new(Growth { old_bytes, new_bytes }: Growth, free_bytes: u64) -> Self {
        Self { old_bytes, new_bytes, free_bytes }
    }
}

/// How far a scrub is, in bytes of content.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Scrubbing {
    /// Read so far.
    pub bytes: u64,
    /// The expected total.
    pub expected_bytes: u64,
}

impl Display for Scrubbing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { bytes, expected_bytes } = self;
        write!(f, "{} of {} were read", HumanBytes(*bytes), HumanBytes((*expected_bytes).max(*bytes)))
    }
}

impl From<ScrubProgress> for Scrubbing {
    fn from(ScrubProgress { bytes, expected_bytes }: ScrubProgress) -> Self {
        Self { bytes, expected_bytes }
    }
}

/// The progress of bulkfree, in bytes of blocks that were looked at.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Freeing {
    /// The pass under way, counted from 1.
    pub pass: usize,
    /// Looked at in this pass.
    pub bytes: u64,
    /// The expected total of a pass.
    pub expected_bytes: u64,
}

impl Freeing {
    /// The progress within pass number `pass`.
    pub fn new(pass: usize, BulkfreeProgress { bytes, expected_bytes }: BulkfreeProgress) -> Self {
        Self { pass, bytes: bytes.min(expected_bytes), expected_bytes }
    }
}

/// What a scrub found.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Scrubbed {
    nodes: u64,
    elements: u64,
    bytes: u64,
    pub(crate) bad_blocks: u64,
    pub(crate) repaired: u64,
    rebuilt: u64,
    ejected: u64,
    freemaps_mended: u64,
    #[serde(default)]
    headers_mended: u64,
}

impl Scrubbed {
    /// All is well by now.
    pub fn is_whole(&self) -> bool {
        self.repaired == self.bad_blocks && self.ejected == 0
    }
}

impl From<ScrubCounts> for Scrubbed {
    fn from(counts: ScrubCounts) -> Self {
        let ScrubCounts { nodes, elements, bytes, bad_blocks, repaired, rebuilt, ejected, .. } = counts;
        let [freemaps_mended, headers_mended] =
            [counts.freemaps_mended, counts.headers_mended].map(|nodes| nodes.len() as u64);
        Self { nodes, elements, bytes, bad_blocks, repaired, rebuilt, ejected, freemaps_mended, headers_mended }
    }
}

impl From<ScrubFacts> for Scrubbed {
    fn from(facts: ScrubFacts) -> Self {
        let ScrubFacts { nodes, elements, bytes, bad_blocks, repaired, rebuilt, ejected, .. } = facts;
        let ScrubFacts { freemaps_mended, headers_mended, .. } = facts;
        Self { nodes, elements, bytes, bad_blocks, repaired, rebuilt, ejected, freemaps_mended, headers_mended }
    }
}

impl From<Scrubbed> for ScrubCounts {
    /// Repairs of headers and freemaps are counted only at the end.
    fn from(scrubbed: Scrubbed) -> Self {
        let Scrubbed { nodes, elements, bytes, bad_blocks, repaired, rebuilt, ejected, .. } = scrubbed;
        Self { nodes, elements, bytes, bad_blocks, repaired, rebuilt, ejected, ..Self::default() }
    }
}

impl Display for Scrubbed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { nodes, elements, bytes, bad_blocks, repaired, rebuilt, ejected, freemaps_mended, headers_mended } =
            self;
        write!(f, "{nodes} nodes, {elements} elements, {bytes} bytes: {bad_blocks} bad blocks, {repaired} repaired; ")?;
        write!(
            f,
            "{rebuilt} nodes rebuilt, {ejected} ejected, {headers_mended} headers and {freemaps_mended} freemaps mended"
        )?;
        match freemaps_mended {
            0 => Ok(()),
            _ => write!(f, ": the next bulkfree finds out what they have free"),
        }
    }
}
