//! The cluster record: what a volume knows about a cluster PFS of which it has a member (protocol 4.2).
//!
//! The volume header has a table of records ([`RecordTable`](super::record_table::RecordTable)), so that a commit and its record
//! are one write. [`StoredRecord`] is the 1 KiB on media; [`ClusterRecord`] is its meaning, and only exists for sound records: a
//! record that fails its check code, or has contradictory numbers, is a [`Corruption`] and nothing else.

use heapless::Vec;
use static_assertions::const_assert_eq;
use zerocopy::little_endian::{U16, U32, U64};
use zerocopy::{FromBytes, FromZeros, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::check::xxhash64;
use super::cluster_version::{CommitId, CommitSeq, EpochCounter, EpochId, Nonce, Version};
use super::{Blockref, Corruption, MirrorTid, ModifyTid, PfsKind, Uuid, is_zero};

/// Bytes of a record.
pub const CLUSTER_RECORD_BYTES: usize = 1024;
/// The first eight bytes of a record.
pub const CLUSTER_RECORD_MAGIC: [u8; 8] = *b"H2CLREC\0";
/// The number of the format described here.
pub const CLUSTER_RECORD_FORMAT: u16 = 1;
/// The most members a cluster has.
pub const MAX_MEMBERS: usize = 8;
/// The most epochs a record remembers.
pub const MAX_EPOCHS: usize = 8;
/// The most ranges of transaction ids a record distrusts.
pub const MAX_DISTRUSTED_RANGES: usize = 4;
/// The most forks a record remembers as accepted.
pub const MAX_ACCEPTED: usize = 4;

const CHECK_AT: usize = CLUSTER_RECORD_BYTES - 8;

/// The state that a member was in when the record was written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum MemberState {
    /// Unmounted, with everything in step.
    #[default]
    Clean = 1,
    /// A member of the sync set.
    InSync = 2,
    /// It left the sync set: nothing may be written there.
    WriteDisabled = 3,
    /// It is being brought back in step.
    Resyncing = 4,
    /// It isn't there. This is never a record's own state.
    Absent = 5,
}

impl MemberState {
    fn from_code(code: u8) -> Option<Self> {
        Some(match code {
            1 => Self::Clean,
            2 => Self::InSync,
            3 => Self::WriteDisabled,
            4 => Self::Resyncing,
            5 => Self::Absent,
            _ => return None,
        })
    }
}

/// The number of a configuration; changes count up within an epoch, and a new epoch starts at 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConfigId {
    /// The epoch that made the change.
    pub ctr: EpochCounter,
    /// The number of the change within the epoch.
    pub change: u32,
}

/// A member of the cluster, as described by one record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Member {
    /// The id of its PFS.
    pub fsid: Uuid,
    /// Its role.
    pub role: PfsKind,
    /// The state it was in.
    pub state: MemberState,
    /// True if it votes.
    pub voter: bool,
    /// True if it voted before the pending change; false on all members when none is pending.
    pub previous_voter: bool,
    /// The last commit it was known to have durable.
    pub last_known: CommitId,
    /// The commit of the record's own history from which on its content is not to be believed.
    pub distrusted_from: Option<(EpochCounter, CommitSeq)>,
}

/// An epoch of a record's history.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Epoch {
    /// Counter and nonce.
    pub id: EpochId,
    /// The commit it descends from.
    pub base: CommitId,
    /// Its last commit; 0 if it has none.
    pub end_seq: CommitSeq,
    /// The transaction id of its last commit, or of its base.
    pub end_tid: ModifyTid,
    /// True if the operator opened it without a quorum.
    pub forced: bool,
    /// True if a soft member opened it alone.
    pub soft: bool,
}

impl Epoch {
    /// The last version of the epoch.
    pub fn end(&self) -> CommitId {
        CommitId { epoch: self.id, seq: self.end_seq }
    }
}

/// Transaction ids that mean nothing: `after < tid <= up_to`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct TidRange {
    /// The last good transaction id: that of the fork.
    pub after: ModifyTid,
    /// The last id of the range.
    pub up_to: ModifyTid,
}

/// Ties a record to the content with which it was written: it changes with every write to the PFS, and only then.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Bind {
    /// The `mirror_tid` of the PFS root's blockref.
    pub mirror_tid: MirrorTid,
    /// The first eight bytes of its check code.
    pub check: u64,
}

impl Bind {
    /// The bind for a PFS root with this blockref.
    pub fn of(root: &Blockref) -> Self {
        let len = root.methods.check().map_or(0, |method| method.code_bytes());
        let mut check = [0; 8];
        for (to, from) in check.iter_mut().zip(root.check.iter().take(len)) {
            *to = *from;
        }
        Self { mirror_tid: root.mirror_tid(), check: u64::from_le_bytes(check) }
    }
}

/// The content of a record.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ClusterRecord {
    /// The cluster.
    pub clid: Uuid,
    /// The member on this volume.
    pub fsid: Uuid,
    /// Its state.
    pub state: MemberState,
    /// The configuration; [`members`](Self::members) tell which members vote in it.
    pub config: ConfigId,
    /// All members, including this one.
    pub members: Vec<Member, MAX_MEMBERS>,
    /// The version of this volume's member.
    pub version: Version,
    /// The greatest transaction id of that version.
    pub tid: ModifyTid,
    /// The last commit known to be durable on a quorum.
    pub acked: CommitId,
    /// No transaction id up to this one is given again.
    pub tid_floor: ModifyTid,
    /// Epochs, newest first: the first is that of `version`.
    pub history: Vec<Epoch, MAX_EPOCHS>,
    /// For a member that isn't in step: the last commit whose content is whole and good here; none if there is no such commit.
    pub trusted: CommitId,
    /// The transaction id of `trusted`.
    pub trusted_tid: ModifyTid,
    /// For a member that isn't in step: the transaction ids of elements that may hold anything.
    pub distrusted: Vec<TidRange, MAX_DISTRUSTED_RANGES>,
    /// Ends of other histories that the operator gave up.
    pub accepted: Vec<CommitId, MAX_ACCEPTED>,
    /// Ties the record to the content with which it was written.
    pub bind: Bind,
}

impl ClusterRecord {
    /// The member of this volume, as the record lists it.
    pub fn own(&self) -> Option<&Member> {
        self.member(self.fsid)
    }

    /// The member with this fsid.
    pub fn member(&self, fsid: Uuid) -> Option<&Member> {
        self.members.iter().find(|member| member.fsid == fsid)
    }

    /// How many members vote.
    pub fn voter_count(&self) -> usize {
        self.members.iter().filter(|member| member.voter).count()
    }

    /// True while a change of the voters isn't durable on both quorums.
    pub fn is_pending(&self) -> bool {
        self.members.iter().any(|member| member.previous_voter)
    }

    /// Checks that the numbers are possible.
    pub fn check(&self) -> Result<(), Corruption> {
        let require = |good: bool, field| if good { Ok(()) } else { Err(Corruption::ClusterRecord(field)) };
        require(self.state != MemberState::Absent, "state")?;
        let unique = |place: usize, member: &Member| self.members.iter().skip(place + 1).all(|m| m.fsid != member.fsid);
        require(self.members.iter().enumerate().all(|(place, member)| unique(place, member)), "member list")?;
        require(self.own().is_some(), "fsid (not in the member list)")?;
        let votes = |member: &Member| member.voter || member.previous_voter;
        require(self.voter_count() > 0, "voters")?;
        require(self.members.iter().all(|m| !votes(m) || m.role == PfsKind::Master), "voters (not all are masters)")?;
        let position = self.version.commit.position();
        let Some(newest) = self.history.first() else { return Err(Corruption::ClusterRecord("history")) };
        require(newest.end() == self.version.commit && newest.base == self.version.base, "history (newest epoch)")?;
        require(newest.end_tid == self.tid, "tid")?;
        let older = self.history.iter().zip(self.history.iter().skip(1));
        let descends = |(new, old): (&Epoch, &Epoch)| new.id.ctr > old.id.ctr && new.end_tid >= old.end_tid;
        require(older.into_iter().all(descends), "history (order)")?;
        let based =
            |epoch: &Epoch| epoch.base.epoch.ctr < epoch.id.ctr && (epoch.base.is_none() || epoch.base.seq.0 > 0);
        require(self.history.iter().all(based), "history (base)")?;
        require(self.config.ctr <= position.0, "config")?;
        require(self.acked.position() <= position, "acked version")?;
        require(self.trusted.position() <= position && self.trusted_tid <= self.tid, "trusted version")?;
        require(self.distrusted.iter().all(|range| range.after < range.up_to), "distrusted ranges")
    }

    /// The record in its stored form, with check code.
    pub fn store(&self) -> StoredRecord {
        let mut stored = StoredRecord::new_zeroed();
        stored.format = U16::new(CLUSTER_RECORD_FORMAT);
        stored.state = self.state as u8;
        stored.member_count = self.members.len() as u8;
        stored.epoch_count = self.history.len() as u8;
        stored.range_count = self.distrusted.len() as u8;
        stored.accepted_count = self.accepted.len() as u8;
        stored.clid = self.clid;
        stored.fsid = self.fsid;
        stored.config_ctr = U32::new(self.config.ctr.0);
        stored.config_change = U32::new(self.config.change);
        stored.version = self.version.commit.into();
        stored.base = self.version.base.into();
        stored.tid = U64::new(self.tid.0);
        stored.acked = self.acked.into();
        stored.tid_floor = U64::new(self.tid_floor.0);
        stored.trusted = self.trusted.into();
        stored.trusted_tid = U64::new(self.trusted_tid.0);
        stored.bind_mirror_tid = U64::new(self.bind.mirror_tid.0);
        stored.bind_check = U64::new(self.bind.check);
        for (place, (to, from)) in stored.members.iter_mut().zip(&self.members).enumerate() {
            *to = from.into();
            stored.voters |= u8::from(from.voter) << place;
            stored.previous_voters |= u8::from(from.previous_voter) << place;
            stored.distrusted_members |= u8::from(from.distrusted_from.is_some()) << place;
        }
        stored.history.iter_mut().zip(&self.history).for_each(|(to, from)| *to = from.into());
        stored.accepted.iter_mut().zip(&self.accepted).for_each(|(to, from)| *to = (*from).into());
        for (to, from) in stored.ranges.iter_mut().zip(&self.distrusted) {
            *to = StoredRange { after: U64::new(from.after.0), up_to: U64::new(from.up_to.0) };
        }
        stored.sealed()
    }
}

/// A [`CommitId`] on media.
#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct StoredCommit {
    ctr: U32,
    seq: U32,
    nonce: U64,
}

impl From<CommitId> for StoredCommit {
    fn from(commit: CommitId) -> Self {
        Self { ctr: U32::new(commit.epoch.ctr.0), seq: U32::new(commit.seq.0), nonce: U64::new(commit.epoch.nonce.0) }
    }
}

impl From<StoredCommit> for CommitId {
    fn from(stored: StoredCommit) -> Self {
        let epoch = EpochId { ctr: EpochCounter(stored.ctr.get()), nonce: Nonce(stored.nonce.get()) };
        Self { epoch, seq: CommitSeq(stored.seq.get()) }
    }
}

#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct StoredRange {
    after: U64,
    up_to: U64,
}

#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct StoredMember {
    fsid: Uuid,
    role: u8,
    state: u8,
    reserved: [u8; 2],
    last_known: StoredCommit,
    distrusted_ctr: U32,
    distrusted_seq: U32,
}

impl From<&Member> for StoredMember {
    fn from(member: &Member) -> Self {
        let (ctr, seq) = member.distrusted_from.unwrap_or_default();
        Self {
            fsid: member.fsid,
            role: member.role as u8,
            state: member.state as u8,
            reserved: [0; 2],
            last_known: member.last_known.into(),
            distrusted_ctr: U32::new(ctr.0),
            distrusted_seq: U32::new(seq.0),
        }
    }
}

const EPOCH_FORCED: u32 = 1;
const EPOCH_SOFT: u32 = 2;

#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct StoredEpoch {
    end: StoredCommit,
    base: StoredCommit,
    end_tid: U64,
    flags: U32,
}

impl From<&Epoch> for StoredEpoch {
    fn from(epoch: &Epoch) -> Self {
        let flag = |set: bool, flag: u32| if set { flag } else { 0 };
        Self {
            end: epoch.end().into(),
            base: epoch.base.into(),
            end_tid: U64::new(epoch.end_tid.0),
            flags: U32::new(flag(epoch.forced, EPOCH_FORCED) | flag(epoch.soft, EPOCH_SOFT)),
        }
    }
}

impl From<&StoredEpoch> for Epoch {
    fn from(stored: &StoredEpoch) -> Self {
        let end = CommitId::from(stored.end);
        Self {
            id: end.epoch,
            base: stored.base.into(),
            end_seq: end.seq,
            end_tid: ModifyTid(stored.end_tid.get()),
            forced: stored.flags.get() & EPOCH_FORCED != 0,
            soft: stored.flags.get() & EPOCH_SOFT != 0,
        }
    }
}

/// A record as it is on media. It may contain anything; [`load`](Self::load) interprets it.
#[derive(Clone, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct StoredRecord {
    magic: [u8; 8],
    format: U16,
    state: u8,
    member_count: u8,
    epoch_count: u8,
    range_count: u8,
    accepted_count: u8,
    reserved_0f: u8,
    clid: Uuid,
    fsid: Uuid,
    config_ctr: U32,
    config_change: U32,
    voters: u8,
    previous_voters: u8,
    distrusted_members: u8,
    reserved_3b: [u8; 5],
    version: StoredCommit,
    base: StoredCommit,
    acked: StoredCommit,
    trusted: StoredCommit,
    tid: U64,
    trusted_tid: U64,
    tid_floor: U64,
    bind_mirror_tid: U64,
    bind_check: U64,
    reserved_a8: [u8; 8],
    ranges: [StoredRange; MAX_DISTRUSTED_RANGES],
    accepted: [StoredCommit; MAX_ACCEPTED],
    members: [StoredMember; MAX_MEMBERS],
    history: [StoredEpoch; MAX_EPOCHS],
    reserved_3f0: [u8; 8],
    check: U64,
}

const_assert_eq!(size_of::<StoredCommit>(), 16);
const_assert_eq!(size_of::<StoredMember>(), 44);
const_assert_eq!(size_of::<StoredEpoch>(), 44);
const_assert_eq!(size_of::<StoredRecord>(), CLUSTER_RECORD_BYTES);
const_assert_eq!(core::mem::offset_of!(StoredRecord, clid), 0x10);
const_assert_eq!(core::mem::offset_of!(StoredRecord, config_ctr), 0x30);
const_assert_eq!(core::mem::offset_of!(StoredRecord, version), 0x40);
const_assert_eq!(core::mem::offset_of!(StoredRecord, tid), 0x80);
const_assert_eq!(core::mem::offset_of!(StoredRecord, ranges), 0xb0);
const_assert_eq!(core::mem::offset_of!(StoredRecord, accepted), 0xf0);
const_assert_eq!(core::mem::offset_of!(StoredRecord, members), 0x130);
const_assert_eq!(core::mem::offset_of!(StoredRecord, history), 0x290);
const_assert_eq!(core::mem::offset_of!(StoredRecord, check), CHECK_AT);

impl StoredRecord {
    /// True for an unused place.
    pub fn is_free(&self) -> bool {
        is_zero(self.as_bytes())
    }

    /// True for a record, good or damaged; anything else in its place belongs to another system.
    pub fn is_record(&self) -> bool {
        self.magic == CLUSTER_RECORD_MAGIC
    }

    /// The id of its cluster. It means nothing before [`load`](Self::load) found the record good.
    pub fn clid(&self) -> Uuid {
        self.clid
    }

    fn computed_check(&self) -> u64 {
        xxhash64(self.as_bytes().get(..CHECK_AT).unwrap_or_default())
    }

    /// The same bytes, with the magic and check code of a record.
    pub fn sealed(&self) -> Self {
        let mut sealed = Self { magic: CLUSTER_RECORD_MAGIC, ..self.clone() };
        sealed.check = U64::new(sealed.computed_check());
        sealed
    }

    /// The record's content, or what is wrong with it.
    pub fn load(&self) -> Result<ClusterRecord, Corruption> {
        if !self.is_record() {
            return Err(Corruption::ClusterRecord("magic"));
        }
        if self.check.get() != self.computed_check() {
            return Err(Corruption::ClusterRecordCheck);
        }
        if self.format.get() != CLUSTER_RECORD_FORMAT {
            return Err(Corruption::ClusterRecordFormat(self.format.get()));
        }
        let bad = Corruption::ClusterRecord;
        let history = counted(&self.history, self.epoch_count).ok_or(bad("history length"))?;
        let ranges = counted(&self.ranges, self.range_count).ok_or(bad("distrusted range count"))?;
        let accepted = counted(&self.accepted, self.accepted_count).ok_or(bad("accepted fork count"))?;
        let record = ClusterRecord {
            clid: self.clid,
            fsid: self.fsid,
            state: MemberState::from_code(self.state).ok_or(bad("state"))?,
            config: ConfigId { ctr: EpochCounter(self.config_ctr.get()), change: self.config_change.get() },
            members: self.load_members()?,
            version: Version { commit: self.version.into(), base: self.base.into() },
            tid: ModifyTid(self.tid.get()),
            acked: self.acked.into(),
            tid_floor: ModifyTid(self.tid_floor.get()),
            history: history.iter().map(Epoch::from).collect(),
            trusted: self.trusted.into(),
            trusted_tid: ModifyTid(self.trusted_tid.get()),
            distrusted: ranges
                .iter()
                .map(|range| TidRange { after: ModifyTid(range.after.get()), up_to: ModifyTid(range.up_to.get()) })
                .collect(),
            accepted: accepted.iter().map(|commit| CommitId::from(*commit)).collect(),
            bind: Bind { mirror_tid: MirrorTid(self.bind_mirror_tid.get()), check: self.bind_check.get() },
        };
        record.check()?;
        Ok(record)
    }

    fn load_members(&self) -> Result<Vec<Member, MAX_MEMBERS>, Corruption> {
        let stored = counted(&self.members, self.member_count).ok_or(Corruption::ClusterRecord("member count"))?;
        let in_list = |set: u8| u32::from(set) >> stored.len() == 0;
        if !in_list(self.voters | self.previous_voters | self.distrusted_members) {
            return Err(Corruption::ClusterRecord("voters (not in the member list)"));
        }
        let mut members = Vec::new();
        for (place, member) in stored.iter().enumerate() {
            let has = |set: u8| set >> place & 1 != 0;
            let from = (EpochCounter(member.distrusted_ctr.get()), CommitSeq(member.distrusted_seq.get()));
            let member = Member {
                fsid: member.fsid,
                role: PfsKind::from_code(member.role),
                state: MemberState::from_code(member.state).ok_or(Corruption::ClusterRecord("member state"))?,
                voter: has(self.voters),
                previous_voter: has(self.previous_voters),
                last_known: member.last_known.into(),
                distrusted_from: has(self.distrusted_members).then_some(from),
            };
            // The list has as much room as the one on media.
            let _ = members.push(member);
        }
        Ok(members)
    }
}

/// The first `count` entries, if there are that many.
fn counted<T>(entries: &[T], count: u8) -> Option<&[T]> {
    entries.get(..usize::from(count))
}

#[cfg(test)]
pub(crate) mod samples;
#[cfg(test)]
mod tests;
