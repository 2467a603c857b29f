//! Looking after the nodes of a cluster, as every host does, and reporting on the console.

use hammer2_core::cluster::NodeIndex;
use hammer2_core::fs::{Attendant, Error, Event, FileSystem, Pace};
use hammer2_core::io::Duration;

use crate::platform::Platform;
use crate::println;

/// How soon a node that left is reported and looked at again; epochs are made durable by the load.
const PACE: Pace = Pace {
    looks: Duration::from_millis(100),
    first_try: Duration::from_secs(1),
    most_between_tries: Duration::from_secs(1),
    sync_every: None,
};

/// The time between looks at the slots of the machine.
const LOOK: Duration = Duration::from_millis(100);

/// Prints the state of the cluster in one line.
pub(super) fn print_health(fs: &FileSystem) {
    let Some(status) = fs.cluster_status() else { return };
    println!(
        "cluster: {:?}, version {}, {} of {} masters in sync",
        status.health, status.version, status.in_sync, status.voters
    );
}

/// Brings nodes back until it is dropped.
pub(super) async fn watch(fs: &FileSystem) {
    fs.keep(&Console(fs), &PACE).await;
}

/// Serves the machine's slots, into which disks are put, until it is dropped.
pub(super) async fn serve_slots(platform: &Platform) {
    loop {
        platform.serve_slots();
        platform.sleep(LOOK).await;
    }
}

/// Prints events.
struct Console<'f>(&'f FileSystem);

impl Attendant for Console<'_> {
    fn may_repair(&self) -> bool {
        true
    }

    fn trying(&self, _: NodeIndex, _: bool) {}

    fn syncing(&self, _: bool) {}

    fn tell(&self, event: Event<'_>) {
        match event {
            Event::Answers { node, debt } => {
                let how = if debt.thorough { "everything is compared" } else { "what has changed is copied" };
                println!("cluster: node {} answers again; {how}", node.0);
                return;
            }
            Event::Back { node, counts } => println!(
                "cluster: node {} is in step again: {} elements compared, {} copied, {} removed",
                node.0, counts.compared, counts.copied, counts.removed
            ),
            Event::Away { node, trouble: Some(trouble), .. } => {
                println!("cluster: node {} isn't in step: {trouble}", node.0);
            }
            Event::Counts { node, trouble } => println!("cluster: node {} follows the others again; {trouble}", node.0),
            _ => {}
        }
        print_health(self.0);
    }
}

/// Brings all nodes in step that are behind.
pub(super) async fn bring_back_all(fs: &FileSystem) -> Result<(), Error> {
    let mut done = Ok(());
    for (node, resynced) in fs.resync_all(&mut |_, _| {}).await? {
        match resynced {
            Ok(counts) => Console(fs).tell(Event::Back { node, counts }),
            Err(error) => done = Err(error),
        }
    }
    done
}
