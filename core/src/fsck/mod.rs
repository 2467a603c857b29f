//! Checks a whole filesystem, and tells for every fault what it costs.
//!
//! [`check`] reads every header copy, the freemap, and everything below the newest header: arrays, check codes, inodes, names,
//! links, file data. Then it looks below the older headers. It reports everything it finds, each finding with its place, what is
//! wrong, and what that means for the user ([`Finding`]). What other systems are known to leave behind is a remark.
//!
//! A PFS is checked in three passes: its inode index, its directories with the sums of links, and its file content, so that
//! findings can name files by path from the second pass on. Memory use grows with the number of inodes of the largest PFS, of
//! metadata blocks, and of freemap leaves that exist; never with what a disk claims.
//!
//! # Example
//!
//! `HEAP` and `Still` are like those of the [first example](crate#example), a heap and a clock.
//!
//! ```
//! # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doc/in_memory.txt"));
//! use hammer2_core::fsck::{Finding, FsckError, FsckOptions, Observer, Progress, check};
//! use hammer2_core::io::Disk;
//! use hammer2_core::memory::{self, Vec};
//!
//! /// Prints what is found.
//! struct Print;
//!
//! impl Observer for Print {
//!     fn finding(&mut self, finding: &Finding<'_>) {
//!         println!("{}: {}; {}", finding.severity, finding.trouble, finding.cost);
//!     }
//!
//!     fn progress(&mut self, _: Progress) {}
//! }
//!
//! /// True when nothing is wrong with the filesystem on a disk.
//! async fn is_clean(disk: Disk) -> Result<bool, FsckError> {
//!     let mut disks = Vec::new_in(HEAP);
//!     memory::push(&mut disks, disk)?;
//!     let summary = check(HEAP, disks, FsckOptions::default(), &mut Print).await?;
//!     println!("{} inodes, {} problems", summary.inodes, summary.problems);
//!     Ok(summary.is_clean())
//! }
//! # fn main() {
//! #     let medium = medium(256 << 20);
//! #     run(format(medium));
//! #     assert_eq!(run(is_clean(disk_on(medium))), Ok(true));
//! #     // Bytes of the volume header.
//! #     medium.write_at(8, &[0xff; 64]).unwrap();
//! #     assert_ne!(run(is_clean(disk_on(medium))), Ok(true));
//! # }
//! ```

mod bitmap;
mod data;
mod directories;
mod freemap;
mod headers;
mod inode_table;
mod inodes;
mod links;
mod names;
mod older;
mod pfs;
mod quotas;
mod report;
mod reporter;
mod seen;
#[cfg(all(test, feature = "selftest"))]
mod tests;
mod topology;
mod trouble;

pub use report::{Finding, Observer, Place, Progress, Severity, Summary};
pub use trouble::{Cost, Quirk, Trouble};

use crate::io::{Block, BlockCache, Buffer, Disk, ReadError};
use crate::media::compression::Decompressor;
use crate::media::geometry::FILE_BLOCK_BYTES;
use crate::media::placement::check_placement;
use crate::media::{BlockKind, Blockref, Inode, Inum, MediaOffset, MirrorTid};
use crate::memory::{Box, Heap, NoMemory, Vec, aside};
use crate::node::{self, HeaderImage, Node, NodeOptions, OpenError};
use data::RecentBlocks;
use freemap::Freemap;
use inode_table::InodeTable;
use names::PathBuffer;
use pfs::PfsRoot;
use reporter::Reporter;
use seen::{Owner, SeenBlocks};

/// Options of a check.
#[derive(Clone, Copy, Debug)]
pub struct FsckOptions {
    /// Bytes of blocks kept in memory, in addition to the books of the check.
    pub cache_bytes: usize,
    /// The volumes were written only by this implementation: known deviations of other systems are problems too.
    pub strict: bool,
}

impl Default for FsckOptions {
    fn default() -> Self {
        Self { cache_bytes: 16 << 20, strict: false }
    }
}

/// The smallest cache that a check works with, in bytes: a path of the largest blocks down a tree within a tree.
const MIN_CACHE_BYTES: usize = 6 << 20;

/// Why a filesystem couldn't be checked, or not completely.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FsckError {
    /// The disks don't make a filesystem. Findings about their headers were reported.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// Memory ran out.
    #[error("out of memory: the check needs more for this file system")]
    NoMemory,
}

impl From<NoMemory> for FsckError {
    fn from(_: NoMemory) -> Self {
        Self::NoMemory
    }
}

/// Checks the filesystem on `disks`, which must be all its volumes, in any order.
pub async fn check(
    heap: Heap,
    disks: Vec<Disk>,
    options: FsckOptions,
    observer: &mut dyn Observer,
) -> Result<Summary, FsckError> {
    let mut reports = Reporter::new(observer, options.strict);
    let (node, header) = open(heap, disks, options.cache_bytes.max(MIN_CACHE_BYTES), &mut reports).await?;
    let header = header.get();
    let layout = Layout {
        total_bytes: node.volumes().total_bytes(),
        areas_end: header.aux_end(),
        allocator_beg: header.allocator_beg(),
        freemap_tid: header.freemap_tid(),
    };
    let mut checker = Checker {
        heap,
        blocks: node.blocks(),
        layout,
        reports,
        seen: SeenBlocks::new(heap)?,
        owner: Owner(0),
        freemap: Freemap::new(heap),
        decompressor: Decompressor::new(heap)?,
        content: Buffer::new(heap, FILE_BLOCK_BYTES)?,
        recent: RecentBlocks::new(heap)?,
        path: PathBuffer::new(),
    };
    aside(heap, || checker.check_freemap(header))?.await?;
    aside(heap, || checker.check_super_root(header))?.await?;
    checker.conclude_freemap(header);
    aside(heap, || checker.check_older_states(&node))?.await?;
    checker.reports.conclude();
    Ok(checker.reports.summary)
}

/// Checks the headers of the filesystem on `disks`, and nothing below them: after a crash everything else is as committed.
pub async fn check_headers(heap: Heap, disks: Vec<Disk>, observer: &mut dyn Observer) -> Result<Summary, FsckError> {
    let mut reports = Reporter::new(observer, false);
    open(heap, disks, MIN_CACHE_BYTES, &mut reports).await?;
    reports.conclude();
    Ok(reports.summary)
}

/// Checks the headers and opens the filesystem.
async fn open(
    heap: Heap,
    disks: Vec<Disk>,
    cache_bytes: usize,
    reports: &mut Reporter<'_>,
) -> Result<(Box<Node>, HeaderImage), FsckError> {
    for disk in &disks {
        headers::check_copies(heap, disk, reports).await?;
    }
    let node = node::open(heap, disks, NodeOptions { cache_bytes, slots: 0, ..NodeOptions::default() }).await?;
    let header = node.header_image()?;
    headers::check_root(header.get(), reports);
    Ok((node, header))
}

/// The fields of the header that rules for blocks depend on.
struct Layout {
    total_bytes: u64,
    areas_end: MediaOffset,
    allocator_beg: MediaOffset,
    freemap_tid: MirrorTid,
}

/// A check under way.
struct Checker<'c, 'o> {
    heap: Heap,
    blocks: &'c BlockCache,
    layout: Layout,
    reports: Reporter<'o>,
    seen: SeenBlocks,
    /// The owner of the tree that is being walked.
    owner: Owner,
    freemap: Freemap,
    decompressor: Decompressor,
    content: Buffer,
    recent: RecentBlocks,
    path: PathBuffer,
}

/// The subject of a finding, as far as it is known where the finding is made.
#[derive(Clone, Copy, Default)]
struct Subject<'s> {
    freemap: bool,
    pfs: Option<&'s PfsRoot>,
    inode: Option<Inum>,
    /// The table for looking up a path of the inode.
    table: Option<&'s InodeTable>,
    name: Option<&'s [u8]>,
}

impl<'c> Checker<'c, '_> {
    /// Reports damage.
    async fn problem(&mut self, subject: Subject<'_>, block: Option<&Blockref>, trouble: Trouble, cost: Cost) {
        self.find_path(subject).await;
        self.reports.problem(place(subject, &self.path, block), trouble, cost);
    }

    /// Reports something harmless.
    async fn remark(&mut self, subject: Subject<'_>, block: Option<&Blockref>, trouble: Trouble, cost: Cost) {
        self.find_path(subject).await;
        self.reports.remark(place(subject, &self.path, block), trouble, cost);
    }

    /// Finds the path of a subject; if memory runs out, it is reported without one.
    async fn find_path(&mut self, subject: Subject<'_>) {
        let heap = self.heap;
        if let Ok(resolving) = aside(heap, || self.resolve_path(subject)) {
            resolving.await;
        }
    }

    /// Checks a block's place, marks it as used, and reads it; reports faults. None when it can't be read.
    async fn load(&mut self, subject: Subject<'_>, bref: &Blockref, cost: Cost) -> Result<Option<Block<'c>>, NoMemory> {
        if !self.admit_place(subject, bref, cost).await {
            return Ok(None);
        }
        match self.blocks.load(bref).await {
            Ok(block) => Ok(Some(block)),
            Err(error) => {
                self.unreadable(subject, bref, error, cost).await?;
                Ok(None)
            }
        }
    }

    /// Does the same for an inode.
    async fn load_inode(
        &mut self,
        subject: Subject<'_>,
        bref: &Blockref,
        cost: Cost,
    ) -> Result<Option<Inode>, NoMemory> {
        let block = self.load(subject, bref, cost).await?;
        // A block that isn't an inode was refused when it was read.
        Ok(block.and_then(|block| Inode::in_block(&block.bytes()).ok().copied()))
    }

    /// Checks a block's place and marks it as used; reports it and returns false if no block can be there.
    async fn admit_place(&mut self, subject: Subject<'_>, bref: &Blockref, cost: Cost) -> bool {
        if matches!(bref.kind(), Ok(BlockKind::FreemapNode | BlockKind::FreemapLeaf)) {
            return true;
        }
        if let Err(corruption) = check_placement(bref.data_off(), self.layout.total_bytes) {
            self.problem(subject, Some(bref), corruption.into(), cost).await;
            return false;
        }
        if bref.data_off().radix() != Ok(None) && bref.data_off().offset() < self.layout.areas_end {
            self.problem(subject, Some(bref), Trouble::InAreas, Cost::OtherSystems).await;
        }
        self.mark(subject, bref).await;
        true
    }

    /// Reports a block that can't be read. Want of memory is no property of the block.
    async fn unreadable(
        &mut self,
        subject: Subject<'_>,
        bref: &Blockref,
        error: ReadError,
        cost: Cost,
    ) -> Result<(), NoMemory> {
        let trouble = match error {
            ReadError::NoMemory => return Err(NoMemory),
            ReadError::Device { device, error } => Trouble::Device { device, error },
            ReadError::Corrupt(corruption) => Trouble::Corrupt(corruption),
        };
        self.problem(subject, Some(bref), trouble, cost).await;
        Ok(())
    }
}

/// The place of a finding, for a report.
fn place<'a>(subject: Subject<'a>, path: &'a PathBuffer, block: Option<&Blockref>) -> Place<'a> {
    Place {
        header: None,
        freemap: subject.freemap,
        pfs: subject.pfs.map(PfsRoot::label),
        inode: subject.inode,
        path: subject.inode.and(path.get()),
        name: subject.name,
        block: block.map(Blockref::name),
    }
}
