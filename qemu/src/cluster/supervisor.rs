//! What becomes of the nodes of a cluster, on the console.

use core::future::{Future, poll_fn};
use core::pin::pin;
use core::task::Poll;

use hammer2_core::cluster::NodeIndex;
use hammer2_core::cluster::resync::ResyncCounts;
use hammer2_core::fs::{Attendant, Error, Event, FileSystem, Pace};
use hammer2_core::io::Duration;

use crate::platform::Platform;
use crate::println;

/// How often the nodes, and the slots for disks, are looked at.
const PACE: Pace = Pace {
    looks: Duration::from_millis(100),
    first_try: Duration::from_secs(1),
    most_between_tries: Duration::from_secs(1),
};

/// Says how the cluster is, in a line.
pub(super) fn print_health(fs: &FileSystem) {
    let Some(status) = fs.cluster_status() else { return };
    println!(
        "cluster: {:?}, version {}, {} of {} masters in sync",
        status.health, status.version, status.in_sync, status.voters
    );
}

/// Looks after the mount until it is dropped.
pub(super) async fn watch(platform: &Platform, fs: &FileSystem) {
    let console = Console { fs };
    let mut keeping = pin!(fs.keep());
    let mut nodes = pin!(fs.keep_nodes(&console, &PACE));
    let mut slots = pin!(serve_slots(platform));
    poll_fn(|cx| {
        let _: [Poll<()>; 3] = [keeping.as_mut().poll(cx), nodes.as_mut().poll(cx), slots.as_mut().poll(cx)];
        Poll::Pending
    })
    .await
}

async fn serve_slots(platform: &Platform) {
    loop {
        platform.serve_slots();
        platform.sleep(PACE.looks).await;
    }
}

/// Prints what becomes of the nodes.
struct Console<'f> {
    fs: &'f FileSystem,
}

impl Attendant for Console<'_> {
    fn may_repair(&self) -> bool {
        true
    }

    fn trying(&self, _: NodeIndex, _: bool) {}

    fn tell(&self, event: Event<'_>) {
        match event {
            Event::Apart { .. } => print_health(self.fs),
            Event::Answers { node, debt } => {
                let how = if debt.thorough { "everything is compared" } else { "what has changed is copied" };
                println!("cluster: node {} answers again; {how}", node.0);
                print_health(self.fs);
            }
            Event::Back { node, counts } => {
                print_in_step(node, counts);
                print_health(self.fs);
            }
            Event::Counts { node, trouble } => {
                println!("cluster: node {} counts again: {trouble}", node.0);
                print_health(self.fs);
            }
            Event::Away { node, trouble: Some(trouble), .. } => {
                println!("cluster: node {} is not in step: {trouble}", node.0);
            }
            Event::Repaired { .. }
            | Event::Completed { .. }
            | Event::Away { .. }
            | Event::QuorumLost
            | Event::QuorumBack => {}
        }
    }
}

fn print_in_step(node: NodeIndex, counts: ResyncCounts) {
    println!(
        "cluster: node {} is in step again: {} elements compared, {} copied, {} removed",
        node.0, counts.compared, counts.copied, counts.removed
    );
}

/// Brings all nodes in step that are behind.
pub(super) async fn bring_back_all(fs: &FileSystem) -> Result<(), Error> {
    let mut done = Ok(());
    for (node, resynced) in fs.resync_all(&mut |_, _| {}).await? {
        match resynced {
            Ok(counts) => print_in_step(node, counts),
            Err(error) => done = Err(error),
        }
    }
    done
}
