//! Simulated disks as nodes, and offline work on them.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use allocator_api2::alloc::Global;
use hammer2_core::cluster::{Cluster, OpenError, PfsSelector};
use hammer2_core::fs::{Error, FileSystem, MountError, MountOptions, NewFile, TimeSource};
use hammer2_core::fsck::{self, Finding, FsckOptions, Observer, Progress, Severity};
use hammer2_core::io::wrap::{FaultPlan, Faulty};
use hammer2_core::io::{Disk, DiskOptions, boxed_device};
use hammer2_core::media::cluster_record::ClusterRecord;
use hammer2_core::media::{Dirent, FileKind, Inode, Inum, Methods, ModifyTid, directory_hash};
use hammer2_core::memory::{Heap, Vec as HeapVec, push};
use hammer2_core::newfs::{NewfsOptions, newfs};
use hammer2_core::node::{self, Command, Modification, NodeError, NodeOptions, Reply, Slot};
use hammer2_core::random::Random;

use crate::device::{SimDevice, SimDisk};
use crate::executor;
use crate::host::Host;
use crate::medium::Medium;

pub(crate) const HEAP: Heap = &Global;
const MEMORY_BYTES_PER_NODE: usize = 2 << 20;

impl std::fmt::Debug for Drive {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "drive {}", self.number)
    }
}

/// A disk and its faults.
#[derive(Clone)]
pub(crate) struct Drive {
    pub(crate) disk: Rc<SimDisk>,
    pub(crate) plan: Rc<FaultPlan>,
    pub(crate) number: usize,
}

impl Drive {
    pub(crate) fn new(medium: Medium, number: usize) -> Self {
        Self { disk: SimDisk::new(medium), plan: Rc::new(FaultPlan::new(HEAP)), number }
    }

    /// A copy of the disk, with faults of its own.
    pub(crate) fn copy(&self) -> Self {
        Self::new(self.disk.medium.borrow().image(), self.number)
    }

    /// The disk as a node of one volume.
    pub(crate) fn open(&self, host: &'static Host) -> HeapVec<Disk> {
        let mut disks = HeapVec::new_in(HEAP);
        let device = Faulty::new(HEAP, SimDevice::new(&self.disk, host, self.number), Rc::clone(&self.plan));
        let device = device.and_then(|device| boxed_device(HEAP, device));
        let disk = device.and_then(|device| Disk::new(HEAP, device, host, DiskOptions::default()));
        let opened = disk.and_then(|disk| push(&mut disks, disk));
        opened.expect("the host has memory");
        disks
    }
}

/// The options for a mount of so many nodes.
pub(crate) fn mount_options(nodes: usize) -> MountOptions {
    MountOptions { memory_bytes: MEMORY_BYTES_PER_NODE * nodes.max(1), spare_nodes: 0 }
}

/// Opens drives as the nodes of a cluster, and reports those that can't be opened.
pub(crate) async fn open(
    host: &'static Host,
    drives: &[Drive],
    refused: &mut dyn FnMut(usize, &OpenError),
) -> Result<Cluster, MountError> {
    let mut nodes = HeapVec::new_in(HEAP);
    drives.iter().try_for_each(|drive| push(&mut nodes, drive.open(host)))?;
    FileSystem::open_nodes(HEAP, nodes, mount_options(drives.len()), refused).await
}

thread_local! {
    /// New filesystems by size and number: made once, copied often.
    static FORMATTED: RefCell<HashMap<(u64, usize), Medium>> = RefCell::default();
}

/// The room that is left on a small disk.
pub(crate) const SMALL_BYTES: u64 = 32 << 20;
const LEFT_BYTES: u64 = 256 << 10;

/// Fills a small disk with a file of its own.
async fn crowd(host: &'static Host, drive: &Drive, random: &mut Random) -> Result<(), Error> {
    let cluster = open(host, std::slice::from_ref(drive), &mut |_, _| ()).await.expect("a new filesystem");
    let local = FileSystem::mount_pfs(HEAP, cluster, PfsSelector::Label(b"LOCAL"), mount_options(1)).await;
    let fs = local.expect("a new PFS").make_writable(host).await.expect("a writable PFS");
    let file = fs.create(Inum::PFS_ROOT, b"crowd", &NewFile::new(FileKind::Regular, 0o644)).await?;
    let mut content = vec![0; 64 << 10];
    let mut offset = 0;
    while fs.statistics().free_bytes > LEFT_BYTES {
        random.fill(&mut content);
        match fs.write(file, offset, &content).await {
            Err(Error::NoSpace) => break,
            written => written?,
        }
        offset += content.len() as u64;
    }
    fs.unmount().await.map(drop)
}

/// A disk with a new filesystem.
pub(crate) fn formatted(host: &'static Host, size_bytes: u64, number: usize) -> Medium {
    if let Some(image) = FORMATTED.with_borrow(|known| known.get(&(size_bytes, number)).map(Medium::image)) {
        return image;
    }
    let drive = Drive::new(Medium::new(size_bytes), number);
    let mut random = Random::new(size_bytes ^ number as u64);
    let made = executor::run(host, async {
        let disks = drive.open(host);
        let references: Vec<&Disk> = disks.iter().collect();
        let mut fill = |bytes: &mut [u8]| random.fill(bytes);
        newfs(&references, &NewfsOptions::default(), HEAP, &mut fill, TimeSource::now(host)).await
    });
    made.expect("an end").expect("a new filesystem");
    if size_bytes == SMALL_BYTES {
        let crowded = executor::run(host, crowd(host, &drive, &mut random));
        crowded.expect("an end").expect("room for it");
    }
    let mut medium = drive.disk.medium.borrow_mut();
    medium.settle();
    let image = medium.image();
    FORMATTED.with_borrow_mut(|known| known.insert((size_bytes, number), medium.image()));
    image
}

/// The findings of a strict check of a disk; with `may_be_torn`, a copy of the header may be torn.
pub(crate) async fn problems(host: &'static Host, drive: &Drive, may_be_torn: bool) -> Vec<String> {
    struct Problems {
        found: Vec<String>,
        may_be_torn: bool,
    }
    impl Observer for Problems {
        fn finding(&mut self, finding: &Finding<'_>) {
            let is_excused = self.may_be_torn && finding.place.header.is_some();
            if finding.severity == Severity::Problem && !is_excused {
                self.found.push(finding.to_string());
            }
        }
        fn progress(&mut self, _: Progress) {}
    }
    let mut problems = Problems { found: Vec::new(), may_be_torn };
    let options = FsckOptions { strict: true, cache_bytes: 0 };
    if let Err(error) = fsck::check(HEAP, drive.open(host), options, &mut problems).await {
        problems.found.push(error.to_string());
    }
    problems.found
}

/// The inode that a foreign writer makes.
pub(crate) const FOREIGN: Inum = Inum(1 << 40);

/// Adds an inode without a name to one disk, with a record that agrees: only a comparison of everything with other disks shows
/// it.
pub(crate) async fn forge(host: &'static Host, drive: &Drive, label: &[u8]) -> Result<(), NodeError> {
    let Ok(node) = node::open(HEAP, drive.open(host), NodeOptions::default()).await else { return Ok(()) };
    node.recover().await?;
    let root = Slot(0);
    let Reply::Inode(record) = node.execute(Command::OpenPfs { label, into: root }).await? else { return Ok(()) };
    let inode = nameless();
    let create = Modification::CreateInode { pfs: root, inode: &inode, methods: record.methods };
    node.modify(record.modify_tid, create).await?;
    node.stage().await?;
    let bind = node.bind(root).await?;
    node.commit(&mut |header| {
        if let Ok(Some(record)) = header.cluster_records.find(record.meta.pfs_clid) {
            header.cluster_records.put(&ClusterRecord { bind, ..record }).expect("its own place");
        }
    })
    .await
}

fn nameless() -> Inode {
    let mut inode = Inode::new(FileKind::Regular);
    inode.meta.set_inum(FOREIGN);
    inode.meta.set_name_key(FOREIGN.key());
    inode.meta.set_iparent(Inum::PFS_ROOT);
    inode.meta.set_nlinks(1);
    inode
}

/// Writes to a disk like a foreign kernel, which knows nothing of clusters: it mounts the disk and makes a file.
pub(crate) async fn write_as_foreigner(host: &'static Host, drive: &Drive, label: &[u8]) -> Result<(), NodeError> {
    let Ok(node) = node::open(HEAP, drive.open(host), NodeOptions::default()).await else { return Ok(()) };
    node.recover().await?;
    let root = Slot(0);
    node.execute(Command::OpenPfs { label, into: root }).await?;
    let record = node.record(root).await?;
    let tid = ModifyTid(record.modify_tid.0 + 1);
    let inode = nameless();
    let methods: Methods = record.methods;
    node.modify(tid, Modification::CreateInode { pfs: root, inode: &inode, methods }).await?;
    let name = b"foreign";
    let key = directory_hash(name).first;
    let entry = Dirent { inum: FOREIGN, name_len: name.len(), kind: FileKind::Regular };
    node.modify(tid, Modification::AddEntry { directory: root, key, entry, name, methods }).await?;
    node.flush().await
}
