//! The memory of a mount is for all its nodes together.

use allocator_api2::alloc::Global;
use hammer2_core::cluster::PfsSelector;
use hammer2_core::fs::{Error, FileSystem, MountOptions, NewFile};
use hammer2_core::media::{FileKind, Inum};
use hammer2_kmod_shim::budget::Budget;

use super::members::{LABEL, Members, Ticks, noise};

const NODES: [usize; 5] = [0, 1, 2, 3, 4];
const MEMORY_BYTES: usize = 32 << 20;

/// How many files share the memory: enough to fill every part of it.
const FILES: usize = 9_000;
const LARGE_FILES: usize = 40;
const LARGE_BYTES: usize = 1 << 20;

#[test]
fn five_nodes_share_the_memory_of_a_mount() {
    let members = Members::formatted(NODES.len());
    members.create();
    let budget: &'static Budget<Global> = Box::leak(Box::new(Budget::new(Global, MEMORY_BYTES + (2 << 20))));
    members.run(async {
        let cluster = members.open_within(budget, MEMORY_BYTES, &NODES).await;
        let options = MountOptions { memory_bytes: MEMORY_BYTES, spare_nodes: 0 };
        let fs = FileSystem::mount_pfs(budget, cluster, PfsSelector::Label(LABEL), options).await.unwrap();
        let fs = fs.make_writable(&Ticks).await.unwrap();
        work(&fs).await.unwrap();
        assert_eq!(fs.cluster_status().unwrap().in_sync, NODES.len());
        fs.unmount().await.unwrap();
    });
    let peak_bytes = budget.peak_bytes();
    assert!(peak_bytes <= MEMORY_BYTES, "{peak_bytes} bytes were taken");
    members.expect_alike(&NODES);
}

async fn work(fs: &FileSystem) -> Result<(), Error> {
    let content = noise(LARGE_BYTES);
    for number in 0..FILES {
        let name = format!("file-{number}");
        let file = fs.create(Inum::PFS_ROOT, name.as_bytes(), &NewFile::new(FileKind::Regular, 0o644)).await?;
        if number % (FILES / LARGE_FILES) == 0 {
            fs.write(file, 0, &content).await?;
        }
    }
    for number in 0..FILES {
        fs.lookup(Inum::PFS_ROOT, format!("file-{number}").as_bytes()).await?;
    }
    fs.sync().await
}
