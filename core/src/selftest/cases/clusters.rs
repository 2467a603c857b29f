//! Clusters on scratch disks: members fail, the others go on, and the failed ones are brought back. At the end every node must
//! hold everything by itself, and is checked.

use alloc::rc::Rc;

use super::files::{compare, name, populate};
use super::scratch::{Standstill, check, format_with};
use crate::cluster::{Cluster, Health, MemberState, NewPfs, NodeIndex, PfsOutcome, PfsSelector};
use crate::fs::{Error, FileSystem, MountOptions};
use crate::io::wrap::{Effect, Fault, FaultPlan, Faulty, Operations};
use crate::io::{DeviceError, Disk, DiskOptions, Duration, boxed_device};
use crate::media::{Inum, PfsKind, Uuid};
use crate::memory::{self, Vec};
use crate::selftest::image::IMAGE_TIME;
use crate::selftest::mounted::mount;
use crate::selftest::{Case, Environment, Failure, block_on, ensure};

use PfsKind::{Master, Slave, SoftMaster};

pub(super) const CASES: &[Case] = &[
    Case { name: "clusters: three masters, one fails and comes back", run: three_masters },
    Case { name: "clusters: three masters, one doesn't answer and comes back", run: silence },
    Case { name: "clusters: three masters, two fail and nothing is written", run: too_few },
    Case { name: "clusters: three masters, two fail and come back while it is mounted", run: quorum_back },
    Case { name: "clusters: five masters, two fail and come back", run: five_masters },
    Case { name: "clusters: two masters and a slave, which fails and comes back", run: a_slave },
    Case { name: "clusters: three masters, one fails, and a soft one that stays as it was", run: a_soft_master },
];

pub(super) const LABEL: &[u8] = b"WORK";
pub(super) const OPTIONS: MountOptions = MountOptions { memory_bytes: 16 << 20, spare_nodes: 0 };
/// How long a member may take to answer.
const DEADLINE: Duration = Duration::from_millis(1000);

const FAILURE: Effect = Effect::Fail(DeviceError::Io(5));

fn three_masters(environment: &dyn Environment) -> Result<(), Failure> {
    lose_and_return(environment, &[Master; 3], &[1], Fault::always(Operations::WRITE, FAILURE))
}

fn silence(environment: &dyn Environment) -> Result<(), Failure> {
    lose_and_return(environment, &[Master; 3], &[0], Fault::always(Operations::FLUSH, Effect::Hang))
}

fn five_masters(environment: &dyn Environment) -> Result<(), Failure> {
    lose_and_return(environment, &[Master; 5], &[0, 3], Fault::always(Operations::all(), FAILURE))
}

/// Without the slave, two of two masters are still there.
fn a_slave(environment: &dyn Environment) -> Result<(), Failure> {
    lose_and_return(environment, &[Master, Master, Slave], &[2], Fault::always(Operations::WRITE, FAILURE))
}

/// The soft member is no part of a mount of the quorum: it isn't counted, told anything, or missed.
fn a_soft_master(environment: &dyn Environment) -> Result<(), Failure> {
    let kinds = [Master, Master, Master, SoftMaster];
    lose_and_return(environment, &kinds, &[1], Fault::always(Operations::WRITE, FAILURE))
}

/// A cluster on the first scratch disks.
pub(super) struct Members<'e> {
    environment: &'e dyn Environment,
    /// The plan of faults for each disk.
    pub(super) plans: Vec<Rc<FaultPlan>>,
    /// The number of members that take part in a mount of the quorum; soft ones follow them.
    hard: usize,
    deadline: Duration,
}

impl<'e> Members<'e> {
    pub(super) async fn created(environment: &'e dyn Environment, kinds: &[PfsKind]) -> Result<Self, Failure> {
        Self::created_with(environment, kinds, DEADLINE).await
    }

    /// Makes the cluster on disks with this deadline.
    pub(super) async fn created_with(
        environment: &'e dyn Environment,
        kinds: &[PfsKind],
        deadline: Duration,
    ) -> Result<Self, Failure> {
        let heap = environment.heap();
        let mut plans = Vec::new_in(heap);
        for number in 0..kinds.len() {
            memory::push(&mut plans, Rc::new(FaultPlan::new(heap)))?;
            let mut disks = environment.scratch_disks()?;
            ensure(number < disks.len(), format_args!("{} scratch disks are needed", kinds.len()))?;
            disks.swap(0, number);
            disks.truncate(1);
            format_with(environment, &disks, environment.seed() + number as u64).await?;
        }
        let hard = kinds.iter().filter(|kind| **kind != SoftMaster).count();
        let members = Self { environment, plans, hard, deadline };
        let new = NewPfs {
            label: LABEL,
            kind: Master,
            clid: Uuid::random([7; 16]),
            fsid: Uuid::random([9; 16]),
            time: IMAGE_TIME,
        };
        let made = members.open().await?.create_as(&new, kinds, environment.seed()).await?;
        ensure(made == PfsOutcome::Done, format_args!("{made:?}"))?;
        Ok(members)
    }

    /// The disk of each node, behind its plan of faults.
    fn nodes(&self) -> Result<Vec<Vec<Disk>>, Failure> {
        let (heap, clock) = (self.environment.heap(), self.environment.clock());
        let mut nodes = Vec::new_in(heap);
        for (device, plan) in self.environment.scratch_devices()?.into_iter().zip(&self.plans) {
            let device = boxed_device(heap, Faulty::new(heap, device, plan.clone())?)?;
            let mut disks = Vec::new_in(heap);
            memory::push(&mut disks, Disk::new(heap, device, clock, DiskOptions { deadline: self.deadline })?)?;
            memory::push(&mut nodes, disks)?;
        }
        Ok(nodes)
    }

    pub(super) async fn open(&self) -> Result<Cluster, Failure> {
        let mut refused = Ok(());
        let mut refuse = |number, error: &_| refused = Err(Failure::new(format_args!("node {number}: {error}")));
        let cluster = FileSystem::open_nodes(self.environment.heap(), self.nodes()?, OPTIONS, &mut refuse).await?;
        refused.map(|()| cluster)
    }

    pub(super) async fn mount(&self) -> Result<FileSystem, Failure> {
        let cluster = self.open().await?;
        let mounted = FileSystem::mount_pfs(self.environment.heap(), cluster, PfsSelector::Label(LABEL), OPTIONS);
        Ok(mounted.await?.make_writable(&Standstill).await?)
    }

    /// Checks that each node by itself holds the first `directories` directories (a soft node none), and that its filesystem is
    /// sound.
    async fn compare_each(&self, directories: u64) -> Result<(), Failure> {
        for number in 0..self.plans.len() {
            let at = |failure: Failure| failure.of(format_args!("node {number} by itself"));
            let alone = || self.nodes().map(|mut nodes| nodes.swap_remove(number));
            let fs = mount(self.environment.heap(), alone()?, LABEL).await.map_err(|error| at(error.into()))?;
            if number < self.hard {
                compare(self.environment, &fs, 0..directories).await.map_err(at)?;
            } else {
                let found = fs.lookup(Inum::PFS_ROOT, &name(b'd', 0)).await;
                let is_empty = matches!(found, Err(Error::NotFound));
                ensure(is_empty, format_args!("a soft node that wasn't mounted has {found:?}")).map_err(at)?;
            }
        }
        self.check_each().await
    }

    /// Checks that the filesystem of each node is sound.
    pub(super) async fn check_each(&self) -> Result<(), Failure> {
        for number in 0..self.plans.len() {
            let checked = check(self.environment, self.nodes()?.swap_remove(number)).await;
            checked.map_err(|failure| failure.of(format_args!("node {number} by itself")))?;
        }
        Ok(())
    }
}

/// Makes the members `failing` fail under a load, goes on without them, and brings them back.
fn lose_and_return(
    environment: &dyn Environment,
    kinds: &[PfsKind],
    failing: &[u8],
    fault: Fault,
) -> Result<(), Failure> {
    block_on(environment, async {
        let members = Members::created(environment, kinds).await?;
        let fs = members.mount().await?;
        populate(environment, &fs, 0..1).await?;
        fs.sync().await?;
        for number in failing {
            members.plans[usize::from(*number)].add(fault.clone())?;
        }
        populate(environment, &fs, 1..2).await?;
        fs.sync().await?;
        // A quorum's answer was enough; other members have until the deadline.
        fs.level().await?;
        for member in fs.member_statuses() {
            let (left, fails) = (matches!(member.state, MemberState::Ejected(_)), failing.contains(&member.node.0));
            let apart = matches!(member.state, MemberState::Aside(_));
            ensure(left == fails, format_args!("node {}: {:?}", member.node.0, member.state))?;
            ensure(
                apart == (usize::from(member.node.0) >= members.hard),
                format_args!("node {}: {:?}", member.node.0, member.state),
            )?;
        }
        compare(environment, &fs, 0..2).await?;
        for number in failing {
            let plan = &members.plans[usize::from(*number)];
            plan.clear();
            plan.release();
            let state = fs.look_again(NodeIndex(*number)).await?;
            ensure(matches!(state, MemberState::Behind(_)), format_args!("node {number} is back: {state:?}"))?;
        }
        populate(environment, &fs, 2..3).await?;
        for number in failing {
            let counts = fs.resync(NodeIndex(*number)).await?;
            environment.log(format_args!("node {number} is back in step: {} elements copied", counts.copied));
            ensure(counts.copied > 0, format_args!("nothing was copied to node {number}"))?;
        }
        let health = fs.cluster_status().map(|status| status.health);
        let whole = if members.hard == kinds.len() { Health::Healthy } else { Health::Degraded };
        ensure(health == Some(whole), format_args!("{health:?} after all nodes are back"))?;
        populate(environment, &fs, 3..4).await?;
        drop(fs.unmount().await?);
        members.compare_each(4).await
    })
}

/// Two of three fail: what a quorum can't keep isn't acknowledged. What was acknowledged is there afterwards.
fn too_few(environment: &dyn Environment) -> Result<(), Failure> {
    block_on(environment, async {
        let members = Members::created(environment, &[Master; 3]).await?;
        let fs = members.mount().await?;
        populate(environment, &fs, 0..1).await?;
        fs.sync().await?;
        for plan in &members.plans[1..] {
            plan.add(Fault::always(Operations::WRITE, FAILURE))?;
        }
        let _ = populate(environment, &fs, 1..2).await;
        let synced = fs.sync().await;
        ensure(matches!(synced, Err(Error::NoQuorum { in_sync: 1, voters: 3 })), format_args!("synced: {synced:?}"))?;
        drop(fs);
        members.plans.iter().for_each(|plan| plan.clear());
        let fs = members.mount().await?;
        compare(environment, &fs, 0..1).await?;
        populate(environment, &fs, 2..3).await?;
        compare(environment, &fs, 2..3).await?;
        drop(fs.unmount().await?);
        members.compare_each(1).await
    })
}

/// Two of three fail and answer again: everything done goes on without a new mount, even what was in no commit yet.
fn quorum_back(environment: &dyn Environment) -> Result<(), Failure> {
    block_on(environment, async {
        let members = Members::created(environment, &[Master; 3]).await?;
        let fs = members.mount().await?;
        populate(environment, &fs, 0..2).await?;
        for plan in &members.plans[1..] {
            plan.add(Fault::always(Operations::all(), FAILURE))?;
        }
        let synced = fs.sync().await;
        ensure(matches!(synced, Err(Error::NoQuorum { in_sync: 1, voters: 3 })), format_args!("synced: {synced:?}"))?;
        members.plans.iter().for_each(|plan| plan.clear());
        for node in [NodeIndex(1), NodeIndex(2)] {
            fs.look_again(node).await?;
            fs.resync(node).await?;
        }
        compare(environment, &fs, 0..2).await?;
        populate(environment, &fs, 2..3).await?;
        compare(environment, &fs, 2..3).await?;
        drop(fs.unmount().await?);
        members.compare_each(1).await
    })
}
