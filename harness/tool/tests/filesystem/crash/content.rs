//! Content that couldn't be written stays in memory, and is written by the next sync.

use allocator_api2::alloc::Global;
use hammer2_core::fs::{Error, FileSystem};
use hammer2_kmod_shim::budget::Budget;

use super::volume::{HEAP, Host, copy, device};
use crate::difference::difference;
use crate::perform::perform;
use hammer2_model::{Bytes, Model, Step};

/// More memory than a mount takes.
const BUDGET_BYTES: usize = 64 << 20;

/// Repeats a step until there is memory for it; returns how often there wasn't.
async fn insist(fs: &FileSystem, model: &mut Model, step: &Step) -> usize {
    let mut refused = 0;
    loop {
        match perform(step, fs, model).await {
            Ok(()) => break,
            Err(error) => assert_eq!(error, Error::NoMemory, "{step:?}"),
        }
        refused += 1;
    }
    assert!(step.apply(model));
    refused
}

/// Fails every allocation of `steps` in turn, and repeats each step until it works; returns the number of failures.
pub(crate) fn insist_on(host: &Host, steps: &[Step]) -> usize {
    let base = host.formatted(256 << 20);
    let budget: &'static Budget<Global> = Box::leak(Box::new(Budget::new(Global, BUDGET_BYTES)));
    let mut failures = 0;
    for index in 0.. {
        let disk = copy(&base);
        let mut model = Model::new();
        let was_reached = host.run(async {
            let fs = host.mount_writable(budget, device(&disk)).await.unwrap();
            let chosen = budget.allocations() + index;
            budget.fail_at(chosen);
            for step in steps {
                failures += insist(&fs, &mut model, step).await;
            }
            let was_reached = budget.allocations() > chosen;
            budget.fail_at(u64::MAX);
            was_reached
        });
        let found = host.run(async { difference(&host.mount(HEAP, device(&disk)).await.unwrap(), &model).await });
        assert_eq!(found, None, "allocation {index} failed");
        if !was_reached {
            break;
        }
    }
    failures
}

/// A file that lies in its inode.
pub(crate) fn in_an_inode() -> Vec<Step> {
    vec![Step::Create("f".into()), Step::Sync, Step::Write("f".into(), 0, 400, Bytes::Noise), Step::Sync]
}

/// More pages than there is memory for, so that some become blocks.
pub(crate) fn in_pages() -> Vec<Step> {
    let mut steps = vec![Step::Create("f".into())];
    steps.extend((0..40).map(|block| Step::Write("f".into(), block << 16, 1 << 16, Bytes::Noise)));
    steps.push(Step::Sync);
    steps
}
