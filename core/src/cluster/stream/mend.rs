//! Lagging members that met a bad block: what is behind the block is copied to them, and they go on.
//!
//! The source of the copy may have executed more of the stream than the lagging member. So nothing is changed while the copy is
//! made, and the changes that earlier entries make among the copied keys are not made again.

use super::Entry;
use super::entry::Work;
use super::marks::Marked;
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
            let (position, holder) = {
                let (books, node) = (self.stream.books.borrow(), &self.member(index).node);
                let Some((position, Entry { work: Work::Change(_, recorded), .. })) = books.next_of(index) else {
                    return Ok(());
                };
                (position, recorded.holder(|slot| node.inum(slot)))
            };
            for (source, until) in self.stream.at_rest(self.in_sync()) {
                if source == index || until < position {
                    continue;
                }
                let _shown = Marked::claim(&self.stream, source, |books| &mut books.shown);
                let copied = aside(self.heap, || self.copy_lost(index, holder, block, NodeSet::only(source)))?;
                match copied.await {
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

    /// True when another node is about to execute what this one can't.
    fn may_come_abreast(&self, index: NodeIndex) -> bool {
        let mending = self.stream.books.borrow().mending;
        let others = self.stream.lagging().intersection(self.in_sync()).difference(mending);
        !others.difference(NodeSet::only(index)).is_empty()
    }
}
