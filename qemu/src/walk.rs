//! Walking the disks: every PFS of every node, mounted through the core. Nothing is written.
//!
//! Each mount opens the disks again, and takes all its memory from the core's budget, so that a failed mount leaves nothing to
//! the next.

use hammer2_core::cluster::{Pfs, PfsSelector};
use hammer2_core::fs::{FileSystem, MountError, MountOptions};
use hammer2_core::io::{Disk, DiskOptions, boxed_device};
use hammer2_core::manifest::{self, Hex, ManifestDigest, ManifestError};
use hammer2_core::media::{Inum, KeyRange};
use hammer2_core::memory::{self, NoMemory, Vec};
use hammer2_kmod_shim::executor::Executor;

use crate::platform::{CORE_BUDGET, CORE_MEMORY, MEMORY, Platform};
use crate::println;
use crate::verdict::Verdict;

/// Walks the nodes that the disks make; `nodes` has the node number of each disk.
pub(crate) fn run(platform: &Platform, nodes: &[u8]) -> Verdict {
    if nodes.len() != platform.disks.len() {
        println!("kernel: nodes= assigns {} disks, but {} are attached", nodes.len(), platform.disks.len());
        return Verdict::Fail;
    }
    let mut all_read = true;
    for number in (0..=u8::MAX).filter(|number| nodes.contains(number)) {
        let node = Node { platform, nodes, number };
        let read = Executor::new(MEMORY)
            .map_err(MountError::from)
            .and_then(|executor| platform.run(&executor, walk_node(&node)));
        all_read &= read.unwrap_or_else(|error| {
            println!("node {number}: {error}");
            false
        });
    }
    println!("kernel: the core has used {} KiB at most", CORE_BUDGET.peak_bytes().div_ceil(1024));
    if all_read { Verdict::Pass } else { Verdict::Fail }
}

/// A node that isn't open yet.
struct Node<'p> {
    platform: &'p Platform,
    nodes: &'p [u8],
    number: u8,
}

impl Node<'_> {
    /// Its disks, for a mount to take over, without anything that the previous mount may have left under way.
    async fn disks(&self) -> Result<Vec<Disk>, NoMemory> {
        let mut disks = Vec::new_in(CORE_MEMORY);
        for (driver, _) in self.platform.disks.iter().zip(self.nodes).filter(|(_, node)| **node == self.number) {
            let device = boxed_device(CORE_MEMORY, *driver)?;
            let disk = Disk::new(CORE_MEMORY, device, self.platform.timer, DiskOptions::default())?;
            // A device that can't be reset is gone; the mount reports that.
            if let Err(error) = disk.reset().await {
                log::error!("{}: {error}", disk.info().name);
            }
            memory::push(&mut disks, disk)?;
        }
        Ok(disks)
    }

    /// The PFSs found on it.
    async fn list(&self) -> Result<Vec<Pfs>, MountError> {
        let cluster = FileSystem::open_cluster(CORE_MEMORY, self.disks().await?, MountOptions::default()).await?;
        let mut found = Vec::new_in(MEMORY);
        let mut rest = Some(KeyRange::ALL);
        while let Some(range) = rest {
            let Some((pfs, after)) = cluster.next_pfs(range).await? else { break };
            memory::push(&mut found, pfs)?;
            rest = after;
        }
        Ok(found)
    }
}

/// Returns true when every PFS of the node was read completely.
async fn walk_node(node: &Node<'_>) -> Result<bool, MountError> {
    let mut all_read = true;
    for pfs in node.list().await? {
        let label = pfs.label.escape_ascii();
        let selector = PfsSelector::Label(&pfs.label);
        match FileSystem::mount(CORE_MEMORY, node.disks().await?, selector, MountOptions::default()).await {
            Ok(filesystem) => all_read &= walk_pfs(&filesystem).await?,
            Err(error) => {
                println!("PFS {label} error: {error}");
                all_read = false;
            }
        }
    }
    Ok(all_read)
}

/// Reads every byte of the PFS and prints the digest of its manifest; returns true when everything could be read.
async fn walk_pfs(filesystem: &FileSystem) -> Result<bool, NoMemory> {
    let label = filesystem.pfs().label.escape_ascii();
    let mut digest = ManifestDigest::default();
    match manifest::write(MEMORY, filesystem, Inum::PFS_ROOT, &mut digest).await {
        Ok(summary) => {
            println!("PFS {label} entries {} sha256 {}", summary.entries, Hex(&digest.finish()));
            if summary.bad_entries > 0 {
                println!("PFS {label} error: {} entries can't be read", summary.bad_entries);
            }
            Ok(summary.bad_entries == 0)
        }
        Err(ManifestError::NoMemory(error)) => Err(error),
        Err(error) => {
            println!("PFS {label} error: {error}");
            Ok(false)
        }
    }
}
