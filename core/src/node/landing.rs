//! The next header on its way to the disk (format 7.2 and 7.4).
//!
//! What a header commits is *fixed* first: all changes are on their way to the devices, and the header says where they will be.
//! From then on further changes may be made, because nothing that the header refers to is overwritten. The header *lands*
//! meanwhile: when all that it commits is durable, it is written itself, and it is in force when that is durable, too.
//!
//! A header that was fixed but not yet begun to be written may be discarded; what it would have committed is part of the next.

use super::header::{Committed, HeaderImage, HeaderPlace};
use super::writer::Mark;
use super::{Node, NodeError, Rule};
use crate::media::geometry::HEADER_TWINS;
use crate::media::{MirrorTid, VolumeHeader};
use crate::memory::NoMemory;

/// A header that isn't in force yet.
pub(super) struct Landing {
    header: HeaderImage,
    copy: usize,
    /// True when the volume has room for no other copy.
    is_only: bool,
    /// The writes it waits for.
    behind: Mark,
    /// True when a mount may find it or parts of it: then it is completed before anything else is done, whatever happens
    /// meanwhile.
    is_begun: bool,
    /// If it is discarded, no header refers to blocks written by this flush or a later one.
    uncommitted_from: MirrorTid,
}

impl Node {
    /// Fixes what the next header commits: all changes so far. Returns false if there is nothing to commit.
    pub(crate) async fn fix(&self) -> Result<bool, NodeError> {
        self.alone().await?;
        if !self.has_changes() {
            return Ok(false);
        }
        self.gather().await?;
        self.fix_header(&mut |_| {})?;
        Ok(true)
    }

    /// Makes sure that no earlier commit is half done: it has landed, or is part of the next.
    pub(crate) async fn alone(&self) -> Result<(), NodeError> {
        self.landings.ended().await;
        self.ready().await?;
        self.discard_header();
        Ok(())
    }

    /// Makes the header that commits the topology as it is, all of which must be on its way to the devices. `edit` changes its
    /// other fields.
    pub(crate) fn fix_header(&self, edit: &mut dyn FnMut(&mut VolumeHeader)) -> Result<(), NodeError> {
        let (mut next, last) = {
            let committed = self.committed.borrow();
            debug_assert!(!committed.has_torn_places(), "what is changed was recovered");
            (self.image_of(&committed.header)?, committed.copy)
        };
        let topology = &mut *self.topology.borrow_mut();
        debug_assert!(topology.arena.is_empty(), "what is committed was gathered");
        let header = next.get_mut();
        self.note_size(header);
        header.sroot_blockset = topology.super_root;
        header.freemap_blockset = topology.freemap;
        header.set_tids(topology.pending_tid);
        header.set_space(self.allocator.borrow().free_bytes());
        edit(header);
        header.seal();
        let copy = header.next_copy(last);
        let uncommitted_from = topology.begin_flush();
        let behind = self.writer.mark();
        let landing = Landing { header: next, copy, is_only: copy == last, behind, is_begun: false, uncommitted_from };
        *self.landing.borrow_mut() = Some(landing);
        self.uncommitted.set(false);
        self.replaceable.set(false);
        Ok(())
    }

    /// Discards a header that was fixed, if its writing hasn't begun.
    pub(crate) fn discard_header(&self) {
        let mut landing = self.landing.borrow_mut();
        if let Some(given_up) = landing.take_if(|landing| !landing.is_begun) {
            self.topology.borrow_mut().uncommitted_from = given_up.uncommitted_from;
            self.uncommitted.set(true);
            self.replaceable.set(true);
        }
    }

    /// Keeps what was written so far as if it were committed, even if a fixed header is discarded.
    pub(super) fn keep_all_written(&self) {
        let topology = &mut *self.topology.borrow_mut();
        topology.uncommitted_from = topology.pending_tid;
        if let Some(landing) = &mut *self.landing.borrow_mut() {
            landing.uncommitted_from = topology.pending_tid;
        }
    }

    /// True when the writing of a header was begun and no task is completing it.
    pub(super) fn has_half_written_header(&self) -> bool {
        !self.landings.is_taken() && self.landing.borrow().as_ref().is_some_and(|landing| landing.is_begun)
    }

    /// True when a header was fixed and no task is writing it.
    pub(super) fn has_idle_header(&self) -> bool {
        !self.landings.is_taken() && self.landing.borrow().is_some()
    }

    /// The number of the header that is being written, if one is.
    pub(super) fn landing_tid(&self) -> Option<MirrorTid> {
        let landing = self.landing.borrow();
        landing.as_ref().filter(|landing| landing.is_begun).map(|landing| landing.header.get().mirror_tid())
    }

    /// The number of the header that is being brought to the disk, or otherwise of the one in force.
    pub(super) fn on_the_way_tid(&self) -> MirrorTid {
        let landing = self.landing.borrow();
        let on_the_way = landing.as_ref().filter(|_| self.landings.is_taken());
        on_the_way.map_or_else(|| self.header().mirror_tid(), |landing| landing.header.get().mirror_tid())
    }

    /// Makes everything durable that the fixed header commits, and writes the header. Returns false if there is none: what it
    /// would have committed is part of the next.
    pub(crate) async fn land(&self) -> Result<bool, NodeError> {
        self.land_if(async || true).await
    }

    /// Does the same, but asks `may_be_written` before the header is written, when all that it commits is durable.
    pub(crate) async fn land_if(&self, may_be_written: impl AsyncFnOnce() -> bool) -> Result<bool, NodeError> {
        let _turn = self.landings.take().await;
        let Some(behind) = self.landing.borrow().as_ref().map(|landing| landing.behind) else { return Ok(false) };
        self.writer.settle_before(self.volumes(), behind).await.map_err(|fault| self.write_failed(fault.into()))?;
        self.flush_devices().await?;
        if !may_be_written().await {
            self.discard_header();
            return Ok(false);
        }
        self.write_header().await?;
        Ok(true)
    }

    /// Writes the fixed header from the beginning: parts of it that landed before are overwritten with the same. After that it is
    /// in force.
    async fn write_header(&self) -> Result<(), NodeError> {
        let another = || match &*self.landing.borrow() {
            Some(landing) => {
                let copied = self.image_of(&landing.header);
                copied.map(|header| Some((header, landing.copy, landing.is_only)))
            }
            None => Ok(None),
        };
        let Some((header, copy, is_only)) = another()? else { return Ok(()) };
        let tid = header.get().mirror_tid();
        self.check_headers(copy, tid).await?;
        if let Some(landing) = &mut *self.landing.borrow_mut() {
            landing.is_begun = true;
        }
        if self.protocol.get().has(Rule::Twin) {
            let sent = self.write_at(0, HeaderPlace::Twin(copy % HEADER_TWINS), header).await?;
            self.keep_spare(sent);
        }
        if is_only {
            // A write may tear it only while its twin is whole.
            self.flush_devices().await?;
        }
        let Some((header, ..)) = another()? else { return Ok(()) };
        self.check_headers(copy, tid).await?;
        let sent = self.write_at(0, HeaderPlace::Copy(copy), header).await?;
        self.keep_spare(sent);
        self.flush_devices().await?;
        let Some(Landing { header, copy, .. }) = self.landing.borrow_mut().take() else { return Ok(()) };
        let before = self.committed.replace(Committed::new(header, copy));
        self.keep_spare(before.header);
        Ok(())
    }

    /// Makes another image of a header, in the memory of a written one if there is one.
    fn image_of(&self, header: &HeaderImage) -> Result<HeaderImage, NoMemory> {
        let spare = self.spare_images.borrow_mut().pop();
        header.copy_into(spare, self.heap)
    }

    fn keep_spare(&self, image: HeaderImage) {
        // There is room, except for images that a device returned after the node was reopened.
        let _ = self.spare_images.borrow_mut().push(image);
    }
}
