//! Other processors: each job takes a time of its own, so that they are done in any order, and some aren't taken or aren't done.

use std::cell::RefCell;
use std::task::{Context, Poll};

use hammer2_core::io::{Job, JobId, Tools, Workers};
use hammer2_core::random::{Random, mix};

use crate::host::Host;
use crate::nodes::HEAP;

/// Jobs under way at most.
const MOST: usize = 5;

/// Processors of the simulated host. What they draw changes nothing of what else is drawn.
pub(crate) struct SimWorkers {
    host: &'static Host,
    state: RefCell<State>,
}

struct State {
    random: Random,
    tools: Tools,
    jobs: Vec<Option<UnderWay>>,
}

struct UnderWay {
    job: Job,
    at: u64,
}

thread_local! {
    static WORKERS: RefCell<Option<&'static SimWorkers>> = const { RefCell::new(None) };
}

impl SimWorkers {
    /// The thread's workers, for all mounts there are. What they draw from here on depends on the run only.
    pub(crate) fn fresh(host: &'static Host) -> &'static Self {
        let workers = WORKERS.with_borrow_mut(|workers| {
            *workers.get_or_insert_with(|| {
                let state = State { random: Random::new(0), tools: Tools::new(HEAP), jobs: Vec::new() };
                Box::leak(Box::new(Self { host, state: RefCell::new(state) }))
            })
        });
        workers.state.borrow_mut().random = Random::new(mix(host.trace()));
        workers
    }
}

impl Workers for SimWorkers {
    fn submit(&self, mut job: Job) -> Result<JobId, Job> {
        let State { random, tools, jobs } = &mut *self.state.borrow_mut();
        if jobs.iter().flatten().count() == MOST || random.percent(10) {
            return Err(job);
        }
        // Without memory it comes back as it went.
        if random.percent(95) {
            job.run(tools);
        }
        let at = self.host.nanoseconds() + random.pick(&[0, 1_000, 30_000, 500_000]) * (1 + random.below(4));
        let free = jobs.iter().position(Option::is_none).unwrap_or_else(|| {
            jobs.push(None);
            jobs.len() - 1
        });
        jobs[free] = Some(UnderWay { job, at });
        Ok(JobId(free))
    }

    fn poll(&self, JobId(index): JobId, _: &mut Context<'_>) -> Poll<Job> {
        let jobs = &mut self.state.borrow_mut().jobs;
        match jobs[index].take() {
            Some(UnderWay { job, at }) if at <= self.host.nanoseconds() => Poll::Ready(job),
            under_way => {
                if let Some(UnderWay { at, .. }) = &under_way {
                    self.host.alarm(*at);
                }
                jobs[index] = under_way;
                Poll::Pending
            }
        }
    }

    fn recall(&self, JobId(index): JobId) -> Option<Job> {
        let State { random, jobs, .. } = &mut *self.state.borrow_mut();
        let is_late = jobs[index].as_ref().is_some_and(|under_way| under_way.at > self.host.nanoseconds());
        let job = (is_late && random.percent(50)).then(|| jobs[index].take()).flatten();
        job.map(|under_way| under_way.job)
    }

    fn give_up(&self, JobId(index): JobId) {
        self.state.borrow_mut().jobs[index] = None;
    }
}
