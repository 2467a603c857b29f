//! Every state in which a power cut may leave the headers of a cluster's disks.

use std::collections::BTreeSet;

use hammer2_core::media::{Uuid, VolumeHeader};
use zerocopy::FromBytes;

use super::members::{Members, Written};
use super::torn_headers::is_header;

/// The most disks.
pub(crate) const DISKS: usize = 4;

/// The facts of a header that matter here.
struct Header {
    /// Its commit, by its record; none once the record is removed.
    commit: Option<(u32, u32)>,
    /// Its member votes.
    votes: bool,
}

impl Header {
    fn of(write: &Written, clid: Uuid) -> Option<Self> {
        let header = is_header(write).then(|| VolumeHeader::ref_from_bytes(&write.data).unwrap())?;
        let record = header.cluster_records.find(clid).unwrap();
        let commit = record.as_ref().map(|record| record.version.commit.position());
        let own = record.as_ref().and_then(|record| record.own());
        Some(Self {
            commit: commit.map(|(ctr, seq)| (ctr.0, seq.0)),
            votes: own.is_some_and(|own| own.voter || own.previous_voter),
        })
    }
}

/// The writes to each disk, in order.
pub(crate) struct Writes([Vec<Written>; DISKS]);

/// How many of its writes each disk has received.
pub(crate) type Cut = [usize; DISKS];

impl Writes {
    pub(crate) fn of(members: &Members, run: impl FnOnce()) -> Self {
        let mut writes = Self(Default::default());
        members.writes_of(run).into_iter().for_each(|write| writes.0[write.disk].push(write));
        writes
    }

    /// Everything on some disks, nothing on the others.
    pub(crate) fn all_on(&self, disks: &[usize]) -> Cut {
        std::array::from_fn(|disk| if disks.contains(&disk) { self.0[disk].len() } else { 0 })
    }

    /// The disks after only a part of the writes.
    pub(crate) fn cut(&self, before: &Members, cut: &Cut) -> Members {
        let left = before.copied();
        for ((disk, writes), count) in left.disks.iter().zip(&self.0).zip(cut) {
            writes[..*count].iter().for_each(|write| disk.write_at(write.offset, &write.data).unwrap());
        }
        left
    }

    /// Every state in which a crash may leave the disks: with any headers of one commit, those of slaves only with all of the
    /// masters', and all headers of earlier commits.
    pub(crate) fn crashes(&self, clid: Uuid) -> BTreeSet<Cut> {
        let writes = &self.0;
        let header_of = |write: &Written| Header::of(write, clid);
        let mut commits: Vec<_> = writes.iter().flatten().filter_map(header_of).map(|header| header.commit).collect();
        // Headers without a record were written last.
        commits.sort_by_key(|commit| (commit.is_none(), *commit));
        commits.dedup();
        let mut states = BTreeSet::from([[0; DISKS]]);
        let mut before = [0; DISKS];
        for commit in commits {
            let is_of = |write: &Written| header_of(write).is_some_and(|header| header.commit == commit);
            let after: [usize; DISKS] =
                std::array::from_fn(|disk| writes[disk].iter().rposition(is_of).map_or(before[disk], |last| last + 1));
            let votes = |disk: usize| {
                let headers = writes[disk].iter().filter(|write| is_of(write)).filter_map(header_of);
                headers.into_iter().any(|header| header.votes)
            };
            let voting: usize = (0..DISKS).filter(|disk| votes(*disk)).map(|disk| 1 << disk).sum();
            for landed in 0..1usize << DISKS {
                if landed & voting == voting || landed & !voting == 0 {
                    states.insert(std::array::from_fn(|disk| {
                        if landed >> disk & 1 == 1 { after[disk] } else { before[disk] }
                    }));
                }
            }
            before = after;
        }
        states
    }
}
