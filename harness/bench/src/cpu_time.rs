//! The CPU time of the process.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

fn now() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// The CPU time `work` takes.
pub fn of<T, E>(work: impl FnOnce() -> Result<T, E>) -> Result<Duration, E> {
    let start = now();
    work()?;
    Ok(now() - start)
}

/// The medians of several runs of two pieces of work, by turns, so that both see the same machine.
pub fn medians<E>(
    runs: u32,
    mut ours: impl FnMut() -> Result<Duration, E>,
    mut theirs: impl FnMut() -> Result<Duration, E>,
) -> Result<(Duration, Duration), E> {
    let mut times = (Vec::new(), Vec::new());
    // The first run of each warms what there is to warm, and doesn't count.
    for _ in 0..=runs {
        times.0.push(ours()?);
        times.1.push(theirs()?);
    }
    Ok((median(&mut times.0[1..]), median(&mut times.1[1..])))
}

fn median(times: &mut [Duration]) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}
