//! Commits with slow barriers: readers and writers don't wait for them.

use core::future::{Future, poll_fn};
use core::pin::pin;
use core::task::Poll;

use super::clusters::Members;
use super::files::{compare, populate};
use crate::fs::{Error, FileSystem};
use crate::io::Duration;
use crate::io::wrap::{Effect, Fault, Operations};
use crate::media::PfsKind::{self, Master};
use crate::selftest::{Case, Environment, Failure, block_on, ensure};

pub(super) const CASES: &[Case] = &[
    Case { name: "commits: nobody waits for the barrier of a sync, on one disk", run: sync_of_one },
    Case { name: "commits: nobody waits for the barriers of a sync, on three", run: sync_of_three },
    Case { name: "commits: no reader waits for bulkfree, on one disk", run: bulkfree_of_one },
    Case { name: "commits: no reader waits for bulkfree, on three", run: bulkfree_of_three },
    Case { name: "commits: no reader waits for a scrub", run: scrub },
];

/// How long a barrier may take: longer than everything that is done beside one, however slow the machine is.
const DEADLINE: Duration = Duration::from_secs(60);

fn sync_of_one(environment: &dyn Environment) -> Result<(), Failure> {
    beside_sync(environment, &[Master])
}

fn sync_of_three(environment: &dyn Environment) -> Result<(), Failure> {
    beside_sync(environment, &[Master; 3])
}

fn beside_sync(environment: &dyn Environment, kinds: &[PfsKind]) -> Result<(), Failure> {
    beside(
        environment,
        kinds,
        async |fs| fs.sync().await,
        async |fs| {
            compare(environment, fs, 0..2).await?;
            populate(environment, fs, 2..3).await
        },
    )?;
    Ok(())
}

fn bulkfree_of_one(environment: &dyn Environment) -> Result<(), Failure> {
    beside_bulkfree(environment, &[Master])
}

fn bulkfree_of_three(environment: &dyn Environment) -> Result<(), Failure> {
    beside_bulkfree(environment, &[Master; 3])
}

fn beside_bulkfree(environment: &dyn Environment, kinds: &[PfsKind]) -> Result<(), Failure> {
    let bulkfree = async |fs: &FileSystem| fs.bulkfree().await.map(drop);
    beside(environment, kinds, bulkfree, async |fs| compare(environment, fs, 0..2).await)
}

fn scrub(environment: &dyn Environment) -> Result<(), Failure> {
    let scrub = async |fs: &FileSystem| fs.scrub().await.map(drop);
    beside(environment, &[Master; 3], scrub, async |fs| compare(environment, fs, 0..2).await)
}

/// Does `work` while `commits` waits for barriers that end only after that. Everything must be there afterwards.
fn beside(
    environment: &dyn Environment,
    kinds: &[PfsKind],
    commits: impl AsyncFn(&FileSystem) -> Result<(), Error>,
    work: impl AsyncFn(&FileSystem) -> Result<(), Failure>,
) -> Result<(), Failure> {
    block_on(environment, async {
        let members = Members::created_with(environment, kinds, DEADLINE).await?;
        let fs = members.mount().await?;
        populate(environment, &fs, 0..1).await?;
        fs.sync().await?;
        populate(environment, &fs, 1..2).await?;
        for plan in &members.plans {
            plan.add(Fault::always(Operations::FLUSH, Effect::Hang))?;
        }
        let start = environment.clock().now();
        {
            let mut committing = pin!(commits(&fs));
            let mut working = pin!(work(&fs));
            let worked = poll_fn(|cx| {
                if let Poll::Ready(ended) = committing.as_mut().poll(cx) {
                    return Poll::Ready(Err(Failure::new(format_args!("no barrier, and it ends with {ended:?}"))));
                }
                working.as_mut().poll(cx)
            });
            worked.await?;
            let took = environment.clock().now().nanoseconds - start.nanoseconds;
            ensure(
                took < DEADLINE.as_nanos() as u64,
                format_args!("what needs no barrier took {} ms", took / 1_000_000),
            )?;
            for plan in &members.plans {
                plan.clear();
                plan.release();
            }
            committing.await?;
        }
        drop(fs.unmount().await?);
        let fs = members.mount().await?;
        compare(environment, &fs, 0..2).await?;
        drop(fs.unmount().await?);
        members.check_each().await
    })
}
