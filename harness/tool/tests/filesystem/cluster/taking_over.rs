//! A mount that takes over from a machine that was asleep, which wakes at that very moment and writes to some of the disks: the
//! one with a quorum of them goes on, without the rest.

use std::cell::RefCell;
use std::rc::Rc;

use hammer2_core::cluster::vote::Refusal;
use hammer2_core::cluster::{MemberState, NodeIndex, OpError, PfsSelector};
use hammer2_core::fs::{FileSystem, MountError, MountOptions, NewFile};
use hammer2_core::io::{Disk, DiskOptions, MemoryDevice, boxed_device};
use hammer2_core::media::geometry::header_offset;
use hammer2_core::media::heartbeat::{HEARTBEAT_BYTES, HEARTBEAT_OFFSET, HEARTBEAT_PERIOD};
use hammer2_core::media::{FileKind, Heartbeat, HostName, Inum, MirrorTid, MountNonce, Timestamp};
use hammer2_core::memory::{Vec as HeapVec, push};
use hammer2_core::random::Random;
use hammer2_host::virtual_time::{Task, VirtualClock, run, run_all};
use zerocopy::IntoBytes as _;

use super::members::{HEAP, LABEL, MEMORY_BYTES, Members, Ticks, newest_header};
use super::of_three;

const OTHER: MountNonce = MountNonce(u64::MAX);
const MILLISECOND: u64 = 1_000_000;

/// What the other machine does to a disk when it wakes, right after this one has written its heartbeat there.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Wakes {
    /// It doesn't wake.
    Not,
    /// It writes a heartbeat over this one's.
    WithAHeartbeat,
    /// It writes a header that it had prepared before it slept.
    WithAHeader,
}

fn others_heartbeat(counter: u64) -> [u8; HEARTBEAT_BYTES] {
    let time = Timestamp { microseconds: 1 };
    let host = HostName::new(b"other");
    let heartbeat = Heartbeat { nonce: OTHER, counter, time, host, period: HEARTBEAT_PERIOD, is_released: false };
    let mut sector = [0; HEARTBEAT_BYTES];
    heartbeat.write(&mut sector);
    sector
}

/// The mount that has a disk.
fn holder(members: &Members, disk: usize) -> Heartbeat {
    let mut sector = [0; HEARTBEAT_BYTES];
    members.disks[disk].read_at(HEARTBEAT_OFFSET, &mut sector).unwrap();
    Heartbeat::read(&sector).expect("a heartbeat")
}

/// Writes another mount's header, which is the newest from here on: the one in force, with a higher number.
fn write_header(members: &Members, disk: usize) {
    let disk = &members.disks[disk];
    let mut header = newest_header(disk);
    header.set_tids(MirrorTid(header.mirror_tid().0 + 1));
    header.seal();
    disk.write_at(header_offset(0), header.as_bytes()).unwrap();
}

async fn mount(members: &Members, clock: &'static VirtualClock) -> Result<FileSystem, MountError> {
    let mut disks = HeapVec::new_in(HEAP);
    for (disk, name) in members.disks.iter().zip([&"first", &"second", &"third"]) {
        let device = MemoryDevice::new(HEAP, Rc::clone(disk), name, 16).unwrap().shared();
        let mut node = HeapVec::new_in(HEAP);
        let device = boxed_device(HEAP, device).unwrap();
        push(&mut node, Disk::new(HEAP, device, clock, DiskOptions::default()).unwrap()).unwrap();
        push(&mut disks, node).unwrap();
    }
    let options = MountOptions { memory_bytes: MEMORY_BYTES, spare_nodes: 0 };
    let nodes = FileSystem::open_nodes(HEAP, disks, options, &mut |_, error| panic!("{error}")).await?;
    FileSystem::mount_pfs(HEAP, nodes, PfsSelector::Label(LABEL), options).await?.make_writable(&Ticks).await
}

/// Mounts the disks of another machine, which is asleep, and wakes like this on each disk; returns which disks stayed.
fn take_over(members: &Members, wakes: [Wakes; 3]) -> Result<Vec<bool>, MountError> {
    let clock: &'static VirtualClock = Box::leak(Box::default());
    for disk in &members.disks {
        disk.write_at(HEARTBEAT_OFFSET, &others_heartbeat(0)).unwrap();
    }
    let mounted = RefCell::new(None);
    let other = async {
        while (0..3).any(|disk| holder(members, disk).nonce == OTHER) {
            clock.sleep(MILLISECOND).await;
        }
        for (disk, wakes) in wakes.into_iter().enumerate() {
            match wakes {
                Wakes::Not => {}
                Wakes::WithAHeartbeat => members.disks[disk].write_at(HEARTBEAT_OFFSET, &others_heartbeat(1)).unwrap(),
                Wakes::WithAHeader => write_header(members, disk),
            }
        }
    };
    let this = async { *mounted.borrow_mut() = Some(mount(members, clock).await) };
    let tasks: Vec<Task<'_>> = vec![("this".to_owned(), Box::pin(this)), ("the other".to_owned(), Box::pin(other))];
    run_all(clock, tasks, &mut Random::new(1));
    let fs = mounted.take().expect("a mount that has ended")?;
    let has = fs.member_statuses().map(|member| member.state == MemberState::InSync).collect();
    run(clock, async {
        fs.create(Inum::PFS_ROOT, b"file", &NewFile::new(FileKind::Regular, 0o644)).await.unwrap();
        fs.sync().await.unwrap();
        fs.unmount().await.unwrap();
    });
    Ok(has)
}

#[test]
fn who_takes_over_goes_on_with_a_quorum_that_stays_its_own() {
    for wakes in [Wakes::WithAHeartbeat, Wakes::WithAHeader] {
        for disk in 0..3 {
            let members = of_three();
            let mut where_it_wakes = [Wakes::Not; 3];
            where_it_wakes[disk] = wakes;
            let has = take_over(&members, where_it_wakes).unwrap();
            assert_eq!(has, (0..3).map(|other| other != disk).collect::<Vec<_>>());
            if wakes == Wakes::WithAHeartbeat {
                assert_eq!(holder(&members, disk).counter, 1, "the other's heartbeat was written over");
            }
            let rest: Vec<usize> = (0..3).filter(|other| *other != disk).collect();
            assert!(members.expect_alike(&rest).iter().any(|line| line.contains("file")));
        }
    }
}

#[test]
fn who_takes_over_lets_go_where_it_has_no_quorum() {
    for wakes in [Wakes::WithAHeartbeat, Wakes::WithAHeader] {
        let members = of_three();
        let refused = take_over(&members, [wakes, Wakes::Not, wakes]).expect_err("one disk of three");
        assert!(matches!(refused, MountError::Op(OpError::Refused(Refusal::ChangedMeanwhile { .. }))), "{refused:?}");
        // The next mount needn't watch a released heartbeat.
        assert!(holder(&members, 1).is_released);
        assert_eq!(holder(&members, 0).nonce == OTHER, wakes == Wakes::WithAHeartbeat);
    }
}

#[test]
fn who_has_the_disks_is_seen_to_be_there() {
    let members = of_three();
    let clock: &'static VirtualClock = Box::leak(Box::default());
    let fs = run(clock, mount(&members, clock)).unwrap();
    let counters = || (0..3).map(|disk| holder(&members, disk).counter).collect::<Vec<_>>();
    let before = counters();
    run(clock, fs.attend(clock.sleep(11_000 * MILLISECOND)));
    for (before, after) in before.into_iter().zip(counters()) {
        // The three are counted together.
        assert!((4..=18).contains(&(after - before)), "every two seconds, on each: {before} and {after}");
    }
    run(clock, async {
        for node in 0..3 {
            assert!(fs.holder(NodeIndex(node)).await.expect("a holder").is_own);
        }
    });
    let refused = RefCell::new(None);
    let other = async {
        let mounted = mount(&members, clock).await;
        *refused.borrow_mut() = Some(mounted.map(drop).expect_err("two writers"));
    };
    let keeper = async {
        let refused_at_last = async {
            while refused.borrow().is_none() {
                clock.sleep(MILLISECOND).await;
            }
        };
        fs.attend(refused_at_last).await;
    };
    let tasks: Vec<Task<'_>> = vec![("keeper".to_owned(), Box::pin(keeper)), ("the other".to_owned(), Box::pin(other))];
    run_all(clock, tasks, &mut Random::new(1));
    let refused = refused.take();
    assert!(matches!(refused, Some(MountError::Op(OpError::Refused(Refusal::InUse { .. })))), "{refused:?}");

    assert!(!fs.member_statuses().any(|member| member.state != MemberState::InSync));
    members.disks[1].write_at(HEARTBEAT_OFFSET, &others_heartbeat(0)).unwrap();
    run(clock, fs.attend(clock.sleep(3_000 * MILLISECOND)));
    let fenced: Vec<bool> = fs.member_statuses().map(|member| member.state != MemberState::InSync).collect();
    assert_eq!(fenced, [false, true, false]);
    assert_eq!(fs.fenced().map(|(node, _)| node), Some(NodeIndex(1)));
    run(clock, async { drop(fs.unmount().await.unwrap()) });
    assert!(holder(&members, 0).is_released && holder(&members, 2).is_released);
    assert_eq!(holder(&members, 1).nonce, OTHER);
}
