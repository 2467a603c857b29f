//! The state of a mount and its members, in structures that the tool reads.

use core::fmt;

use hammer2_core::cluster::{Health, MemberState, MemberStatus, NodeIndex};
use hammer2_core::fs::FileSystem;
use hammer2_core::memory::NoMemory;
use hammer2_kmod_shim::administration::{ClusterFacts, MemberFacts, MissingFacts, Text, VERSION, health, state};
use zerocopy::{FromZeros as _, Immutable, IntoBytes};

/// Packs structures into a buffer, one after the other.
pub(crate) struct Packer<'b> {
    buffer: &'b mut [u8],
    packed: usize,
}

impl<'b> Packer<'b> {
    pub(crate) fn new(buffer: &'b mut [u8]) -> Self {
        Self { buffer, packed: 0 }
    }

    /// Appends a structure; an error if there is no room.
    pub(crate) fn put(&mut self, facts: &(impl IntoBytes + Immutable)) -> Result<(), NoMemory> {
        let rest = self.buffer.get_mut(self.packed..).ok_or(NoMemory)?;
        facts.write_to_prefix(rest).map_err(|_| NoMemory)?;
        self.packed += size_of_val(facts);
        Ok(())
    }

    /// The number of bytes that they take.
    pub(crate) fn bytes(&self) -> i64 {
        self.packed as i64
    }
}

/// Packs the state of the cluster, its members, and the missing ones.
pub(crate) fn tell(fs: &FileSystem, packer: &mut Packer<'_>) -> Result<(), NoMemory> {
    let missing = fs.missing_members();
    packer.put(&cluster(fs, fs.member_statuses().count() as u32, missing.len() as u32))?;
    for status in fs.member_statuses() {
        packer.put(&member(fs, &status))?;
    }
    for member in &missing {
        packer.put(&MissingFacts {
            fsid: member.fsid.0,
            role: Text::of(format_args!("{}", member.role)),
            commit: Text::of(format_args!("{}", member.last_known)),
        })?;
    }
    Ok(())
}

fn cluster(fs: &FileSystem, members: u32, missing: u32) -> ClusterFacts {
    let statistics = fs.statistics();
    let mut facts = ClusterFacts {
        version: VERSION,
        members,
        missing,
        total_bytes: statistics.total_bytes,
        free_bytes: statistics.free_bytes,
        clid: fs.pfs().clid.0,
        label: Text::of_bytes(&fs.pfs().label),
        ..ClusterFacts::new_zeroed()
    };
    if let Some(status) = fs.cluster_status() {
        facts.is_cluster = 1;
        facts.health = match status.health {
            Health::Healthy => health::HEALTHY,
            Health::Degraded => health::DEGRADED,
            Health::Stopped => health::STOPPED,
        };
        facts.is_changing = status.is_changing.into();
        facts.masters = status.voters as u32;
        facts.masters_in_sync = status.in_sync as u32;
        facts.tid = status.tid.0;
        facts.commit = Text::of(format_args!("{}", status.version));
        if let Some(why) = status.refused {
            facts.refused = Text::of(format_args!("{why}"));
        }
    }
    facts
}

fn member(fs: &FileSystem, status: &MemberStatus) -> MemberFacts {
    let newest = fs.cluster_status().map(|cluster| cluster.version);
    let lag = status.version.zip(newest).map(|(version, newest)| version.behind(newest));
    let (behind_epochs, behind_commits) = lag.unwrap_or_default();
    let (state, why) = state_of(status);
    let catching_up = fs.catching_up(status.node);
    MemberFacts {
        node: status.node.0.into(),
        state,
        has_left: status.has_left.into(),
        is_distrusted: status.is_distrusted.into(),
        backlog: status.backlog as u32,
        has_version: lag.is_some().into(),
        behind_epochs,
        behind_commits,
        tid: status.tid.0,
        read_errors: status.device_errors.reads,
        write_errors: status.device_errors.writes,
        bad_blocks: status.bad_blocks,
        repaired_blocks: status.repaired_blocks,
        total_bytes: status.total_bytes,
        free_bytes: status.free_bytes,
        seen_bytes: catching_up.map_or(0, |catch_up| catch_up.seen_bytes),
        expected_bytes: catching_up.map_or(0, |catch_up| catch_up.expected_bytes.max(1)),
        seconds_left: catching_up.and_then(|catch_up| catch_up.time_left()).map_or(u64::MAX, |left| left.as_secs()),
        fsid: status.fsid.0,
        role: Text::of(format_args!("{}", status.role)),
        commit: status.version.map_or(Text::of_bytes(b""), |version| Text::of(format_args!("{version}"))),
        devices: Text::of(format_args!("{}", Disks(fs, status.node))),
        why,
    }
}

/// The state of a member, and why it isn't in step.
fn state_of(status: &MemberStatus) -> (u32, Text<240>) {
    match (status.state, status.unreadable) {
        (MemberState::InSync, _) => (state::IN_SYNC, Text::of_bytes(b"")),
        (MemberState::Behind(debt), _) => {
            let what = if debt.thorough { "everything" } else { "what changed" };
            (state::BEHIND, Text::of(format_args!("{what} is to be copied to it")))
        }
        (MemberState::Ejected(why), _) => (state::EJECTED, Text::of(format_args!("{why}"))),
        (MemberState::Aside(_), Some(why)) => (state::UNREAD, Text::of(format_args!("{why}"))),
        (MemberState::Aside(why), None) => {
            (state::ASIDE, Text::of(format_args!("it is no part of this mount: {why:?}")))
        }
    }
}

/// The name of a node: its disks, as they were given.
pub(crate) struct Disks<'f>(pub(crate) &'f FileSystem, pub(crate) NodeIndex);

impl fmt::Display for Disks<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, volume) in self.0.volumes_of(self.1).iter().enumerate() {
            if number > 0 {
                f.write_str(":")?;
            }
            f.write_str(volume.disk.info().name.as_str())?;
        }
        Ok(())
    }
}
