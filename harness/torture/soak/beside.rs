//! Runs any program on a mounted cluster while its disks fail and return, such as test suites that know nothing of that.

use std::process::Command;
use std::thread::sleep;
use std::time::Duration;

use hammer2_core::random::Random;
use hammer2_torture::failure::{Failure, Result};

use crate::breaker::Breaker;
use crate::interrupt::Interrupt;
use crate::rig::Rig;

/// The variable by which the program finds the mount.
const MOUNT_VARIABLE: &str = "MOUNT";

const PAUSE: Duration = Duration::from_secs(2);
const LONGEST: Duration = Duration::from_secs(3);

/// What happened meanwhile.
pub(crate) struct Seen {
    pub(crate) faults: u64,
    pub(crate) nodes_left: u64,
    pub(crate) nodes_back: u64,
}

/// Runs a program beside faults; it must succeed, and afterwards all disks must hold the same.
pub(crate) fn run(rig: &Rig, command: &[String], seed: u64, interrupt: &Interrupt) -> Result<Seen> {
    let mut server = rig.mount()?;
    let mut breaker = Breaker::new(Random::new(seed).next_u64(), PAUSE, LONGEST);
    let mut program = Command::new(&command[0]);
    let mut child = program.args(&command[1..]).env(MOUNT_VARIABLE, rig.mount_point()).spawn()?;
    let mut faults = 0;
    let mut watch = || -> Result<_> {
        loop {
            if let Some(status) = child.try_wait()? {
                return Ok(status);
            }
            interrupt.check()?;
            breaker.mend_in_time(rig);
            if breaker.wants_to() && breaker.break_one(rig, &server.counters()?.in_sync).is_some() {
                faults += 1;
            }
            sleep(Duration::from_millis(20));
        }
    };
    let ended = watch();
    rig.mend_all();
    if ended.is_err() {
        child.kill()?;
        child.wait()?;
    }
    let status = ended?;
    let counters = server.counters()?;
    if !status.success() {
        return Err(Failure::violation(format_args!("the program: {status}; the server said:\n{}", server.said())));
    }
    server.unmount()?;
    rig.on_cluster(&["cluster", "resync"])?;
    rig.is_equal_everywhere()?;
    Ok(Seen { faults, nodes_left: counters.get("nodes left"), nodes_back: counters.get("nodes back") })
}
