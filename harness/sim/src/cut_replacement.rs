//! A lost disk is replaced by a slave, and the power goes meanwhile, after any request. Afterwards, two halves of the disks can
//! never both be changed, unless the rule that prevents it is left out.

use hammer2_core::cluster::{Change, NewPfs, NodeIndex, PfsOutcome, PfsSelector};
use hammer2_core::fs::{FileSystem, MountError, TimeSource};
use hammer2_core::media::{PfsKind, Uuid};
use hammer2_core::node::{Protocol, Rule};
use hammer2_core::random::Random;

use crate::executor;
use crate::host::Host;
use crate::nodes::{self, Drive, HEAP, mount_options};

const DISKS: usize = 4;
const DISK_BYTES: u64 = 96 << 20;
const LABEL: &[u8] = b"WORK";
/// The disk that is lost, and the slave that replaces it.
const LOST: usize = 2;
const SLAVE: usize = 3;
const FSID_OF_SLAVE: Uuid = Uuid([8; 16]);
/// How many ways to lose cached writes are tried for each moment of the cut.
const LOSSES: u64 = 4;

fn new_pfs(host: &Host, fsid: Uuid) -> NewPfs<'static> {
    NewPfs { label: LABEL, kind: PfsKind::Master, clid: Uuid([7; 16]), fsid, time: TimeSource::now(host) }
}

async fn mount(host: &'static Host, drives: &[Drive], protocol: Protocol) -> Result<FileSystem, MountError> {
    let cluster = nodes::open(host, drives, &mut |_, _| ()).await?;
    cluster.set_protocol(protocol);
    let fs = FileSystem::mount_pfs(HEAP, cluster, PfsSelector::Label(LABEL), mount_options(drives.len())).await?;
    fs.make_writable(host).await
}

/// Three masters, and a fourth disk that is a slave in step.
fn three_and_a_slave(host: &'static Host) -> Vec<Drive> {
    let new = |number| Drive::new(nodes::formatted(host, DISK_BYTES, number), number);
    let drives: Vec<Drive> = (0..DISKS).map(new).collect();
    let made = executor::run(host, async {
        let cluster = nodes::open(host, &drives[..SLAVE], &mut |_, _| ()).await.expect("new filesystems");
        let made = cluster.create_as(&new_pfs(host, Uuid([9; 16])), &[PfsKind::Master; SLAVE], 1).await;
        assert_eq!(made, Ok(PfsOutcome::Done));
        drop(cluster);
        let fs = mount(host, &drives, Protocol::default()).await.expect("a quorum");
        let slave = NodeIndex(SLAVE as u8);
        fs.add_member(slave, &new_pfs(host, FSID_OF_SLAVE)).await.expect("a member");
        fs.resync(slave).await.expect("a member in step");
        drop(fs.unmount().await.expect("an end"));
    });
    made.expect("an end");
    drives.iter().for_each(|drive| drive.disk.medium.borrow_mut().settle());
    drives
}

fn copies<'d>(drives: impl IntoIterator<Item = &'d Drive>) -> Vec<Drive> {
    drives.into_iter().map(Drive::copy).collect()
}

/// Replaces the lost disk by the slave.
async fn replace(host: &'static Host, drives: &[Drive], protocol: Protocol) {
    let there: Vec<Drive> = drives.iter().filter(|drive| drive.number != LOST).cloned().collect();
    let fs = mount(host, &there, protocol).await.expect("a quorum");
    let old = fs.missing_members()[0].fsid;
    fs.change_members(Change::Replace { old, new: FSID_OF_SLAVE }).await.expect("a replacement");
}

/// Cuts the power after each request of a replacement; returns the halves of the disks that could both be changed afterwards.
fn halves(protocol: Protocol) -> Vec<String> {
    let host = Host::fresh(1);
    let before = three_and_a_slave(host);
    let mut found = Vec::new();
    for requests in 0.. {
        for loss in 0..LOSSES {
            let drives = copies(&before);
            host.power_on();
            host.power_until(Some(requests));
            let is_cut = executor::run(host, replace(host, &drives, protocol)).is_err();
            host.power_on();
            if !is_cut {
                assert!(requests > 20, "it was cut {requests} times");
                return found;
            }
            let mut random = Random::new(requests * LOSSES + loss);
            drives.iter().for_each(|drive| drive.disk.medium.borrow_mut().cut_power(&mut random));
            let can_change = |half: usize| {
                let half = copies(drives.iter().filter(|drive| half >> drive.number & 1 == 1));
                executor::run(host, mount(host, &half, Protocol::default())).is_ok_and(|mounted| mounted.is_ok())
            };
            let every = (1 << DISKS) - 1;
            let both = (1..=every / 2).filter(|one| can_change(*one) && can_change(every - one));
            found.extend(both.map(|one| format!("after {requests} requests: {one:04b} and {:04b}", every - one)));
        }
    }
    found
}

#[test]
fn a_replacement_is_safe_wherever_it_is_cut() {
    assert_eq!(halves(Protocol::default()), Vec::<String>::new());
}

#[test]
fn without_the_quorum_of_those_before_it_is_not() {
    assert_ne!(halves(Protocol::without(Rule::Joint)), Vec::<String>::new());
}
