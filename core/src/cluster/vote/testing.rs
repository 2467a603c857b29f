//! Records for tests: a line of epochs and commits, told in order.

use super::succession::{Opening, next_commit, open_epoch};
use crate::media::cluster_record::{Bind, ClusterRecord, ConfigId, Epoch, Member, MemberState};
use crate::media::cluster_version::{CommitId, CommitSeq, EpochCounter, EpochId, Nonce, Version};
use crate::media::{MirrorTid, ModifyTid, PfsKind, Uuid};

/// The PFS id of member `number`.
pub(crate) fn fsid(number: usize) -> Uuid {
    Uuid([number as u8 + 1; 16])
}

/// The epoch with this counter, as seen by all members of the same mount.
pub(crate) fn epoch_id(ctr: u32) -> EpochId {
    EpochId { ctr: EpochCounter(ctr), nonce: Nonce(0x1000 + u64::from(ctr)) }
}

/// A master's or slave's entry in the member list.
pub(crate) fn member(number: usize, role: PfsKind) -> Member {
    Member {
        fsid: fsid(number),
        role,
        state: MemberState::InSync,
        voter: role == PfsKind::Master,
        previous_voter: false,
        last_known: CommitId::NONE,
        distrusted_from: None,
    }
}

/// A history under construction. Each commit acknowledges the one before it.
#[derive(Clone)]
pub(crate) struct Line(ClusterRecord);

impl Line {
    /// A cluster of three masters whose first epoch is `ctr`.
    pub(crate) fn new(ctr: u32) -> Self {
        Self::first(epoch_id(ctr))
    }

    /// A cluster of three masters whose first epoch has this counter and nonce.
    pub(crate) fn with_nonce(ctr: u32, nonce: u64) -> Self {
        Self::first(EpochId { ctr: EpochCounter(ctr), nonce: Nonce(nonce) })
    }

    fn first(id: EpochId) -> Self {
        let version = Version::NONE.open_epoch(id);
        let (end_seq, end_tid) = (CommitSeq(0), ModifyTid(100));
        let epoch = Epoch { id, base: version.base, end_seq, end_tid, forced: false, soft: false };
        Self(ClusterRecord {
            clid: Uuid([0xc1; 16]),
            fsid: fsid(0),
            state: MemberState::InSync,
            config: ConfigId { ctr: id.ctr, change: 0 },
            members: (0..3).map(|number| member(number, PfsKind::Master)).collect(),
            version,
            tid: end_tid,
            acked: CommitId::NONE,
            tid_floor: ModifyTid(0),
            history: core::iter::once(epoch).collect(),
            trusted: CommitId::NONE,
            trusted_tid: ModifyTid(0),
            distrusted: heapless::Vec::new(),
            accepted: heapless::Vec::new(),
            bind: Bind { mirror_tid: MirrorTid(1), check: 1 },
        })
    }

    /// Adds commits to the epoch.
    pub(crate) fn commits(mut self, count: u32) -> Self {
        for _ in 0..count {
            let (tid, acked) = (ModifyTid(self.0.tid.0 + 10), self.0.version.content());
            self.0 = next_commit(&self.0, tid, acked).unwrap();
        }
        self
    }

    /// Opens the epoch of a mount.
    pub(crate) fn epoch(self, ctr: u32) -> Self {
        Self(open_epoch(&self.0, epoch_id(ctr), Opening::Quorum))
    }

    /// Opens the epoch of a mount that the others don't know of.
    pub(crate) fn nonce_epoch(self, ctr: u32, nonce: u64) -> Self {
        let id = EpochId { ctr: EpochCounter(ctr), nonce: Nonce(nonce) };
        Self(open_epoch(&self.0, id, Opening::Quorum))
    }

    /// Changes the record in any way.
    pub(crate) fn with(mut self, change: impl FnOnce(&mut ClusterRecord)) -> Self {
        change(&mut self.0);
        self
    }

    /// The record as the volume of member 0 has it.
    pub(crate) fn record(&self) -> ClusterRecord {
        self.of(0)
    }

    /// The record as the volume of this member has it.
    pub(crate) fn of(&self, number: usize) -> ClusterRecord {
        let record = ClusterRecord { fsid: fsid(number), ..self.0.clone() };
        assert_eq!(record.check(), Ok(()));
        record
    }
}
