//! Records that are written and read back, and records that must not be believed.

use super::samples::{commit, epoch, record};
use super::*;
use zerocopy::TryFromBytes;

#[test]
fn what_is_stored_is_read_back() {
    let record = record();
    assert_eq!(record.check(), Ok(()));
    assert_eq!(record.store().load(), Ok(record.clone()));
    assert_eq!(record.own().map(|member| member.voter), Some(true));
    assert_eq!((record.voter_count(), record.is_pending()), (2, true));
}

#[test]
fn a_full_record_fits() {
    let mut full = record();
    let member = *full.own().unwrap();
    for number in full.members.len()..MAX_MEMBERS {
        full.members.push(Member { fsid: Uuid([number as u8 + 10; 16]), ..member }).unwrap();
    }
    full.history.clear();
    for ctr in (1..=MAX_EPOCHS as u32).rev() {
        full.history.push(epoch(ctr, 5, ctr.saturating_sub(1))).unwrap();
    }
    full.version = Version { commit: full.history[0].end(), base: full.history[0].base };
    full.tid = full.history[0].end_tid;
    while full.accepted.push(commit(3, 3)).is_ok() {}
    while full.distrusted.push(TidRange { after: ModifyTid(1), up_to: ModifyTid(2) }).is_ok() {}
    assert_eq!(full.check(), Ok(()));
    assert_eq!(full.store().load(), Ok(full));
}

#[test]
fn any_bit_matters() {
    let good = record().store();
    for at in 0..CLUSTER_RECORD_BYTES {
        let mut bytes: [u8; CLUSTER_RECORD_BYTES] = zerocopy::transmute!(good.clone());
        bytes[at] ^= 0x10;
        assert!(StoredRecord::try_ref_from_bytes(&bytes).unwrap().load().is_err(), "{at:#x}");
    }
}

#[test]
fn impossible_numbers_with_a_good_check_code() {
    type Damage = fn(&mut StoredRecord);
    let cases: [(&str, Damage); 18] = [
        ("format", |r| r.format = U16::new(2)),
        ("state", |r| r.state = 0),
        ("own state absent", |r| r.state = MemberState::Absent as u8),
        ("members", |r| r.member_count = 9),
        ("no members", |r| r.member_count = 0),
        ("epochs", |r| r.epoch_count = 9),
        ("no epochs", |r| r.epoch_count = 0),
        ("ranges", |r| r.range_count = 5),
        ("accepted", |r| r.accepted_count = 255),
        ("no voters", |r| r.voters = 0),
        ("a voter that isn't there", |r| r.voters |= 0x80),
        ("a member twice", |r| r.members[1].fsid = r.members[0].fsid),
        ("a slave votes", |r| r.voters = 4),
        ("a stranger's fsid", |r| r.fsid = Uuid([99; 16])),
        ("version beyond the history", |r| r.version.seq = U32::new(77)),
        ("acked what it doesn't have", |r| r.acked.ctr = U32::new(99)),
        ("history upside down", |r| r.history.swap(0, 1)),
        ("an epoch on itself", |r| r.history[1].base.ctr = r.history[1].end.ctr),
    ];
    for (what, damage) in cases {
        let mut stored = record().store();
        damage(&mut stored);
        assert_eq!(stored.load(), Err(Corruption::ClusterRecordCheck), "{what}");
        let result = stored.sealed().load();
        assert!(
            matches!(result, Err(Corruption::ClusterRecord(_) | Corruption::ClusterRecordFormat(2))),
            "{what}: {result:?}"
        );
    }
}

#[test]
fn the_bind_is_the_check_code_that_counts() {
    use crate::media::{BlockKind, CheckMethod, Compression, Key, KeyBits, Methods};
    let methods = Methods::new(CheckMethod::Iscsi32, Compression::None);
    let mut root = Blockref::new(BlockKind::Inode, Key(1), KeyBits(0), methods);
    root.set_mirror_tid(MirrorTid(9));
    root.check = [0xff; 64];
    assert_eq!(Bind::of(&root), Bind { mirror_tid: MirrorTid(9), check: 0xffff_ffff });
    root.methods = Methods::new(CheckMethod::Sha192, Compression::None);
    assert_eq!(Bind::of(&root).check, u64::MAX);
}
