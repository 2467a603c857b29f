//! Records for tests.

use super::*;

pub(crate) fn epoch_id(ctr: u32) -> EpochId {
    EpochId { ctr: EpochCounter(ctr), nonce: Nonce(0x1000 + u64::from(ctr)) }
}

pub(crate) fn commit(ctr: u32, seq: u32) -> CommitId {
    CommitId { epoch: epoch_id(ctr), seq: CommitSeq(seq) }
}

/// An epoch of `seq` commits after the last commit of epoch `base`; every epoch has five.
pub(crate) fn epoch(ctr: u32, seq: u32, base: u32) -> Epoch {
    let base = if base == 0 { CommitId::NONE } else { commit(base, 5) };
    let end_tid = ModifyTid(u64::from(ctr) << 24);
    Epoch { id: epoch_id(ctr), base, end_seq: CommitSeq(seq), end_tid, forced: ctr == 2, soft: ctr == 3 }
}

/// The record of two masters, one of them new, and of a slave that is distrusted.
pub(crate) fn record() -> ClusterRecord {
    let member = |number: u8, role| Member {
        fsid: Uuid([number; 16]),
        role,
        state: MemberState::InSync,
        voter: role == PfsKind::Master,
        previous_voter: number == 1,
        last_known: commit(3, 6),
        distrusted_from: (role == PfsKind::Slave).then_some((EpochCounter(2), CommitSeq(1))),
    };
    let newest = epoch(3, 7, 2);
    ClusterRecord {
        clid: Uuid([0xc1; 16]),
        fsid: Uuid([1; 16]),
        state: MemberState::Resyncing,
        config: ConfigId { ctr: EpochCounter(3), change: 2 },
        members: Vec::from_slice(&[member(1, PfsKind::Master), member(2, PfsKind::Master), member(3, PfsKind::Slave)])
            .unwrap(),
        version: Version { commit: newest.end(), base: newest.base },
        tid: newest.end_tid,
        acked: commit(3, 6),
        tid_floor: ModifyTid(newest.end_tid.0 + 1),
        history: Vec::from_slice(&[newest, epoch(2, 5, 1), epoch(1, 5, 0)]).unwrap(),
        trusted: commit(2, 5),
        trusted_tid: epoch(2, 5, 1).end_tid,
        distrusted: Vec::from_slice(&[TidRange { after: ModifyTid(5), up_to: ModifyTid(8) }]).unwrap(),
        accepted: Vec::from_slice(&[commit(2, 6)]).unwrap(),
        bind: Bind { mirror_tid: MirrorTid(0x55), check: 0x1234_5678 },
    }
}
