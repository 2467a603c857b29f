//! Laggards that met a bad block: what is behind it is copied to them, and they go on.
//!
//! The copy is of a member that may have executed more of the stream than the laggard. So while it is made nothing is changed,
//! and what the entries up to there do among the keys that were copied is not done once more.

use super::Stream;
use super::entry::Work;
use crate::cluster::vote::NodeSet;
use crate::cluster::{Cluster, NodeFault, NodeIndex};
use crate::memory::{Box, boxed};
use crate::node::NodeError;

/// A member met a bad block.
struct Mending<'s> {
    stream: &'s Stream,
    index: NodeIndex,
}

impl<'s> Mending<'s> {
    fn new(stream: &'s Stream, index: NodeIndex) -> Self {
        stream.books.borrow_mut().mending.insert(index);
        stream.changed.wake_all();
        Self { stream, index }
    }
}

impl Drop for Mending<'_> {
    fn drop(&mut self) {
        self.stream.books.borrow_mut().mending.remove(self.index);
        self.stream.changed.wake_all();
    }
}

/// Something is copied to a member. One at a time, and nothing is changed meanwhile.
struct Copies<'s>(&'s Stream);

impl<'s> Copies<'s> {
    async fn begin(stream: &'s Stream) -> Self {
        while stream.is_copying.replace(true) {
            stream.change().await;
        }
        Self(stream)
    }
}

impl Drop for Copies<'_> {
    fn drop(&mut self) {
        self.0.is_copying.set(false);
        self.0.changed.wake_all();
    }
}

impl Cluster {
    /// Has what is bad on the way to a laggard's next entry copied anew. Changes wait meanwhile, so that it is known what the
    /// copy has done already. The fault, if nobody has what is lost.
    pub(super) async fn mend_on(&self, index: NodeIndex, fault: NodeFault) -> Result<(), NodeError> {
        let Some(block) = fault.bad_block() else { return Err(NodeError::Fault(fault)) };
        let _mending = Mending::new(&self.stream, index);
        let _copying = Copies::begin(&self.stream).await;
        loop {
            let (position, holder) = {
                let books = &mut *self.stream.books.borrow_mut();
                let Some(position) = books.next[usize::from(index.0)] else { return Ok(()) };
                let node = &self.member(index).node;
                let Some(Work::Change(_, recorded)) = books.get(position).map(|entry| &entry.work) else {
                    return Ok(());
                };
                (position, recorded.holder(|slot| node.inum(slot)))
            };
            for (source, until) in self.stream.at_rest(self.in_sync()) {
                if source == index || until < position {
                    continue;
                }
                let copied = match boxed(self.heap, self.copy_lost(index, holder, block, NodeSet::only(source))) {
                    Ok(copy) => Box::into_pin(copy).await,
                    Err(error) => return Err(error.into()),
                };
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

    /// True when somebody else is about to execute what this one can't.
    fn may_come_abreast(&self, index: NodeIndex) -> bool {
        let mending = self.stream.books.borrow().mending;
        let others = self.stream.lagging().intersection(self.in_sync()).difference(mending);
        !others.difference(NodeSet::only(index)).is_empty()
    }
}
