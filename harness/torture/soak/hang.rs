//! The effect of a hanging disk on clients: latencies before, while the mount waits for the disk, and after its node was left
//! out.

use std::path::Path;
use std::sync::atomic::Ordering;
use std::sync::{Mutex, PoisonError};
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

use hammer2_core::random::Random;
use hammer2_torture::failure::{Failure, Result};
use hammer2_torture::server::Server;

use crate::client::{self, Client, Direction};
use crate::disks::Fault;
use crate::interrupt::Interrupt;
use crate::latency::Latencies;
use crate::rig::Rig;

const CLIENTS: usize = 4;

/// The node whose disk hangs: the one that is asked first.
const HANGING: usize = 0;

/// The latencies of the three phases.
pub(crate) struct Phases {
    pub(crate) healthy: Latencies,
    pub(crate) until_left_out: Latencies,
    pub(crate) left_out_after: Duration,
    pub(crate) without_it: Latencies,
}

/// Measures for so long before the disk hangs, and again after it is left out.
pub(crate) fn run(rig: &Rig, time: Duration, seed: u64, interrupt: &Interrupt) -> Result<Phases> {
    let mut random = Random::new(seed);
    let mut server = rig.mount()?;
    let clients: Vec<_> = (0..CLIENTS).map(|number| Mutex::new(Client::new(number, random.next_u64()))).collect();
    let direction = Direction { pause_us: 500, ..Direction::default() };
    let root = rig.mount_point();
    let phases = thread::scope(|scope| {
        let begin = |client| {
            let (root, direction): (&Path, _) = (&root, &direction);
            scope.spawn(move || client::work(client, root, direction))
        };
        let workers: Vec<_> = clients.iter().map(begin).collect();
        let measured = measure(rig, &mut server, &direction, time, interrupt);
        rig.mend_all();
        direction.stop.store(true, Ordering::SeqCst);
        let worked = workers
            .into_iter()
            .map(|worker| worker.join().unwrap_or_else(|_| Err(Failure::unusable("a client panicked"))));
        worked.collect::<Result<Vec<()>>>().and(measured)
    })?;
    server.unmount()?;
    rig.on_cluster(&["cluster", "resync"])?;
    rig.is_equal_everywhere()?;
    Ok(phases)
}

fn measure(
    rig: &Rig,
    server: &mut Server,
    direction: &Direction,
    time: Duration,
    interrupt: &Interrupt,
) -> Result<Phases> {
    let take = || std::mem::take(&mut *direction.latencies.lock().unwrap_or_else(PoisonError::into_inner));
    // In the first seconds, the tree still grows.
    wait(time / 4, interrupt)?;
    take();
    wait(time, interrupt)?;
    let healthy = take();
    rig.disk(HANGING).set(Fault::Hang);
    let start = Instant::now();
    while server.counters()?.in_sync.contains(&HANGING) {
        interrupt.check()?;
        if start.elapsed() > Duration::from_secs(100) {
            return Err(Failure::violation("the hanging disk isn't left out"));
        }
        sleep(Duration::from_millis(20));
    }
    let left_out_after = start.elapsed();
    // Operations that have waited for it end now.
    wait(Duration::from_secs(1), interrupt)?;
    let until_left_out = take();
    wait(time, interrupt)?;
    Ok(Phases { healthy, until_left_out, left_out_after, without_it: take() })
}

fn wait(time: Duration, interrupt: &Interrupt) -> Result<()> {
    let start = Instant::now();
    while start.elapsed() < time {
        interrupt.check()?;
        sleep(Duration::from_millis(20));
    }
    Ok(())
}
