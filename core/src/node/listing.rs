//! Listing what lies below an inode: elements in order, without what hasn't changed since a transaction id.
//!
//! The list names the keys that are left out, so that a reader knows which it hasn't seen.

use core::ops::ControlFlow;

use super::{Element, Elements, Halt, Leaf, Node, Progress, Reply, Scanned, Slot, failed};
use crate::chain::scan_changed;
use crate::media::inode::InodeFlags;
use crate::media::{BlockKind, Blockref, Corruption, KeyRange, ModifyTid};

impl Node {
    /// Fills `elements` with what is below an open inode in `range`; an unchanged part is one element.
    #[inline(never)]
    pub(super) fn list(
        &self,
        slot: Slot,
        range: KeyRange,
        since: ModifyTid,
        elements: &mut Elements,
        progress: &mut Progress,
    ) -> Result<Reply, Halt> {
        let (cursor, begins) = progress.over(range);
        if begins {
            elements.clear();
        }
        let mut broken: Option<(Blockref, Corruption)> = None;
        self.in_inode(slot, |view| {
            if view.inode.meta.flags().contains(InodeFlags::DIRECTDATA) {
                cursor.remaining = None;
                return Ok(());
            }
            scan_changed(view.source, view.holder()?, cursor, since, &mut |entry| {
                let tid = view.modify_tid_of(entry);
                let element = match entry.kind() {
                    Ok(BlockKind::Indirect) => entry.span().map(Element::Unchanged),
                    _ => Leaf::of(entry, tid).map(Element::Leaf),
                };
                match element {
                    // There is room: the walk ends when there is none.
                    Ok(element) => drop(elements.push(element)),
                    Err(corruption) => broken = Some((*entry, corruption)),
                }
                if elements.is_full() || broken.is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            })?;
            if let Some((entry, corruption)) = broken {
                return Err(failed(&entry, corruption));
            }
            if !elements.is_full() {
                cursor.remaining = None;
            }
            Ok(())
        })?;
        Ok(Reply::Scanned(Scanned { remaining: cursor.remaining }))
    }
}
