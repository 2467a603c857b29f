//! Cluster records: loading them from any bytes, and decisions of mounts based on the loaded ones.
#![no_main]

use hammer2_core::cluster::vote::{Ask, Assembly, Condition, MAX_NODES, Mount, Role, Seen, assemble};
use hammer2_core::media::cluster_record::{CLUSTER_RECORD_BYTES, ClusterRecord, StoredRecord};
use hammer2_core::media::record_table::RecordTable;
use hammer2_core::node::NodeIndex;
use libfuzzer_sys::fuzz_target;
use zerocopy::{FromBytes, FromZeros, IntoBytes};

fuzz_target!(|input: &[u8]| {
    let mut records = Vec::new();
    let mut chunks = input.chunks_exact(CLUSTER_RECORD_BYTES);
    for chunk in chunks.by_ref().take(MAX_NODES) {
        let Ok(stored) = StoredRecord::ref_from_bytes(chunk) else { return };
        let _ = stored.load();
        // The same with a good check code, as a hostile volume would have.
        let Ok(record) = stored.sealed().load() else { continue };
        check_table(&record);
        records.push(record);
    }
    let conditions = chunks.remainder();
    let members: Vec<_> =
        records.iter().enumerate().map(|(index, record)| seen(record, conditions.get(index))).collect();
    for mount in [Mount::Quorum, Mount::AsOf(None), Mount::Soft(NodeIndex(0)), Mount::Forced(NodeIndex(1))] {
        let assembly = assemble(&members, &Ask::of(mount));
        if let Assembly::Serve(plan) | Assembly::RollForward { plan, .. } = assembly {
            assert!(plan.current().contains(plan.source));
            assert!(members.iter().all(|seen| match seen.record {
                Ok(Some(record)) =>
                    record.version.commit.epoch.ctr < plan.next_epoch || mount == Mount::Soft(NodeIndex(0)),
                _ => true,
            }));
        }
    }
});

fn seen<'a>(record: &'a ClusterRecord, condition: Option<&u8>) -> Seen<'a> {
    let bits = condition.copied().unwrap_or_default();
    let has = |bit: u8| bits >> bit & 1 != 0;
    let roles = [Role::Master, Role::Master, Role::Master, Role::Slave, Role::SoftMaster, Role::SoftSlave, Role::Cache];
    let role = roles[usize::from(bits >> 4) % roles.len()];
    let condition = Condition { unreadable: has(0), foreign_write: has(1), torn_header: has(2) };
    Seen { fsid: record.fsid, role, masters: bits, record: Ok((!has(3)).then_some(record)), condition }
}

/// Stores a record, finds it again, and removes it.
fn check_table(record: &ClusterRecord) {
    let mut table = RecordTable::new_zeroed();
    assert_eq!(record.store().load().as_ref(), Ok(record));
    assert_eq!(table.put(record), Ok(()));
    assert_eq!(table.find(record.clid).as_ref().map(Option::as_ref), Ok(Some(record)));
    assert!(table.remove(record.clid) && table.as_bytes().iter().all(|byte| *byte == 0));
}
