//! Many requests at the same time, as tasks of the executor.

use core::cell::RefCell;
use core::future::{Future, poll_fn};
use core::task::{Poll, Waker};

use hammer2_core::io::Buffer;
use hammer2_core::memory::{self, NoMemory, Vec};
use hammer2_core::selftest::Failure;
use hammer2_kmod_shim::executor::Executor;

use crate::platform::{MEMORY, Platform};

/// Splits the numbers below `count` among `workers` tasks that run at the same time; each takes the next number when it
/// is done with one. The first error ends its worker and is the result.
pub(super) fn in_parallel<'t, F>(
    platform: &Platform,
    workers: u16,
    count: u64,
    work: impl Fn(u64) -> F + Copy + 't,
) -> Result<(), Failure>
where
    F: Future<Output = Result<(), Failure>> + 't,
{
    struct Progress {
        next: u64,
        workers: u16,
        failure: Option<Failure>,
        waiting: Option<Waker>,
    }
    let progress = RefCell::new(Progress { next: 0, workers, failure: None, waiting: None });
    let executor = Executor::new(MEMORY)?;
    for _ in 0..workers {
        let progress = &progress;
        executor.spawn(async move {
            loop {
                let number = progress.borrow().next;
                if number >= count {
                    break;
                }
                progress.borrow_mut().next += 1;
                if let Err(failure) = work(number).await {
                    progress.borrow_mut().failure.get_or_insert(failure);
                    break;
                }
            }
            progress.borrow_mut().workers -= 1;
            if let Some(waker) = progress.borrow_mut().waiting.take() {
                waker.wake();
            }
        })?;
    }
    platform.run(
        &executor,
        poll_fn(|cx| {
            let mut progress = progress.borrow_mut();
            progress.waiting = Some(cx.waker().clone());
            if progress.workers == 0 { Poll::Ready(()) } else { Poll::Pending }
        }),
    );
    drop(executor);
    match progress.into_inner().failure {
        Some(failure) => Err(failure),
        None => Ok(()),
    }
}

/// Buffers that are reused, so that measurements don't measure the allocator.
pub(super) struct BufferPool(RefCell<Vec<Buffer>>);

impl BufferPool {
    pub(super) fn new(count: u16, bytes: usize) -> Result<Self, NoMemory> {
        let mut buffers = Vec::new_in(MEMORY);
        for _ in 0..count {
            memory::push(&mut buffers, Buffer::new(MEMORY, bytes)?)?;
        }
        Ok(Self(RefCell::new(buffers)))
    }

    pub(super) fn take(&self) -> Result<Buffer, Failure> {
        self.0.borrow_mut().pop().ok_or_else(|| Failure::new(format_args!("more workers than buffers")))
    }

    pub(super) fn put(&self, buffer: Buffer) -> Result<(), Failure> {
        Ok(memory::push(&mut self.0.borrow_mut(), buffer)?)
    }
}
