//! The power goes while a cluster writes headers: some sectors of each land. Even a mount without changes writes headers, with a
//! new record of the cluster.

use hammer2_core::io::MemoryDisk;
use hammer2_core::media::geometry::{HEADER_COPIES, HEADER_TWINS, header_offset, twin_offset};
use hammer2_core::media::{FileKind, Inode, Inum, ModifyTid};
use hammer2_core::node::{self, Command, Modification, NodeOptions, Slot};

use super::members::{DISK_BYTES, HEAP, LABEL, Members, Written, fill};
use super::of_three;

const SECTOR: usize = 512;

pub(crate) fn is_header(write: &Written) -> bool {
    (0..HEADER_COPIES).map(header_offset).chain((0..HEADER_TWINS).map(twin_offset)).any(|place| place == write.offset)
}

/// Two mounts, the second of which changes something.
fn two_mounts(members: &Members) -> Vec<Written> {
    members.writes_of(|| {
        members.change_on(&[0, 1, 2], async |_| ()).unwrap();
        members.change_on(&[0, 1, 2], async |fs| fill(fs, "a", 2).await).unwrap().unwrap();
    })
}

/// `old` with the sectors of `new` that `lands` accepts.
fn torn(old: &[u8], new: &[u8], lands: impl Fn(usize) -> bool) -> Vec<u8> {
    let sectors = old.chunks(SECTOR).zip(new.chunks(SECTOR)).enumerate();
    sectors.flat_map(|(index, (old, new))| if lands(index) { new } else { old }).copied().collect()
}

/// True when a volume that has this header, and no other, can be opened.
fn is_valid(header: &[u8]) -> bool {
    let mut alone = Members::none();
    alone.add_disk(MemoryDisk::new(HEAP, DISK_BYTES));
    alone.disks[0].write_at(0, header).unwrap();
    alone.run(node::open(HEAP, alone.node(0), NodeOptions::default())).is_ok()
}

#[test]
fn no_mixture_of_two_headers_is_one() {
    let members = of_three();
    let before = members.copied();
    let mut mixtures = 0;
    for write in two_mounts(&members) {
        let disk = &before.disks[write.disk];
        if is_header(&write) {
            let (mut old, new) = (vec![0; write.data.len()], &write.data);
            disk.read_at(write.offset, &mut old).unwrap();
            let differs = |sector: &usize| old[sector * SECTOR..][..SECTOR] != new[sector * SECTOR..][..SECTOR];
            let differ: Vec<usize> = (0..new.len() / SECTOR).filter(differs).collect();
            assert!(differ.len() < 10, "few sectors differ: {differ:?}");
            let all = (1 << differ.len()) - 1;
            for landed in 1..all {
                let lands = |sector| differ.iter().position(|at| *at == sector).is_some_and(|at| landed >> at & 1 == 1);
                mixtures += 1;
                assert!(!is_valid(&torn(&old, new, lands)), "{landed:#b} of {differ:?}");
            }
            assert!(is_valid(new));
        }
        disk.write_at(write.offset, &write.data).unwrap();
    }
    assert!(mixtures > 100, "{mixtures}");
}

#[test]
fn a_cluster_opens_wherever_its_headers_are_torn() {
    let members = of_three();
    let cut = members.copied();
    let old = members.content(&[0, 1, 2]);
    let writes = two_mounts(&members);
    let new = members.expect_alike(&[0, 1, 2]);
    for (index, write) in writes.iter().enumerate() {
        let disk = write.disk;
        if is_header(write) {
            let mut before = vec![0; write.data.len()];
            cut.disks[disk].read_at(write.offset, &mut before).unwrap();
            for sector in [0, 1, 4, 8, 127] {
                for lands in [&(|at| at == sector) as &dyn Fn(usize) -> bool, &|at| at != sector] {
                    let left = cut.copied();
                    left.disks[disk].write_at(write.offset, &torn(&before, &write.data, lands)).unwrap();
                    let found = left.content(&[0, 1, 2]);
                    assert!(found == old || found == new, "write {index}, sector {sector}: {found:#?}");
                    left.change_on(&[0, 1, 2], async |fs| fill(fs, "after", 1).await).unwrap().unwrap();
                    assert_eq!(left.content(&[0, 1, 2]).len(), found.len() + 2, "write {index}, sector {sector}");
                }
            }
        }
        cut.disks[disk].write_at(write.offset, &write.data).unwrap();
    }
}

/// Writes to a disk like a foreign kernel, which knows nothing of clusters: it mounts the disk and makes an inode.
async fn write_as_foreigner(members: &Members, disk: usize) {
    let node = node::open(HEAP, members.node(disk), NodeOptions::default()).await.unwrap();
    let root = Slot(0);
    node.execute(Command::OpenPfs { label: LABEL, into: root }).await.unwrap();
    let record = node.record(root).await.unwrap();
    let inum = Inum(1 << 40);
    let mut inode = Inode::new(FileKind::Regular);
    inode.meta.set_inum(inum);
    inode.meta.set_name_key(inum.key());
    let tid = ModifyTid(record.modify_tid.0 + 1);
    let create = Modification::CreateInode { pfs: root, inode: &inode, methods: record.methods };
    node.modify(tid, create).await.unwrap();
    node.flush().await.unwrap();
}

/// Two masters have a commit. The content of one can't be believed any more, and both places of the other's last header are
/// damaged: nothing proves that the commit was never acknowledged.
#[test]
fn a_commit_that_a_damaged_header_may_have_led_to_is_not_given_up() {
    for is_damaged in [false, true] {
        // There is room for several header copies, so the one before the last is left.
        let mut members = Members::none();
        (1..4).for_each(|seed| members.add_of(5 << 30, seed));
        members.create();
        members.change_on(&[0, 1, 2], async |fs| fill(fs, "all", 3).await).unwrap().unwrap();
        let writes = members.writes_of(|| {
            members
                .change_on(&[0, 2], async |fs| {
                    fill(fs, "acknowledged", 3).await.unwrap();
                    fs.sync().await.unwrap();
                })
                .unwrap();
        });
        members.run(write_as_foreigner(&members, 0));
        let mut last = writes.iter().rev().filter(|write| write.disk == 2 && is_header(write));
        let (copy, twin) = (last.next().unwrap(), last.next().unwrap());
        assert_eq!(copy.data, twin.data);
        members.disks[2].write_at(copy.offset, &[0x55; SECTOR]).unwrap();
        if is_damaged {
            members.disks[2].write_at(twin.offset, &[0x55; SECTOR]).unwrap();
            let refused = members.change_on(&[0, 1, 2], async |_| ()).unwrap_err();
            assert!(refused.to_string().contains("none can be trusted with it"), "{refused}");
        } else {
            assert_eq!(members.change_on(&[0, 1, 2], async |fs| fs.sync().await).unwrap(), Ok(()));
            assert!(members.content(&[2, 1]).iter().any(|line| line.contains("acknowledged")));
        }
    }
}
