//! Lagging members that met a bad block: what is behind the block is copied to them, and they go on.
//!
//! The source of the copy may have executed more of the stream than the lagging member. So nothing is changed while the copy is
//! made, and the changes that earlier entries make among the copied keys are not made again.

use super::Entry;
use super::entry::Work;
use super::marks::Marked;
use crate::cluster::repair::Lost;
use crate::cluster::vote::NodeSet;
use crate::cluster::{Cluster, NodeFault, NodeIndex};
use crate::memory::aside;
use crate::node::NodeError;

impl Cluster {
    /// Copies anew what is bad on the way to a lagging member's next entry. Changes wait meanwhile, so that it is known what the
    /// copy already includes. Returns the fault if no node has what is lost.
    pub(super) async fn mend_on(&self, index: NodeIndex, fault: NodeFault) -> Result<(), NodeError> {
        let Some(block) = fault.bad_block() else { return Err(NodeError::Fault(fault)) };
        let _mending = Marked::claim(&self.stream, index, |books| &mut books.mending);
        self.stream.changed.wake_all();
        let _copying = self.stream.copy().await;
        loop {
            let (position, holders) = {
                let (books, node) = (self.stream.books.borrow(), &self.member(index).node);
                let Some((position, Entry { work: Work::Change(_, recorded), .. })) = books.next_of(index) else {
                    return Ok(());
                };
                (position, recorded.holders(|slot| node.inum(slot)))
            };
            for (source, until) in self.stream.at_rest(self.in_sync()) {
                if source == index || until < position {
                    continue;
                }
                let _shown = Marked::claim(&self.stream, source, |books| &mut books.shown);
                let [holder, other] = holders;
                let mut copied =
                    aside(self.heap, || self.copy_lost(index, holder, block, NodeSet::only(source)))?.await;
                if let (Some(Ok(None)), true) = (copied, other != holder) {
                    copied = aside(self.heap, || self.copy_lost(index, other, block, NodeSet::only(source)))?.await;
                }
                match copied {
                    Some(Ok(lost)) => {
                        self.member(index).note_repair();
                        return self.stream.note_copied(index, lost, until).map_err(NodeError::from);
                    }
                    Some(Err(error)) => return Err(error),
                    None => {}
                }
            }
            if !self.may_come_abreast(index) {
                return Err(NodeError::Fault(fault));
            }
            self.stream.change().await;
        }
    }

    /// Copies keys to a laggard whose next entry would bring them about from others that were copied to it: those may be what
    /// they became later. Who has executed the entry has them.
    pub(super) async fn copy_on(&self, index: NodeIndex, lost: Lost) -> Result<(), NodeError> {
        let _mending = Marked::claim(&self.stream, index, |books| &mut books.mending);
        self.stream.changed.wake_all();
        let _copying = self.stream.copy().await;
        loop {
            let Some((position, _)) = self.stream.books.borrow().next_of(index).map(|(at, entry)| (at, entry.bytes))
            else {
                return Ok(());
            };
            for (source, until) in self.stream.at_rest(self.in_sync()) {
                if source == index || until <= position {
                    continue;
                }
                let _shown = Marked::claim(&self.stream, source, |books| &mut books.shown);
                if let Some(copied) = aside(self.heap, || self.copy_shown(index, lost, source))?.await {
                    copied?;
                    return self.stream.note_copied(index, Some(lost), until).map_err(NodeError::from);
                }
            }
            if !self.may_come_abreast(index) {
                // Nobody has it: it leaves, and is compared with the others when it comes back.
                return Err(NodeError::Fault(NodeFault::UnknownSlot));
            }
            self.stream.change().await;
        }
    }

    /// True when another node is about to execute what this one can't.
    fn may_come_abreast(&self, index: NodeIndex) -> bool {
        let mending = self.stream.books.borrow().mending;
        let others = self.stream.lagging().intersection(self.in_sync()).difference(mending);
        !others.difference(NodeSet::only(index)).is_empty()
    }
}
