//! Waiting for several nodes at once.

use core::future::{Future, poll_fn};
use core::pin::Pin;
use core::task::Poll;

use super::MAX_NODES;
use crate::memory::{Box, Heap, NoMemory, aside};
use crate::node::NodeIndex;

/// What each of several nodes came to.
pub type Answers<T> = heapless::Vec<(NodeIndex, T), MAX_NODES>;

/// Futures for some nodes, one each, to be waited for together.
pub(super) struct Together<F>(heapless::Vec<(NodeIndex, Pin<Box<F>>), MAX_NODES>);

impl<F: Future> Together<F> {
    pub(super) fn new() -> Self {
        Self(heapless::Vec::new())
    }

    /// Adds one. It isn't started before all are waited for.
    pub(super) fn add(&mut self, heap: Heap, index: NodeIndex, future: F) -> Result<(), NoMemory> {
        // A cluster has no more nodes than fit.
        let _ = self.0.push((index, aside(heap, future)?));
        Ok(())
    }

    /// Waits until all are done; what they came to, by node.
    pub(super) async fn join(mut self) -> Answers<F::Output> {
        let mut answers = Answers::new();
        poll_fn(|cx| {
            self.0.retain_mut(|(index, future)| match future.as_mut().poll(cx) {
                Poll::Ready(output) => {
                    let _ = answers.push((*index, output));
                    false
                }
                Poll::Pending => true,
            });
            if self.0.is_empty() { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
        answers.sort_unstable_by_key(|(index, _)| *index);
        answers
    }
}

/// Waits until all of `futures` are done, one for each of some nodes. None is started unless there is memory for all.
pub(crate) async fn join_all<F: Future>(
    heap: Heap,
    futures: impl Iterator<Item = (NodeIndex, F)>,
) -> Result<Answers<F::Output>, NoMemory> {
    let mut together = Together::new();
    for (index, future) in futures {
        together.add(heap, index, future)?;
    }
    Ok(together.join().await)
}
