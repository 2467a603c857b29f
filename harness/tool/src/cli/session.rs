//! From a target on the command line to a mounted filesystem.

use std::cell::Cell;
use std::path::PathBuf;
use std::thread;
use std::time::Instant;

use allocator_api2::alloc::Global;
use clap::Args;
use hammer2_core::cluster::vote::{Mount, Refusal};
use hammer2_core::cluster::{Cluster, MemberState, NodeIndex, OpError, OpenError, PfsSelector};
use hammer2_core::fs::{Error, FileSystem, MIN_MEMORY_BYTES, MountError, MountOptions};
use hammer2_core::io::{Disk, DiskOptions, Duration, boxed_device};
use hammer2_core::media::Inum;
use hammer2_core::memory::{self, Box as HeapBox, Heap, Vec};
use hammer2_core::node::{self, Node, NodeOptions};
use hammer2_host::clock::HostClock;
use hammer2_host::device::{Access, ExportAddress, ExportError, FileDevice, NbdDevice, OpenError as FileError};
use hammer2_host::executor::Executor;
use hammer2_host::time_source::HostTime;
use hammer2_kmod_shim::budget::Budget;

use super::failure::complain;
use super::not_mounted::{self, Look, NotMounted};
use super::output::Shown;
use super::target::Target;
use super::{Failure, Outcome};
use crate::admin::{Images, Known};

/// Options of every command.
#[derive(Args, Clone, Copy, Debug)]
pub(super) struct Settings {
    /// Memory for the filesystem, in MiB
    #[arg(long, global = true, value_name = "MIB", default_value_t = 64, value_parser = clap::value_parser!(u16).range(2..))]
    memory: u16,
    /// Seconds a device may take to answer
    #[arg(long, global = true, value_name = "SECONDS", default_value_t = DEADLINE,
        value_parser = clap::value_parser!(u16).range(1..))]
    deadline: u16,
    /// Only this machine can reach the volumes: block devices and exports are taken without looking for another writer
    #[arg(long, global = true)]
    local: bool,
    /// Show the content of this node (the first is 0), whatever the others say; nothing can be changed
    #[arg(long, global = true, value_name = "NODE")]
    as_of: Option<u8>,
}

impl Settings {
    /// The options as arguments for another process.
    pub(super) fn arguments(&self) -> std::vec::Vec<String> {
        let Self { memory, deadline, local, as_of } = self;
        let mut arguments = vec![format!("--memory={memory}"), format!("--deadline={deadline}")];
        arguments.extend(local.then(|| "--local".to_owned()));
        arguments.extend(as_of.map(|node| format!("--as-of={node}")));
        arguments
    }

    /// The same, except for the values given here.
    pub(super) fn with(self, memory_mib: Option<u16>, deadline_seconds: Option<u16>, local: bool) -> Self {
        Self {
            memory: memory_mib.unwrap_or(self.memory),
            deadline: deadline_seconds.unwrap_or(self.deadline),
            local: local || self.local,
            ..self
        }
    }
}

/// How long after its start a command waits for images that are in use: a server that was just killed, or is about to end, may
/// not have let go of them yet. In a mount this time has passed, so no request waits for images.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(2);

/// How often it tries meanwhile.
const BETWEEN_LOOKS: std::time::Duration = std::time::Duration::from_millis(20);

/// The default deadline of devices.
const DEADLINE: u16 = DiskOptions::DEADLINE.as_secs() as u16;

/// The memory for the tool's own work, outside of the filesystem's budget.
pub(super) const TOOL_HEAP: Heap = &Global;

/// A run of the tool: the memory, the time and the devices it uses.
pub(super) struct Session {
    heap: Heap,
    budget: &'static Budget<Global>,
    clock: &'static HostClock,
    settings: Settings,
    patient_until: Instant,
    /// Nodes that may come in while it is mounted.
    spare_nodes: Cell<usize>,
}

impl Session {
    pub(super) fn new(settings: &Settings) -> Self {
        let memory_bytes = usize::from(settings.memory) << 20;
        // The mount divides the budget itself; the margin is for short-lived allocations.
        let limit_bytes = memory_bytes + MIN_MEMORY_BYTES;
        let budget: &'static Budget<Global> = Box::leak(Box::new(Budget::new(Global, limit_bytes)));
        let (clock, patient_until) = (HostClock::leaked(), Instant::now() + PATIENCE);
        Self { heap: budget, budget, clock, settings: *settings, patient_until, spare_nodes: Cell::new(0) }
    }

    /// Another run beside this one, with the same clock and memory of its own.
    pub(super) fn beside(&self, memory_mib: u16) -> Self {
        let settings = Settings { memory: memory_mib, as_of: None, ..self.settings };
        Self { clock: self.clock, ..Self::new(&settings) }
    }

    /// Mounts from here on leave memory for so many nodes that may come in.
    pub(super) fn keep_room_for(&self, nodes: usize) {
        self.spare_nodes.set(nodes);
    }

    /// Runs a command.
    pub(super) fn run<T>(&self, command: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
        Executor::new(self.clock).block_on(command)
    }

    /// Memory for what is known of blocks written lately.
    pub(super) fn dedup_bytes(&self) -> usize {
        (usize::from(self.settings.memory) << 20) / 32
    }

    fn options(&self) -> MountOptions {
        MountOptions { memory_bytes: usize::from(self.settings.memory) << 20, spare_nodes: self.spare_nodes.get() }
    }

    /// Images as disks, in the same order.
    pub(super) fn open_disks<'i>(
        &self,
        images: impl IntoIterator<Item = &'i PathBuf>,
        access: Access,
    ) -> Result<Vec<Disk>, Failure> {
        self.open_growing_disks(images, access, None)
    }

    /// The same, of images that may become larger.
    fn open_growing_disks<'i>(
        &self,
        images: impl IntoIterator<Item = &'i PathBuf>,
        access: Access,
        grow_to: Option<u64>,
    ) -> Result<Vec<Disk>, Failure> {
        self.permit(access)?;
        let options = DiskOptions { deadline: Duration::from_secs(self.settings.deadline.into()) };
        let mut disks = Vec::new_in(self.heap);
        for image in images {
            let device = match image.to_str().and_then(ExportAddress::parse) {
                Some(address) => {
                    let address = address?;
                    let in_use = |error: &ExportError| matches!(error, ExportError::InUse { .. });
                    let export = self.patiently(in_use, || NbdDevice::open(address.clone(), access))?;
                    boxed_device(self.heap, if self.settings.local { export.reached_by_nobody_else() } else { export })
                }
                None => {
                    let file = self.patiently(FileError::may_pass, || FileDevice::open(image, access))?;
                    let file = file.growing_to(grow_to);
                    boxed_device(self.heap, if self.settings.local { file.reached_by_nobody_else() } else { file })
                }
            };
            let device = device.map_err(Failure::failed)?;
            let disk = Disk::new(self.heap, device, self.clock, options).map_err(Failure::failed)?;
            memory::push(&mut disks, disk).map_err(Failure::failed)?;
        }
        Ok(disks)
    }

    /// Refuses changes with `--as-of`.
    fn permit(&self, access: Access) -> Result<(), Failure> {
        match (self.settings.as_of, access) {
            (Some(_), Access::Write) => Err(Failure::failed("--as-of is for looking: nothing is changed with it")),
            _ => Ok(()),
        }
    }

    /// Opens something, as soon as it isn't in use any more.
    fn patiently<D, E>(&self, in_use: fn(&E) -> bool, open: impl Fn() -> Result<D, E>) -> Result<D, E> {
        loop {
            match open() {
                Err(error) if in_use(&error) && Instant::now() < self.patient_until => thread::sleep(BETWEEN_LOOKS),
                opened => return opened,
            }
        }
    }

    /// Opens a target's node, for commands that look below the filesystem.
    pub(super) async fn open_node(&self, target: &Target) -> Result<HeapBox<Node>, Failure> {
        let Some(images) = target.only_node() else {
            return Err(Failure::unusable("this looks at one node by itself: name one"));
        };
        self.open_node_of(target, images, Access::Read).await
    }

    /// Opens a node by its images.
    pub(super) async fn open_node_of(
        &self,
        target: &Target,
        images: &[PathBuf],
        access: Access,
    ) -> Result<HeapBox<Node>, Failure> {
        let disks = self.open_disks(images, access)?;
        node::open(self.heap, disks, self.node_options()).await.map_err(|error| mount_failure(target, error.into()))
    }

    /// Opens a target's cluster without mounting a PFS.
    pub(super) async fn open_cluster(&self, target: &Target, access: Access) -> Result<Cluster, Failure> {
        Ok(self.open_nodes(target, access, None).await?.0)
    }

    /// The same, with images that may become larger; and what the nodes were opened from.
    async fn open_nodes(
        &self,
        target: &Target,
        access: Access,
        grow_to: Option<u64>,
    ) -> Result<(Cluster, Images), Failure> {
        self.permit(access)?;
        if let Some(images) = target.only_node() {
            let disks = self.open_growing_disks(images, access, grow_to)?;
            let opened = FileSystem::open_cluster(self.heap, disks, self.options()).await;
            let cluster = opened.map_err(|error| mount_failure(target, error))?;
            return Ok((cluster, Images::new([(images, Ok(NodeIndex(0)))]).at(target.to_string())));
        }
        let mut nodes = Vec::new_in(self.heap);
        let mut places = std::vec::Vec::new();
        let mut seats = vec![Err(String::new()); target.nodes.len()];
        for (place, images) in target.nodes.iter().enumerate() {
            match self.open_growing_disks(images, access, grow_to) {
                Ok(disks) => {
                    memory::push(&mut nodes, disks).map_err(Failure::failed)?;
                    places.push(place);
                }
                // A cluster can do without a missing node.
                Err(failure) => {
                    complain(&format_args!("goes on without a node: {failure}"));
                    seats[place] = Err(failure.to_string());
                }
            }
        }
        if nodes.is_empty() {
            return Err(Failure::unusable(format_args!("{target}: none of its nodes can be used")));
        }
        let mut left_out = std::vec::Vec::new();
        let mut refused = |position: usize, error: &OpenError| {
            complain(&format_args!("goes on without a node: {error}"));
            seats[places[position]] = Err(error.to_string());
            left_out.push(position);
        };
        // Nodes that can't be reached may come in later.
        let mut options = self.options();
        options.spare_nodes += target.nodes.len() - nodes.len();
        let opened = FileSystem::open_nodes(self.heap, nodes, options, &mut refused).await;
        let cluster = opened.map_err(|error| mount_failure(target, error))?;
        let opened = places.iter().enumerate().filter(|(position, _)| !left_out.contains(position));
        for (node, (_, place)) in (0..).map(NodeIndex).zip(opened) {
            seats[*place] = Ok(node);
        }
        Ok((cluster, Images::new(target.nodes.iter().zip(seats)).at(target.to_string())))
    }

    /// The images of a target's nodes, with the number that each node gets.
    pub(super) async fn images(&self, target: &Target, access: Access) -> Result<Images, Failure> {
        Ok(self.open_nodes(target, access, None).await?.1)
    }

    /// Opens a target's cluster to make it larger: if need be, the image of each node's last volume is extended to `grow_to`
    /// bytes.
    pub(super) async fn open_growing_cluster(&self, target: &Target, grow_to: Option<u64>) -> Result<Cluster, Failure> {
        Ok(self.open_nodes(target, Access::Write, grow_to).await?.0)
    }

    /// Opens a target's cluster, all nodes of which must be there, for changes that must be made on all of them.
    pub(super) async fn open_whole_cluster(&self, target: &Target) -> Result<Cluster, Failure> {
        let cluster = self.open_cluster(target, Access::Write).await?;
        if cluster.nodes() < target.nodes.len() {
            return Err(Failure::unusable("all nodes must be there to make a cluster of them"));
        }
        Ok(cluster)
    }

    /// Does something to the volumes of a cluster below its PFSs, as their only writer.
    pub(super) async fn administer<T>(
        &self,
        cluster: &Cluster,
        work: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, Failure> {
        cluster.take_hold(&HostTime).await.map_err(|error| match error {
            OpError::Refused(Refusal::InUse { node, .. } | Refusal::ChangedMeanwhile { node }) => {
                Failure::failed(format_args!("{}: {error}", cluster.called(node)))
            }
            _ => Failure::failed(error),
        })?;
        let done = cluster.attend(work).await;
        cluster.release().await;
        done
    }

    /// How [`open_node`](Self::open_node) opens nodes.
    pub(super) fn node_options(&self) -> NodeOptions {
        NodeOptions { cache_bytes: self.options().memory_bytes / 2, ..NodeOptions::default() }
    }

    /// The memory of the filesystem.
    pub(super) fn heap(&self) -> Heap {
        self.heap
    }

    /// The same, with its limit and use.
    pub(super) fn budget(&self) -> &'static Budget<Global> {
        self.budget
    }

    /// The time of the devices.
    pub(super) fn clock(&self) -> &'static HostClock {
        self.clock
    }

    /// Mounts a target's PFS.
    pub(super) async fn mount(&self, target: &Target) -> Result<FileSystem, Failure> {
        self.mount_for(target, Access::Read).await
    }

    pub(super) async fn mount_for(&self, target: &Target, access: Access) -> Result<FileSystem, Failure> {
        Ok(self.mount_to_serve(target, access).await?.0)
    }

    /// The same; and what the nodes were opened from.
    pub(super) async fn mount_to_serve(
        &self,
        target: &Target,
        access: Access,
    ) -> Result<(FileSystem, Images), Failure> {
        let as_of = self.settings.as_of.map(|node| Mount::AsOf(Some(NodeIndex(node))));
        self.mount_as(target, access, as_of).await?.map_err(Into::into)
    }

    /// Mounts a target's PFS, as `choice` says if there is one; also returns what the nodes were opened from.
    pub(super) async fn mount_as(
        &self,
        target: &Target,
        access: Access,
        choice: Option<Mount>,
    ) -> Result<Result<(FileSystem, Images), NotMounted>, Failure> {
        let (cluster, images) = self.open_nodes(target, access, None).await?;
        if let Some(mount) = choice {
            cluster.choose(mount);
        }
        let selector = target.label.as_deref().map_or(PfsSelector::Default, PfsSelector::Label);
        let mut look = Look::at(&cluster, &images, target, selector).await?;
        let mounted = match FileSystem::mount_pfs(self.heap, cluster, selector, self.options()).await {
            Ok(fs) if access == Access::Write => {
                look.note_away(&fs);
                fs.make_writable(&HostTime).await
            }
            mounted => mounted,
        };
        Ok(match mounted {
            Ok(fs) => Ok((fs, images)),
            Err(error) => Err(look.not_mounted(error)),
        })
    }

    /// Mounts a target's PFS for writing, alone, changes it, and makes the changes durable, even if some of them failed.
    pub(super) fn change(
        &self,
        target: &Target,
        change: impl AsyncFnOnce(&FileSystem) -> Result<Outcome, Failure>,
    ) -> Result<Outcome, Failure> {
        self.run(async {
            let (fs, images) = self.mount_to_serve(target, Access::Write).await?;
            let changed = fs.attend(change(&fs)).await;
            self.end_change(target, fs, changed, &images, &images.resync_advice()).await
        })
    }

    /// The same for changes of the cluster's members, where one more node may come in.
    pub(super) fn change_members(
        &self,
        target: &Target,
        choice: Option<Mount>,
        change: impl AsyncFnOnce(&FileSystem, &Images) -> Result<Outcome, Failure>,
    ) -> Result<Outcome, Failure> {
        self.keep_room_for(1);
        self.run(async {
            let mounted = self.mount_as(target, Access::Write, choice).await?;
            let (fs, images) = mounted?;
            let changed = fs.attend(change(&fs, &images)).await;
            // The order itself advises what to do about nodes that leave.
            self.end_change(target, fs, changed, &images, "").await
        })
    }

    async fn end_change(
        &self,
        target: &Target,
        fs: FileSystem,
        changed: Result<Outcome, Failure>,
        images: &Images,
        advice: &str,
    ) -> Result<Outcome, Failure> {
        let synced = fs
            .attend(async {
                fs.sync().await?;
                fs.level().await
            })
            .await;
        report_nodes(&fs, advice);
        let Err(error) = synced else {
            // The changes are durable. If the heartbeat can't be released, the next mount watches it for a while.
            drop(fs.unmount().await);
            return changed;
        };
        if let Err(failure) = changed {
            complain(&failure);
        }
        let why = Known::of_mount(images, &fs).error(&error);
        Err(Failure::failed(format_args!("{}: {why}; what was changed is lost", image_name(target))))
    }

    /// Mounts a target's PFS and follows its path.
    pub(super) async fn mount_path(&self, target: &Target) -> Result<(FileSystem, Inum), Failure> {
        let fs = self.mount(target).await?;
        let inum = fs.resolve(&target.path).await.map_err(|error| path_failure(&target.path, error))?;
        Ok((fs, inum))
    }
}

/// Reports the nodes that left while the filesystem was changed, and what can be done.
fn report_nodes(fs: &FileSystem, advice: &str) {
    for member in fs.member_statuses() {
        if let MemberState::Ejected(why) = member.state {
            let called = fs.called(member.node);
            complain(&format_args!("{called} left the cluster: {why}{advice}"));
        }
    }
}

/// An error about a path. A missing path is the user's mistake; all other errors are failures of the filesystem.
pub(super) fn path_failure(path: &[u8], error: Error) -> Failure {
    let message = format!("{}: {error}", Shown(path));
    match error {
        Error::NotFound | Error::NotADirectory | Error::NameTooLong => Failure::Unusable(message),
        _ => Failure::Failed(message),
    }
}

/// A filesystem by its first image.
fn image_name(target: &Target) -> String {
    target.images().next().map(|image| image.display().to_string()).unwrap_or_default()
}

/// The failure for wrong volumes, or wrong options to open them with.
fn mount_failure(target: &Target, error: MountError) -> Failure {
    not_mounted::failure(target, error, OpError::to_string)
}
