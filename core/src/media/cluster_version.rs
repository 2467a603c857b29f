//! Naming the states of a cluster PFS (protocol 5.3): commits, numbered within the epochs of their mounts.
//!
//! A [`Version`] names the content of a member. Two versions are compared by [`Version::compare`], never by one number: mounts
//! that didn't know of each other can have equal counters, and only nonce and base tell them apart.

use core::cmp::Ordering;
use core::fmt;

/// The number of an epoch: one more than any epoch seen when it was opened. 0 comes before the first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EpochCounter(pub u32);

impl EpochCounter {
    /// The counter after this one; none after the last, four billion mounts later.
    pub fn next(self) -> Option<Self> {
        self.0.checked_add(1).map(Self)
    }
}

impl fmt::Display for EpochCounter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The number of a commit within its epoch; 0 means that the epoch is opened and nothing is committed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CommitSeq(pub u32);

impl CommitSeq {
    /// The number of the next commit; none when the epoch has no more numbers, and a new one must be opened.
    pub fn next(self) -> Option<Self> {
        self.0.checked_add(1).map(Self)
    }
}

impl fmt::Display for CommitSeq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The random number that distinguishes an epoch from another with the same counter.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Nonce(pub u64);

impl fmt::Debug for Nonce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Nonce({:016x})", self.0)
    }
}

/// An epoch: counter and nonce together are its identity.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct EpochId {
    /// The counter.
    pub ctr: EpochCounter,
    /// The nonce.
    pub nonce: Nonce,
}

/// A commit: a number within an epoch.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct CommitId {
    /// The epoch.
    pub epoch: EpochId,
    /// The commit within it.
    pub seq: CommitSeq,
}

impl CommitId {
    /// The base of the first epoch, before every commit.
    pub const NONE: Self = Self { epoch: EpochId { ctr: EpochCounter(0), nonce: Nonce(0) }, seq: CommitSeq(0) };

    /// True for [`NONE`](Self::NONE).
    pub fn is_none(self) -> bool {
        self == Self::NONE
    }

    /// Epoch counter and commit number. They order only commits of the same history.
    pub fn position(self) -> (EpochCounter, CommitSeq) {
        (self.epoch.ctr, self.seq)
    }

    /// How many epochs it is behind a newer commit of the same history, or, in the same epoch, how many commits.
    pub fn behind(self, newest: Self) -> (u32, u32) {
        match newest.epoch.ctr.0.saturating_sub(self.epoch.ctr.0) {
            0 => (0, newest.seq.0.saturating_sub(self.seq.0)),
            epochs => (epochs, 0),
        }
    }
}

impl fmt::Display for CommitId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.epoch.ctr, self.seq)
    }
}

impl fmt::Debug for CommitId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}/{:016x}", self.epoch.nonce.0)
    }
}

/// The content of a member: a commit, and the last commit before its epoch. Versions are equal only if both are;
/// [`compare`](Self::compare) orders them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Version {
    /// The epoch and the commit within it.
    pub commit: CommitId,
    /// The last version with a commit from which the epoch descends.
    pub base: CommitId,
}

/// How one version relates to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It ranks lower.
    Older,
    /// It is the same.
    Same,
    /// It is in another epoch with the same counter, without commits, on the same base: the content is the same.
    SameContent,
    /// It ranks higher.
    Newer,
    /// It has the same rank but other content: there are two histories. This needs a forced mount, or a foreign disk.
    Conflict,
}

impl Version {
    /// No version: a volume without a record.
    pub const NONE: Self = Self { commit: CommitId::NONE, base: CommitId::NONE };

    /// The first version of a new epoch on top of this one.
    pub fn open_epoch(&self, epoch: EpochId) -> Self {
        Self { commit: CommitId { epoch, seq: CommitSeq(0) }, base: self.content() }
    }

    /// The version of the next commit; none when the epoch has no more numbers.
    pub fn next_commit(&self) -> Option<Self> {
        let seq = self.commit.seq.next()?;
        Some(Self { commit: CommitId { epoch: self.commit.epoch, seq }, base: self.base })
    }

    /// The last commit in it: its own, or its base if its epoch has no commits yet.
    pub fn content(&self) -> CommitId {
        if self.commit.seq.0 >= 1 { self.commit } else { self.base }
    }

    /// Orders by counter, number and base. Versions of equal rank have the same content, or are a
    /// [`Conflict`](Standing::Conflict).
    ///
    /// An epoch without commits outranks all commits with lower counters. So a mount makes the whole version, including its
    /// epoch, durable on a quorum before it opens the next: the same content under an earlier epoch isn't the same version.
    pub fn compare(&self, other: &Self) -> Standing {
        let rank = |version: &Self| (version.commit.position(), version.base.position());
        match rank(self).cmp(&rank(other)) {
            Ordering::Less => Standing::Older,
            Ordering::Greater => Standing::Newer,
            Ordering::Equal if self == other => Standing::Same,
            Ordering::Equal if self.content() == other.content() => Standing::SameContent,
            Ordering::Equal => Standing::Conflict,
        }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.commit.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn epoch(ctr: u32, nonce: u64) -> EpochId {
        EpochId { ctr: EpochCounter(ctr), nonce: Nonce(nonce) }
    }

    #[test]
    fn what_is_behind_is_so_by_epochs_or_by_commits() {
        let commit = |ctr, seq| CommitId { epoch: epoch(ctr, 1), seq: CommitSeq(seq) };
        let newest = commit(5, 7);
        assert_eq!([commit(5, 7), commit(5, 3), commit(2, 9)].map(|old| old.behind(newest)), [(0, 0), (0, 4), (3, 0)]);
        assert_eq!(commit(6, 9).behind(newest), (0, 0));
    }

    #[test]
    fn order_is_counter_number_base() {
        let first = Version::NONE.open_epoch(epoch(1, 11));
        let second = first.next_commit().unwrap();
        let third = second.next_commit().unwrap();
        assert_eq!(first.compare(&second), Standing::Older);
        assert_eq!(third.compare(&second), Standing::Newer);
        // Of two mounts that didn't see each other, the one on the later base is newer.
        let (low, high) = (second.open_epoch(epoch(2, 1)), third.open_epoch(epoch(2, 2)));
        assert_eq!((low.compare(&high), high.compare(&low)), (Standing::Older, Standing::Newer));
        // On the same base they have the same content until one commits.
        let twin = third.open_epoch(epoch(2, 3));
        assert_eq!((high.compare(&twin), high.compare(&high)), (Standing::SameContent, Standing::Same));
        let (mine, other) = (high.next_commit().unwrap(), twin.next_commit().unwrap());
        assert_eq!(mine.compare(&other), Standing::Conflict);
        assert_eq!(mine.compare(&twin), Standing::Newer);
    }

    #[test]
    fn an_epoch_without_commits_hands_its_base_on() {
        let held = Version::NONE.open_epoch(epoch(1, 1)).next_commit().unwrap();
        let reopened = held.open_epoch(epoch(2, 2)).open_epoch(epoch(3, 3));
        assert_eq!(reopened.base, held.commit);
        assert_eq!(reopened.content(), held.commit);
    }

    #[test]
    fn counters_end_instead_of_wrapping() {
        assert_eq!((EpochCounter(u32::MAX).next(), CommitSeq(u32::MAX).next()), (None, None));
        let last = CommitId { epoch: epoch(1, 1), seq: CommitSeq(u32::MAX) };
        assert_eq!(Version { commit: last, base: CommitId::NONE }.next_commit(), None);
    }
}
