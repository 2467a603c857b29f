//! The volume header's table of cluster records: one for each cluster that has a member on the volume.
//!
//! The header's check code covers it; a header must be sealed after the table is changed.

use static_assertions::const_assert_eq;
use zerocopy::{FromBytes, FromZeros, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::cluster_record::{CLUSTER_RECORD_BYTES, ClusterRecord, StoredRecord};
use super::{Corruption, Uuid};

/// The number of records that a volume has room for.
pub const CLUSTER_RECORDS: usize = 32;

/// The table as it is on media. A place is free when it is all zero; anything that is no record is never touched.
#[derive(Clone, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct RecordTable([StoredRecord; CLUSTER_RECORDS]);

const_assert_eq!(size_of::<RecordTable>(), CLUSTER_RECORDS * CLUSTER_RECORD_BYTES);

/// There is no place left for another cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the volume has members of {CLUSTER_RECORDS} clusters, which is the most: delete one of its cluster PFSs first"
)]
pub struct RecordTableFull;

impl RecordTable {
    /// The record of a cluster; none if there isn't one. A damaged record is an error, never "none".
    pub fn find(&self, clid: Uuid) -> Result<Option<ClusterRecord>, Corruption> {
        let mut of_cluster = self.0.iter().filter(|stored| stored.is_record() && stored.clid() == clid);
        let Some(stored) = of_cluster.next() else { return Ok(None) };
        if of_cluster.next().is_some() {
            return Err(Corruption::ClusterRecordTwice);
        }
        stored.load().map(Some)
    }

    /// All records; damaged ones as errors.
    pub fn iter(&self) -> impl Iterator<Item = Result<ClusterRecord, Corruption>> {
        self.0.iter().filter(|stored| stored.is_record()).map(StoredRecord::load)
    }

    /// Puts a record in the place of the former record of its cluster, good or damaged, or otherwise in a free place.
    pub fn put(&mut self, record: &ClusterRecord) -> Result<(), RecordTableFull> {
        let same = |stored: &StoredRecord| stored.is_record() && stored.clid() == record.clid;
        let place = self.0.iter().position(same).or_else(|| self.0.iter().position(StoredRecord::is_free));
        let place = place.and_then(|place| self.0.get_mut(place)).ok_or(RecordTableFull)?;
        *place = record.store();
        Ok(())
    }

    /// Removes every record of a cluster; true if there was one.
    pub fn remove(&mut self, clid: Uuid) -> bool {
        let mut removed = false;
        for stored in self.0.iter_mut().filter(|stored| stored.is_record() && stored.clid() == clid) {
            stored.zero();
            removed = true;
        }
        removed
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use super::*;
    use crate::media::cluster_record::samples::record;
    use std::boxed::Box;

    fn table() -> Box<RecordTable> {
        Box::new(RecordTable::new_zeroed())
    }

    fn clid(number: u8) -> Uuid {
        Uuid([number; 16])
    }

    fn of_cluster(number: u8) -> ClusterRecord {
        ClusterRecord { clid: clid(number), ..record() }
    }

    #[test]
    fn put_find_remove() {
        let mut table = table();
        assert_eq!(table.find(clid(1)), Ok(None));
        table.put(&of_cluster(1)).unwrap();
        table.put(&of_cluster(2)).unwrap();
        let changed = ClusterRecord { tid_floor: crate::media::ModifyTid(77), ..of_cluster(1) };
        table.put(&changed).unwrap();
        assert_eq!(table.iter().count(), 2);
        assert_eq!(table.find(clid(1)), Ok(Some(changed)));
        assert!(table.remove(clid(1)) && !table.remove(clid(1)));
        assert_eq!((table.find(clid(1)), table.find(clid(2))), (Ok(None), Ok(Some(of_cluster(2)))));
    }

    #[test]
    fn a_full_table_and_bytes_of_somebody_else() {
        let mut table = table();
        // This place is neither zero nor a record, so it isn't ours.
        table.as_mut_bytes()[5 * CLUSTER_RECORD_BYTES] = 1;
        for number in 1..CLUSTER_RECORDS as u8 {
            table.put(&of_cluster(number)).unwrap();
        }
        assert_eq!(table.put(&of_cluster(200)), Err(RecordTableFull));
        table.put(&of_cluster(7)).unwrap();
        assert_eq!(table.as_bytes()[5 * CLUSTER_RECORD_BYTES], 1);
        assert!(table.remove(clid(9)));
        assert_eq!(table.put(&of_cluster(200)), Ok(()));
    }

    #[test]
    fn damage_is_an_error_and_can_be_replaced() {
        let mut table = table();
        table.put(&of_cluster(1)).unwrap();
        table.as_mut_bytes()[0x80] ^= 1;
        assert_eq!(table.find(clid(1)), Err(Corruption::ClusterRecordCheck));
        assert_eq!(table.find(clid(2)), Ok(None));
        table.put(&of_cluster(1)).unwrap();
        assert_eq!(table.find(clid(1)), Ok(Some(of_cluster(1))));
        // With a copy in a second place, neither is believed.
        let (first, rest) = table.as_mut_bytes().split_at_mut(CLUSTER_RECORD_BYTES);
        rest[..CLUSTER_RECORD_BYTES].copy_from_slice(first);
        assert_eq!(table.find(clid(1)), Err(Corruption::ClusterRecordTwice));
        assert!(table.remove(clid(1)));
        assert_eq!(table.iter().count(), 0);
    }
}
