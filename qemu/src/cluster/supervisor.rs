//! Looking after the nodes of a cluster: those that left are looked at again until they are back, and brought in step.

use hammer2_core::cluster::vote::MAX_NODES;
use hammer2_core::cluster::{MemberState, NodeIndex};
use hammer2_core::fs::{Error, FileSystem};
use hammer2_core::io::{Clock, Duration, Instant};

use crate::platform::Platform;
use crate::println;

/// Between looks at the states of the nodes.
const LOOK: Duration = Duration::from_millis(100);

/// Between attempts to reach a node that left.
const TRY_AGAIN: Duration = Duration::from_secs(1);

/// Says how the cluster is, in a line.
pub(super) fn print_health(fs: &FileSystem) {
    let Some(status) = fs.cluster_status() else { return };
    println!(
        "cluster: {:?}, version {}, {} of {} masters in sync",
        status.health, status.version, status.in_sync, status.voters
    );
}

/// Brings nodes back until it is dropped.
pub(super) async fn watch(platform: &Platform, fs: &FileSystem) {
    let mut seen = [MemberState::InSync; MAX_NODES];
    let mut due = [platform.timer.now(); MAX_NODES];
    loop {
        platform.serve_slots();
        for number in 0..fs.member_statuses().count() {
            let Some(member) = fs.member_statuses().nth(number) else { break };
            match member.state {
                MemberState::Ejected(_) | MemberState::Aside(_) if member.state != seen[number] => {
                    due[number] = platform.timer.now().after(TRY_AGAIN);
                }
                MemberState::Ejected(_) | MemberState::Aside(_) => {
                    look_again(platform, fs, member.node, &mut due[number]).await;
                }
                MemberState::InSync | MemberState::Behind(_) => {}
            }
        }
        if let Err(error) = bring_back_all(fs).await {
            println!("cluster: not all nodes are in step: {error}");
        }
        let mut changed = false;
        for (seen, member) in seen.iter_mut().zip(fs.member_statuses()) {
            changed |= *seen != member.state;
            *seen = member.state;
        }
        if changed {
            print_health(fs);
        }
        platform.sleep(LOOK).await;
    }
}

/// Looks at a node again, if it is time.
async fn look_again(platform: &Platform, fs: &FileSystem, node: NodeIndex, due: &mut Instant) {
    if platform.timer.now() < *due {
        return;
    }
    if let Ok(MemberState::Behind(debt)) = fs.look_again(node).await {
        let how = if debt.thorough { "everything is compared" } else { "what has changed is copied" };
        println!("cluster: node {} answers again; {how}", node.0);
    }
    *due = platform.timer.now().after(TRY_AGAIN);
}

/// Brings all nodes in step that are behind.
pub(super) async fn bring_back_all(fs: &FileSystem) -> Result<(), Error> {
    let mut done = Ok(());
    for (node, resynced) in fs.resync_all(&mut |_, _| {}).await? {
        match resynced {
            Ok(counts) => println!(
                "cluster: node {} is in step again: {} elements compared, {} copied, {} removed",
                node.0, counts.compared, counts.copied, counts.removed
            ),
            Err(error) => done = Err(error),
        }
    }
    done
}
