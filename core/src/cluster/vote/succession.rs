//! How a record becomes the next one: by a new epoch, or by a commit.

use super::version::{CommitId, EpochId, Version};
use crate::media::ModifyTid;
use crate::media::cluster_record::{ClusterRecord, Epoch, MAX_EPOCHS};

/// The number of transaction ids that a new epoch skips above those that may have been given: more than one generation uses.
pub(crate) const TID_GAP: u64 = 1 << 24;

/// By whose decision an epoch is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Opening {
    /// A quorum.
    Quorum,
    /// The operator's, without a quorum.
    Forced,
    /// That of a soft member, alone.
    Soft,
}

/// The record of an epoch to be opened on the content of `record`, which must be durable on a quorum by then.
///
/// That doesn't make the content acknowledged, so `acked` stays: until the epoch, too, is durable on a quorum, a mount of other
/// nodes may still outrank it. The first commit of the epoch may acknowledge it.
pub(crate) fn open_epoch(record: &ClusterRecord, id: EpochId, opening: Opening) -> ClusterRecord {
    let version = record.version.open_epoch(id);
    let mut next = ClusterRecord { version, ..record.clone() };
    if next.history.is_full()
        && let Some(place) = dispensable(&next)
    {
        next.history.remove(place);
    }
    let (forced, soft) = (opening == Opening::Forced, opening == Opening::Soft);
    let epoch = Epoch { id, base: version.base, end_seq: version.commit.seq, end_tid: record.tid, forced, soft };
    // There is room: one was removed if there was none.
    let _ = next.history.insert(0, epoch);
    next
}

/// The record of the next commit, which ends at `tid`; none when the epoch has no more numbers and a new one must be opened.
/// `acked` is the last commit known to be durable on a quorum.
pub(crate) fn next_commit(record: &ClusterRecord, tid: ModifyTid, acked: CommitId) -> Option<ClusterRecord> {
    let version: Version = record.version.next_commit()?;
    let mut next = ClusterRecord { version, tid, acked, ..record.clone() };
    if let Some(newest) = next.history.first_mut() {
        (newest.end_seq, newest.end_tid) = (version.commit.seq, tid);
    }
    Some(next)
}

/// The epoch to forget for a new one: first those without commits, then the oldest. It is never that of the content, and if
/// possible none that holds a member's last known version.
fn dispensable(record: &ClusterRecord) -> Option<usize> {
    let content = record.version.content().epoch;
    let is_known = |epoch: &Epoch| record.members.iter().any(|member| member.last_known.epoch == epoch.id);
    let rules: [&dyn Fn(&Epoch) -> bool; 3] =
        [&|epoch| !is_known(epoch) && epoch.end_seq.0 == 0, &|epoch| !is_known(epoch), &|_| true];
    rules.iter().find_map(|rule| record.history.iter().rposition(|epoch| epoch.id != content && rule(epoch)))
}

const _: () = assert!(MAX_EPOCHS > 1);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::vote::testing::Line;
    use crate::media::cluster_version::{EpochCounter, Nonce};

    fn id(ctr: u32) -> EpochId {
        EpochId { ctr: EpochCounter(ctr), nonce: Nonce(ctr.into()) }
    }

    #[test]
    fn what_follows_is_a_possible_record() {
        let mut record = Line::new(1).commits(2).record();
        for ctr in 2..30 {
            record = open_epoch(&record, id(ctr), Opening::Quorum);
            assert_eq!(record.check(), Ok(()), "{ctr}");
            if ctr % 3 == 0 {
                let (tid, acked) = (ModifyTid(record.tid.0 + 5), record.acked);
                record = next_commit(&record, tid, acked).unwrap();
                assert_eq!(record.check(), Ok(()), "{ctr}");
            }
        }
        assert_eq!(record.history.len(), MAX_EPOCHS);
    }

    #[test]
    fn what_a_member_last_had_is_remembered() {
        let mut record = Line::new(1).commits(2).record();
        record.members[1].last_known = record.version.commit;
        for ctr in 2..30 {
            record = open_epoch(&record, id(ctr), Opening::Quorum);
            record = next_commit(&record, ModifyTid(record.tid.0 + 5), record.acked).unwrap();
        }
        assert_eq!(record.history.last().map(|oldest| oldest.id.ctr), Some(EpochCounter(1)));
        assert_eq!(record.history.len(), MAX_EPOCHS);
    }
}
