//! The scan of the volumes, whose finds go to the index.

use hammer2_core::media::inode::InodeFlags;
use hammer2_core::media::{Blockref, Inode, MediaOffset, MirrorTid};
use hammer2_core::rescue::{Rescue, Scanned, Scanner, is_checked, unchecked_inode};
use indicatif::ProgressBar;

use super::super::Failure;
use super::super::progress::bar;
use super::index::{Candidate, Identity, Index};

/// Finds that are kept in memory.
const FOUND_AT_A_TIME: usize = 1 << 13;

struct Recorder<'i> {
    index: &'i Index,
    bar: ProgressBar,
    candidates: Vec<Candidate>,
    blockrefs: Vec<Blockref>,
    failure: Option<Failure>,
}

impl Recorder<'_> {
    fn empty(&mut self) {
        let added = self.index.add_found(&self.candidates, &self.blockrefs);
        self.candidates.clear();
        self.blockrefs.clear();
        self.failure = self.failure.take().or(added.err());
    }

    fn empty_if_full(&mut self) {
        if self.candidates.len() + self.blockrefs.len() >= FOUND_AT_A_TIME {
            self.empty();
        }
    }
}

impl Scanner for Recorder<'_> {
    fn inode(&mut self, at: MediaOffset, inode: &Inode) {
        let meta = &inode.meta;
        let identity = Identity::of(meta);
        let is_pfs_root = meta.flags().contains(InodeFlags::PFSROOT);
        self.candidates.push(Candidate { at, identity, changed: meta.ctime(), is_pfs_root });
        self.empty_if_full();
    }

    fn blockref(&mut self, bref: &Blockref) {
        self.blockrefs.push(*bref);
        self.empty_if_full();
    }

    fn progress(&mut self, bytes: u64) -> bool {
        self.bar.set_position(bytes >> 20);
        self.failure.is_none()
    }
}

/// Scans the volumes, and finds out which blockrefs verify what looks like an inode. Returns the counts, and the newest flush of
/// the verified ones.
pub(super) async fn scan(rescue: &Rescue, index: &Index) -> Result<(Scanned, MirrorTid), Failure> {
    let bar = bar("MiB", rescue.total_bytes() >> 20);
    let mut recorder = Recorder { index, bar, candidates: vec![], blockrefs: vec![], failure: None };
    let scanned = rescue.scan(&mut recorder).await.map_err(Failure::failed)?;
    recorder.empty();
    recorder.bar.finish_and_clear();
    if let Some(failure) = recorder.failure {
        return Err(failure);
    }
    let (mut from, mut newest) = (MediaOffset(0), MirrorTid(0));
    while let Some(candidate) = index.candidate_from(from)? {
        newest = newest.max(judge(rescue, index, &candidate).await?);
        from = MediaOffset(candidate.at.0 + 1);
    }
    Ok((scanned, newest))
}

/// Looks for a blockref whose check code fits; returns its flush. A root isn't a version of a file, but may be all that is left
/// of a flush.
async fn judge(rescue: &Rescue, index: &Index, candidate: &Candidate) -> Result<MirrorTid, Failure> {
    let Candidate { at, identity, changed, is_pfs_root } = *candidate;
    for bref in index.references(at)?.into_iter().filter(is_checked) {
        let fits = rescue.inode(&bref).await.map_err(Failure::failed)?;
        if fits.is_ok_and(|inode| Identity::of(&inode.meta) == identity) {
            if !is_pfs_root {
                index.add_version(identity, &bref, true, (bref.mirror_tid().0, bref.modify_tid().0))?;
            }
            return Ok(bref.mirror_tid());
        }
    }
    if is_pfs_root {
        return Ok(MirrorTid(0));
    }
    let unchecked = unchecked_inode(at, identity.inum.key());
    index.add_version(identity, &unchecked, false, (changed.microseconds, 0))?;
    Ok(MirrorTid(0))
}
