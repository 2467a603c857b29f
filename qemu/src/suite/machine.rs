//! Time, memory and the executor on this machine.

use core::cell::Cell;

use hammer2_core::io::{Buffer, Clock, Duration};
use hammer2_core::selftest::Failure;
use hammer2_kmod_shim::executor::Executor;

use super::Case;
use crate::platform::{MEMORY, Platform};

pub(super) const CASES: &[Case] = &[
    Case { name: "machine: alarms ring in time", run: alarms_ring_in_time },
    Case { name: "machine: an allocation too large is refused", run: allocation_too_large },
];

/// More than a few timer interrupts, but less than is annoying.
const PAUSES_MILLISECONDS: [u64; 3] = [10, 30, 50];

/// The time that a busy host may add.
const TOLERANCE: Duration = Duration::from_millis(500);

/// The last sleeper may come a moment after the main task, which is due at the same time.
const PAUSE_FOR_THE_LAST: Duration = Duration::from_millis(20);

fn alarms_ring_in_time(platform: &Platform) -> Result<(), Failure> {
    let asleep = Cell::new(PAUSES_MILLISECONDS.len());
    let executor = Executor::new(MEMORY)?;
    let start = platform.timer.now();
    for milliseconds in PAUSES_MILLISECONDS {
        let asleep = &asleep;
        executor.spawn(async move {
            platform.sleep(Duration::from_millis(milliseconds)).await;
            asleep.set(asleep.get() - 1);
        })?;
    }
    let longest = Duration::from_millis(PAUSES_MILLISECONDS[2]);
    platform.run(&executor, platform.sleep(longest));
    let end = platform.timer.now();
    if end < start.after(longest) || end > start.after(longest + TOLERANCE) {
        let nanoseconds = end.nanoseconds - start.nanoseconds;
        return Err(Failure::new(format_args!("a pause of {longest:?} took {nanoseconds} ns")));
    }
    platform.run(&executor, platform.sleep(PAUSE_FOR_THE_LAST));
    match asleep.get() {
        0 => Ok(()),
        left => Err(Failure::new(format_args!("{left} tasks still asleep"))),
    }
}

fn allocation_too_large(_: &Platform) -> Result<(), Failure> {
    for _ in 0..2 {
        if Buffer::new(MEMORY, usize::MAX / 4).is_ok() || Buffer::new(MEMORY, 64 << 30).is_ok() {
            return Err(Failure::new(format_args!("more memory than the machine has was handed out")));
        }
        Buffer::new(MEMORY, 1 << 20)?;
    }
    Ok(())
}
