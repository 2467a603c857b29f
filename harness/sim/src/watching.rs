//! Watches the nodes of a mount for the chronicle: it looks whenever their state may have changed, in virtual time.

use std::future::poll_fn;
use std::pin::pin;

use hammer2_core::cluster::{MAX_NODES, MemberState, MemberStatus};
use hammer2_core::fs::FileSystem;
use hammer2_core::media::cluster_version::CommitId;

use crate::chronicle::{NodeState, What};
use crate::states::name_of_state;
use crate::world::World;

/// Does some work with a mount, and watches its nodes meanwhile if events are kept.
pub(crate) async fn watching<T>(world: &World, fs: &FileSystem, work: impl Future<Output = T>) -> T {
    if !world.chronicle.is_kept() {
        return work.await;
    }
    let mut seen = Seen::default();
    let mut work = pin!(work);
    seen.look(world, fs);
    poll_fn(|cx| {
        let polled = work.as_mut().poll(cx);
        seen.look(world, fs);
        polled
    })
    .await
}

/// The last seen state of a mount.
#[derive(Default)]
struct Seen {
    nodes: [Option<(NodeState, MemberState)>; MAX_NODES],
    commits: [Option<CommitId>; MAX_NODES],
    cluster: Option<(CommitId, &'static str, usize, usize)>,
}

impl Seen {
    /// Records what has changed.
    fn look(&mut self, world: &World, fs: &FileSystem) {
        for member in fs.member_statuses() {
            let node = usize::from(member.node.0);
            let Some(disk) = world.disk_of(node) else { continue };
            let state = short(fs, &member);
            if self.nodes[node].replace((state, member.state)) != Some((state, member.state)) {
                world.tell(|| What::Node { disk, node, state, detail: name_of_state(member.state) });
            }
            if self.commits[node] != member.version {
                self.commits[node] = member.version;
                let version = member.version.map_or_else(|| "none".to_owned(), |version| version.to_string());
                world.tell(|| What::Commit { disk, version });
            }
        }
        let Some(status) = fs.cluster_status() else { return };
        let health = status.health.name();
        let now = (status.version, health, status.in_sync, status.voters);
        if self.cluster.replace(now) != Some(now) {
            world.tell(|| What::Cluster {
                epoch: u64::from(status.version.epoch.ctr.0),
                version: status.version.to_string(),
                health,
                in_sync: status.in_sync,
                masters: status.voters,
            });
        }
    }
}

fn short(fs: &FileSystem, member: &MemberStatus) -> NodeState {
    match member.state {
        MemberState::InSync => NodeState::InSync,
        MemberState::Behind(_) if fs.catching_up(member.node).is_some() => NodeState::Repair,
        MemberState::Behind(_) => NodeState::Behind,
        MemberState::Ejected(_) => NodeState::Out,
        MemberState::Aside(_) => NodeState::Aside,
    }
}
