//! Running the core with counted memory.

use std::sync::LazyLock;

use allocator_api2::alloc::Global;
use hammer2_core::memory::Heap;
use hammer2_host::clock::HostClock;
use hammer2_host::executor::Executor;
use hammer2_kmod_shim::budget::Budget;

/// The memory for one input: a mount's budget and a little more. Further allocations fail.
const INPUT_BYTES: usize = 8 << 20;

static CLOCK: LazyLock<&'static HostClock> = LazyLock::new(HostClock::leaked);
static BUDGET: Budget<Global> = Budget::new(Global, INPUT_BYTES);

/// The heap of one input.
pub fn heap() -> Heap {
    &BUDGET
}

/// The clock of all devices.
pub fn clock() -> &'static HostClock {
    *CLOCK
}

/// Runs a future to its end; afterwards no memory of [`heap`] may be left in use.
pub fn run<T>(future: impl Future<Output = T>) -> T {
    let before = BUDGET.used_bytes();
    let result = Executor::new(clock()).block_on(future);
    assert_eq!(BUDGET.used_bytes(), before, "memory was not given back");
    result
}
