//! The other processors of the machine: a few threads that compress and decompress blocks.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use hammer2_core::io::{Job, JobId, Tools, Workers};
use hammer2_core::memory::Heap;
use rayon_core::{ThreadPool, ThreadPoolBuildError, ThreadPoolBuilder};

/// Jobs for each thread: the one it does, and the next, so that it never waits for its giver.
const JOBS_FOR_EACH: usize = 2;

/// Threads for jobs.
pub struct Processors {
    pool: ThreadPool,
    shared: Arc<Shared>,
    most_jobs: usize,
}

struct Shared {
    heap: Heap,
    books: Mutex<Books>,
}

#[derive(Default)]
struct Books {
    places: Vec<Place>,
    /// Jobs that no thread is done with, those included that are gone when it comes for them.
    under_way: usize,
    /// Tools that nobody uses at the moment.
    tools: Vec<Tools>,
}

enum Place {
    Free,
    /// No thread has begun with it; and who waits for it.
    Queued(Job, Option<Waker>),
    UnderWay(Option<Waker>),
    /// A thread has it, or comes for it, and nobody wants it.
    GivenUp,
    Done(Job),
}

impl Processors {
    /// So many threads, whose tools take memory from there. They end with the process.
    pub fn leaked(threads: usize, heap: Heap) -> Result<&'static Self, ThreadPoolBuildError> {
        Ok(Box::leak(Box::new(Self::new(threads, heap)?)))
    }

    fn new(threads: usize, heap: Heap) -> Result<Self, ThreadPoolBuildError> {
        let name = |number| format!("hammer2-worker-{number}");
        let pool = ThreadPoolBuilder::new().num_threads(threads).thread_name(name).build()?;
        let shared = Arc::new(Shared { heap, books: Mutex::default() });
        Ok(Self { pool, shared, most_jobs: threads * JOBS_FOR_EACH })
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Books> {
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What a thread does.
    fn work(&self, index: usize) {
        let mut books = self.lock();
        let (mut job, waker) = match std::mem::replace(&mut books.places[index], Place::Free) {
            Place::Queued(job, waker) => (job, waker),
            _ => {
                books.under_way -= 1;
                return;
            }
        };
        books.places[index] = Place::UnderWay(waker);
        let tools = books.tools.pop();
        drop(books);
        let mut tools = tools.unwrap_or_else(|| Tools::new(self.heap));
        job.run(&mut tools);
        let mut books = self.lock();
        books.tools.push(tools);
        books.under_way -= 1;
        let waker = match std::mem::replace(&mut books.places[index], Place::Free) {
            Place::UnderWay(waker) => {
                books.places[index] = Place::Done(job);
                waker
            }
            _ => None,
        };
        drop(books);
        waker.into_iter().for_each(Waker::wake);
    }
}

impl Workers for Processors {
    fn submit(&self, job: Job) -> Result<JobId, Job> {
        let mut books = self.shared.lock();
        if books.under_way == self.most_jobs {
            return Err(job);
        }
        books.under_way += 1;
        let free = books.places.iter().position(|place| matches!(place, Place::Free));
        let index = free.unwrap_or_else(|| {
            books.places.push(Place::Free);
            books.places.len() - 1
        });
        books.places[index] = Place::Queued(job, None);
        drop(books);
        let shared = Arc::clone(&self.shared);
        self.pool.spawn(move || shared.work(index));
        Ok(JobId(index))
    }

    fn poll(&self, JobId(index): JobId, cx: &mut Context<'_>) -> Poll<Job> {
        let mut books = self.shared.lock();
        match std::mem::replace(&mut books.places[index], Place::Free) {
            Place::Done(job) => Poll::Ready(job),
            Place::Queued(job, _) => {
                books.places[index] = Place::Queued(job, Some(cx.waker().clone()));
                Poll::Pending
            }
            _ => {
                books.places[index] = Place::UnderWay(Some(cx.waker().clone()));
                Poll::Pending
            }
        }
    }

    fn recall(&self, JobId(index): JobId) -> Option<Job> {
        let mut books = self.shared.lock();
        match std::mem::replace(&mut books.places[index], Place::GivenUp) {
            Place::Queued(job, _) => Some(job),
            other => {
                books.places[index] = other;
                None
            }
        }
    }

    fn give_up(&self, JobId(index): JobId) {
        let mut books = self.shared.lock();
        let place = &mut books.places[index];
        *place = if matches!(place, Place::Done(_)) { Place::Free } else { Place::GivenUp };
    }
}

#[cfg(test)]
mod tests {
    use allocator_api2::alloc::Global;
    use hammer2_core::io::Buffer;
    use hammer2_core::media::{CheckMethod, Compression};

    use super::*;
    use crate::clock::HostClock;
    use crate::executor::Executor;

    const HEAP: Heap = &Global;

    fn job(byte: u8) -> Job {
        let mut block = Buffer::new(HEAP, 65536).unwrap();
        block.bytes_mut().fill(byte);
        Job::Encode { block, how: Compression::Zlib, level: 9, check: CheckMethod::XxHash64, encoded: None }
    }

    #[test]
    fn each_giver_gets_its_own_jobs_back_and_no_more_are_taken_than_are_worth_it() {
        let processors = Processors::new(2, HEAP).unwrap();
        let executor = Executor::new(HostClock::leaked());
        let (mut taken, mut refused, mut recalled) = (0, 0, 0);
        for round in 0..200_u8 {
            let ids: Vec<_> = (0..8).map(|number| (number, processors.submit(job(round ^ number)))).collect();
            for (number, id) in ids {
                let Ok(id) = id else {
                    refused += 1;
                    continue;
                };
                taken += 1;
                if number == 1 {
                    processors.give_up(id);
                    continue;
                }
                if number == 2
                    && let Some(job) = processors.recall(id)
                {
                    assert!(matches!(job, Job::Encode { encoded: None, .. }), "nobody has begun with it");
                    recalled += 1;
                    continue;
                }
                let done = executor.block_on(std::future::poll_fn(|cx| processors.poll(id, cx)));
                let Job::Encode { block, encoded: Some(encoded), .. } = done else { panic!("there is memory") };
                assert!(block.bytes().iter().all(|byte| *byte == round ^ number));
                assert!(encoded.compressed.is_some());
            }
        }
        assert!(taken > 0 && refused > 0 && recalled > 0, "{taken} taken, {refused} refused, {recalled} recalled");
        while processors.shared.lock().under_way > 0 {
            std::thread::yield_now();
        }
        let books = processors.shared.lock();
        assert!(books.places.iter().all(|place| matches!(place, Place::Free)));
        assert!(books.places.len() <= 12 && books.tools.len() <= 2);
    }
}
