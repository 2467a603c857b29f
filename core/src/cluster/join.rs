//! Waiting for several nodes at once.

use core::future::{Future, poll_fn};
use core::pin::Pin;
use core::task::{Context, Poll};

use super::MAX_NODES;
use crate::io::{Disk, Duration};
use crate::memory::{Box, Heap, NoMemory, Vec, aside};
use crate::node::NodeIndex;

/// The answer of each of several nodes.
pub type Answers<T> = heapless::Vec<(NodeIndex, T), MAX_NODES>;

/// Futures for some nodes, one for each, that advance together.
pub(crate) struct Together<F: Future> {
    under_way: heapless::Vec<(NodeIndex, Pin<Box<F>>), MAX_NODES>,
    /// Has room for all answers.
    answers: Vec<(NodeIndex, F::Output)>,
}

impl<F: Future> Together<F> {
    pub(crate) fn new(heap: Heap) -> Self {
        Self { under_way: heapless::Vec::new(), answers: Vec::new_in(heap) }
    }

    /// Adds the future that `make` makes. It isn't started before it is polled.
    pub(crate) fn add(&mut self, index: NodeIndex, make: impl FnOnce() -> F) -> Result<(), NoMemory> {
        self.answers.try_reserve(self.under_way.len() + 1).map_err(|_| NoMemory)?;
        // A cluster has no more nodes than fit here.
        let _ = self.under_way.push((index, aside(*self.answers.allocator(), make)?));
        Ok(())
    }

    /// Polls each future; true when none is under way any more.
    pub(crate) fn poll_each(&mut self, cx: &mut Context<'_>) -> bool {
        let Self { under_way, answers } = self;
        under_way.retain_mut(|(index, future)| match future.as_mut().poll(cx) {
            Poll::Ready(output) => {
                answers.push((*index, output));
                false
            }
            Poll::Pending => true,
        });
        under_way.is_empty()
    }

    /// Polls each future until one is done, and returns its output. The others aren't polled after that, and leave what they
    /// share as the finished one left it.
    pub(super) fn poll_first(&mut self, cx: &mut Context<'_>) -> Poll<(NodeIndex, F::Output)> {
        for position in 0..self.under_way.len() {
            let (index, future) = &mut self.under_way[position];
            if let Poll::Ready(output) = future.as_mut().poll(cx) {
                let index = *index;
                drop(self.under_way.remove(position));
                return Poll::Ready((index, output));
            }
        }
        Poll::Pending
    }

    /// The output of one future that is done.
    pub(crate) fn take_answer(&mut self) -> Option<(NodeIndex, F::Output)> {
        self.answers.pop()
    }

    /// Waits until all are done, or until `delay` is over; returns the outputs of those that are done, by node.
    pub(super) async fn join_until(mut self, clock: Option<&Disk>, delay: Duration) -> Answers<F::Output> {
        let end = clock.map(|clock| (clock, clock.now().after(delay)));
        poll_fn(|cx| match (self.poll_each(cx), end) {
            (true, _) => Poll::Ready(()),
            (false, Some((clock, end))) => clock.expire(end, cx).map(drop),
            (false, None) => Poll::Pending,
        })
        .await;
        self.in_order()
    }

    /// Waits until all are done; returns their outputs, by node.
    pub(super) async fn join(mut self) -> Answers<F::Output> {
        poll_fn(|cx| if self.poll_each(cx) { Poll::Ready(()) } else { Poll::Pending }).await;
        self.in_order()
    }

    fn in_order(mut self) -> Answers<F::Output> {
        self.answers.sort_unstable_by_key(|(index, _)| *index);
        self.answers.into_iter().collect()
    }
}

/// Waits until all futures that `make` makes, one for each of some nodes, are done. None is started unless there is memory for
/// all.
pub(crate) async fn join_all<F: Future>(
    heap: Heap,
    nodes: impl Iterator<Item = NodeIndex>,
    make: impl Fn(NodeIndex) -> F,
) -> Result<Answers<F::Output>, NoMemory> {
    let mut together = Together::new(heap);
    for index in nodes {
        together.add(index, || make(index))?;
    }
    Ok(together.join().await)
}

#[cfg(test)]
mod tests {
    use core::cell::Cell;
    use core::task::Waker;

    use allocator_api2::alloc::Global;

    use super::*;

    #[test]
    fn who_comes_after_the_first_answer_leaves_what_is_shared_alone() {
        // Each future begins the shared batch anew when another has left it unfinished.
        let (batch, turn) = (Cell::new(0), Cell::new(0));
        let mut together = Together::new(&Global);
        for node in 0..2 {
            let (batch, turn) = (&batch, &turn);
            together
                .add(NodeIndex(node), || {
                    poll_fn(move |_| {
                        batch.set(0);
                        // The first is done in the second turn, the other never.
                        if node > 0 || turn.get() == 0 {
                            return Poll::Pending;
                        }
                        batch.set(7);
                        Poll::Ready(())
                    })
                })
                .unwrap();
        }
        let mut cx = Context::from_waker(Waker::noop());
        assert!(together.poll_first(&mut cx).is_pending());
        turn.set(1);
        assert_eq!(together.poll_first(&mut cx), Poll::Ready((NodeIndex(0), ())));
        assert_eq!(batch.get(), 7);
    }
}
