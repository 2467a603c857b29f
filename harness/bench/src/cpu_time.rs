//! The CPU time of the process.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

fn now() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// The CPU time that `work` takes.
pub fn of<T, E>(work: impl FnOnce() -> Result<T, E>) -> Result<Duration, E> {
    let start = now();
    work()?;
    Ok(now() - start)
}

/// The CPU time that a future takes, without its waits.
pub async fn of_async<T, E>(work: impl Future<Output = Result<T, E>>) -> Result<Duration, E> {
    let start = now();
    work.await?;
    Ok(now() - start)
}

/// The medians of several runs of two pieces of work, which take turns, so that both see the same machine.
pub fn medians<E>(
    runs: u32,
    mut ours: impl FnMut() -> Result<Duration, E>,
    mut theirs: impl FnMut() -> Result<Duration, E>,
) -> Result<(Duration, Duration), E> {
    let [pair] = medians_of(runs, || Ok([ours()?]), || Ok([theirs()?]))?;
    Ok(pair)
}

/// The same for runs of several steps, each with a time of its own.
pub fn medians_of<const STEPS: usize, E>(
    runs: u32,
    mut ours: impl FnMut() -> Result<[Duration; STEPS], E>,
    mut theirs: impl FnMut() -> Result<[Duration; STEPS], E>,
) -> Result<[(Duration, Duration); STEPS], E> {
    let mut times = (Vec::new(), Vec::new());
    // The first run of each is a warm-up, and doesn't count.
    for _ in 0..=runs {
        times.0.push(ours()?);
        times.1.push(theirs()?);
    }
    let median = |times: &[[Duration; STEPS]], step: usize| {
        let mut step_times: Vec<_> = times[1..].iter().map(|steps| steps[step]).collect();
        step_times.sort_unstable();
        step_times[step_times.len() / 2]
    };
    Ok(std::array::from_fn(|step| (median(&times.0, step), median(&times.1, step))))
}
