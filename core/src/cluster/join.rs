//! Waiting for several nodes at once.

use core::future::{Future, poll_fn};
use core::pin::Pin;
use core::task::Poll;

use super::{MAX_NODES, OpError};
use crate::memory::{Box, Heap, NoMemory, boxed};
use crate::node::NodeIndex;

/// What each of several nodes came to.
pub(super) type Answers<T> = heapless::Vec<(NodeIndex, T), MAX_NODES>;

/// Waits for a future that only clusters of several nodes need, in a box: it makes no operation of a single node larger.
pub(super) async fn aside<T>(heap: Heap, future: impl Future<Output = Result<T, OpError>>) -> Result<T, OpError> {
    Box::into_pin(boxed(heap, future)?).await
}

/// Waits until all of `futures` are done, one for each of some nodes. None is started unless there is memory for all.
pub(super) async fn join_all<F: Future>(
    heap: Heap,
    futures: impl Iterator<Item = (NodeIndex, F)>,
) -> Result<Answers<F::Output>, NoMemory> {
    let mut pending: heapless::Vec<(NodeIndex, Pin<Box<F>>), MAX_NODES> = heapless::Vec::new();
    for (index, future) in futures {
        // A cluster has no more nodes than fit.
        let _ = pending.push((index, Box::into_pin(boxed(heap, future)?)));
    }
    let mut answers = Answers::new();
    poll_fn(|cx| {
        pending.retain_mut(|(index, future)| match future.as_mut().poll(cx) {
            Poll::Ready(output) => {
                let _ = answers.push((*index, output));
                false
            }
            Poll::Pending => true,
        });
        if pending.is_empty() { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
    answers.sort_unstable_by_key(|(index, _)| *index);
    Ok(answers)
}
