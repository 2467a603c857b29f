//! How the histories of two members relate (protocol 5.3, "Record").
//!
//! This follows from both records. They agree up to the *fork*: the newest epoch that both know, at the smaller of its two ends.
//! A member with commits after the fork has a *tail*.

use crate::media::ModifyTid;
use crate::media::cluster_record::{ClusterRecord, Epoch};

use super::version::{CommitId, CommitSeq};

/// Where two histories part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fork {
    /// The last common commit.
    pub at: CommitId,
    /// The greatest transaction id that both have; greater ones mean different things.
    pub tid: ModifyTid,
}

/// How a member's history relates to the reference.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Relation {
    /// The same content.
    Same,
    /// The member has an earlier state of the reference.
    Ancestor,
    /// The reference has an earlier state of the member.
    Descendant(Fork),
    /// Both have commits after the fork.
    Divergent(Fork),
    /// Both have commits in different epochs with the same counter, which only happens after a forced mount. The fork is there if
    /// the histories have anything in common.
    Foreign(Option<Fork>),
    /// The histories are so old that no epoch is remembered by both. Nothing is known against the member.
    Ancient,
}

/// Judges a member's record by a reference.
pub(crate) fn relation(member: &ClusterRecord, reference: &ClusterRecord) -> Relation {
    let Some(fork) = fork(member, reference) else { return unrelated(member, reference) };
    if contradicts(member, reference) {
        return Relation::Foreign(Some(fork));
    }
    if has_tail(member, fork) && forgot_after(reference, fork) {
        return Relation::Ancient;
    }
    match (has_tail(member, fork), has_tail(reference, fork)) {
        (false, false) => Relation::Same,
        (false, true) => Relation::Ancestor,
        (true, false) => Relation::Descendant(fork),
        (true, true) => Relation::Divergent(fork),
    }
}

/// The first commit of a member after the fork, as far back as its record remembers; none if it has none.
pub(crate) fn first_beyond(member: &ClusterRecord, fork: Fork) -> Option<CommitId> {
    if !has_tail(member, fork) {
        return None;
    }
    let newer = |epoch: &&Epoch| epoch.id.ctr > fork.at.epoch.ctr && epoch.end_seq.0 > 0;
    let longer = |epoch: &&Epoch| epoch.id == fork.at.epoch && epoch.end_seq > fork.at.seq;
    let oldest = member.history.iter().rfind(|epoch| newer(epoch) || longer(epoch));
    Some(match oldest {
        Some(epoch) if longer(&epoch) => CommitId { epoch: epoch.id, seq: fork.at.seq.next()? },
        Some(epoch) => CommitId { epoch: epoch.id, seq: CommitSeq(1) },
        None => member.version.content(),
    })
}

/// True when a member has commits after the fork from a forced mount: they were acknowledged without a quorum.
pub(crate) fn is_forced_beyond(member: &ClusterRecord, fork: Fork) -> bool {
    member.history.iter().any(|epoch| epoch.id.ctr > fork.at.epoch.ctr && epoch.end_seq.0 > 0 && epoch.forced)
}

/// True when a record shows that a commit was acknowledged: its own history has the commit, and was acknowledged up to that
/// point.
pub(crate) fn proves_acked(witness: &ClusterRecord, commit: CommitId) -> bool {
    let has_it = witness.history.iter().any(|epoch| epoch.id == commit.epoch && epoch.end_seq >= commit.seq);
    let same_history = witness.history.iter().any(|epoch| epoch.id == witness.acked.epoch);
    has_it && same_history && witness.acked.position() >= commit.position()
}

fn fork(member: &ClusterRecord, reference: &ClusterRecord) -> Option<Fork> {
    member.history.iter().find_map(|mine| {
        let theirs = reference.history.iter().find(|theirs| theirs.id == mine.id)?;
        let shorter = if mine.end_seq <= theirs.end_seq { mine } else { theirs };
        Some(Fork { at: shorter.end(), tid: shorter.end_tid })
    })
}

/// True when a member's content is later than the fork.
fn has_tail(member: &ClusterRecord, fork: Fork) -> bool {
    let content = member.version.content();
    let is_later = content.epoch == fork.at.epoch && content.seq > fork.at.seq;
    content.epoch.ctr > fork.at.epoch.ctr || is_later
}

/// True when a record has dropped an epoch with commits right after the fork: a commit missing from it may have been in that
/// epoch.
fn forgot_after(reference: &ClusterRecord, fork: Fork) -> bool {
    let Some(place) = reference.history.iter().position(|epoch| epoch.id == fork.at.epoch) else { return true };
    let (Some(common), Some(next)) = (reference.history.get(place), place.checked_sub(1)) else { return false };
    let content = if common.end_seq.0 > 0 { common.end() } else { common.base };
    reference.history.get(next).is_some_and(|next| next.base != content)
}

/// True when both have commits in different epochs with the same counter. (Crashed mounts leave such epochs without commits.)
fn contradicts(member: &ClusterRecord, reference: &ClusterRecord) -> bool {
    let is_other = |mine: &Epoch, theirs: &Epoch| {
        let same_counter = theirs.id.ctr == mine.id.ctr && theirs.id.nonce != mine.id.nonce;
        same_counter && theirs.end_seq.0 > 0 && mine.end_seq.0 > 0
    };
    member.history.iter().any(|mine| reference.history.iter().any(|theirs| is_other(mine, theirs)))
}

/// The relation of records without a common epoch.
fn unrelated(member: &ClusterRecord, reference: &ClusterRecord) -> Relation {
    let content = member.version.content();
    if content == reference.version.content() {
        return Relation::Same;
    }
    if content.is_none() || reference.history.iter().any(|e| e.id == content.epoch && e.end_seq >= content.seq) {
        return Relation::Ancestor;
    }
    let remembered = reference.history.last().map(|oldest| oldest.id.ctr);
    let is_older = remembered.is_some_and(|oldest| member.version.commit.epoch.ctr < oldest);
    if is_older || content.epoch != member.version.commit.epoch { Relation::Ancient } else { Relation::Foreign(None) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::vote::testing::Line;

    #[test]
    fn one_history() {
        let early = Line::new(1).commits(3).record();
        let late = Line::new(1).commits(5).record();
        let reopened = Line::new(1).commits(5).epoch(2).record();
        assert_eq!(relation(&early, &late), Relation::Ancestor);
        assert_eq!(relation(&late, &reopened), Relation::Same);
        assert_eq!(relation(&reopened, &late), Relation::Same);
        let Relation::Descendant(fork) = relation(&late, &early) else { panic!("later") };
        assert_eq!((fork.at, fork.tid), (early.version.commit, early.tid));
        assert_eq!(first_beyond(&late, fork), Some(Line::new(1).commits(4).record().version.commit));
    }

    #[test]
    fn a_tail_that_was_left_behind() {
        let ahead = Line::new(1).commits(4).record();
        let others = Line::new(1).commits(3).epoch(2).commits(1).record();
        let Relation::Divergent(fork) = relation(&ahead, &others) else { panic!("divergent") };
        assert_eq!(fork.at, Line::new(1).commits(3).record().version.commit);
        let tail = first_beyond(&ahead, fork).unwrap();
        assert!(!proves_acked(&ahead, tail) && !proves_acked(&others, tail));
        // After one more commit in its own epoch, the first of the tail was acknowledged.
        let further = Line::new(1).commits(5).record();
        assert!(proves_acked(&further, tail));
        // Before anything is committed in the new epoch, the commits ahead are just later ones.
        let opened = Line::new(1).commits(3).epoch(2).record();
        assert!(matches!(relation(&ahead, &opened), Relation::Descendant(_)));
    }

    #[test]
    fn two_mounts_apart() {
        let mine = Line::new(1).commits(3).epoch(2).commits(1).record();
        let other = Line::new(1).commits(3).nonce_epoch(2, 99).commits(2).record();
        let opened = Line::new(1).commits(3).nonce_epoch(2, 99).record();
        assert!(matches!(relation(&mine, &other), Relation::Foreign(Some(_))));
        assert!(matches!(relation(&other, &mine), Relation::Foreign(Some(_))));
        assert_eq!(relation(&opened, &mine), Relation::Ancestor);
        let stranger = Line::new(1).nonce_epoch(2, 5).commits(1).record();
        let unheard_of = Line::with_nonce(1, 77).commits(2).record();
        assert_eq!(relation(&unheard_of, &stranger), Relation::Foreign(None));
    }

    #[test]
    fn older_than_memory() {
        let old = Line::new(1).commits(2).record();
        let mut far = Line::new(1).commits(3);
        for ctr in 2..20 {
            far = far.epoch(ctr).commits(1);
        }
        assert_eq!(relation(&old, &far.record()), Relation::Ancient);
    }

    #[test]
    fn what_was_forgotten_is_held_against_nobody() {
        let member = Line::new(1).commits(3).epoch(2).commits(2);
        let later = member.clone().epoch(3).commits(1).epoch(4).commits(1).record();
        assert_eq!(relation(&member.record(), &later), Relation::Ancestor);
        // The reference remembers the epochs before and after the member's.
        let mut forgetful = later.clone();
        forgetful.history.retain(|epoch| epoch.id.ctr.0 != 2);
        assert_eq!(relation(&member.record(), &forgetful), Relation::Ancient);
        // A record that never had the member's commits is different.
        let apart = Line::new(1).commits(3).epoch(3).commits(1).record();
        assert!(matches!(relation(&member.record(), &apart), Relation::Divergent(_)));
    }
}
