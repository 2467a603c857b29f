//! Files that were removed while open when the power goes: the next mount for writing removes them, with their blocks.

use std::rc::Rc;

use hammer2_core::fs::FileSystem;
use hammer2_core::io::MemoryDisk;
use hammer2_core::media::Inum;
use hammer2_core::media::geometry::CHUNK_BYTES;

use super::volume::{HEAP, Headers, Host, copy, device};
use crate::perform::perform;
use hammer2_model::{Bytes, Model, Step};

/// Bytes of each file.
const FILE_BYTES: usize = 1 << 20;

/// Free bytes after bulkfree.
async fn free_after_bulkfree(host: &Host, disk: &Rc<MemoryDisk>) -> u64 {
    let cluster = host.mount_writable(HEAP, device(disk)).await.unwrap().unmount().await.unwrap();
    for _ in 0..2 {
        cluster.bulkfree().await.unwrap();
    }
    cluster.header().allocator_free()
}

async fn make(fs: &FileSystem, path: &str) -> Inum {
    let model = Model::new();
    perform(&Step::Create(path.to_owned()), fs, &model).await.unwrap();
    perform(&Step::Write(path.to_owned(), 0, FILE_BYTES, Bytes::Noise), fs, &model).await.unwrap();
    fs.resolve(path.as_bytes()).await.unwrap()
}

/// Makes `count` files, removes them while they are open, closes those in `closed`, and loses power after a sync.
async fn leave_orphans(host: &Host, disk: &Rc<MemoryDisk>, count: usize, closed: &[usize]) -> Vec<Inum> {
    let fs = host.mount_writable(HEAP, device(disk)).await.unwrap();
    let mut inums = Vec::new();
    for number in 0..count {
        let inum = make(&fs, &format!("f{number}")).await;
        fs.open(inum).await.unwrap();
        inums.push(inum);
    }
    fs.sync().await.unwrap();
    for number in 0..count {
        perform(&Step::Unlink(format!("f{number}")), &fs, &Model::new()).await.unwrap();
    }
    let mut byte = [0];
    assert_eq!(fs.read(inums[0], 5, &mut byte).await, Ok(1), "it lives on while it is open");
    for number in closed {
        fs.release(inums[*number]).await.unwrap();
    }
    fs.sync().await.unwrap();
    inums
}

/// Checks that the next mount for writing reclaims files removed while open, `closed` of which were closed before the power went.
pub(crate) fn reclaim(host: &Host, bytes: u64, count: usize, closed: &[usize]) {
    let disk = host.formatted(bytes);
    host.run(async {
        let empty = free_after_bulkfree(host, &disk).await;
        let inums = leave_orphans(host, &disk, count, closed).await;
        let problems = host.problems(&disk, Headers::AllWhole).await;
        assert!(problems.is_empty(), "orphans that will be removed are no damage: {problems:#?}");

        let looked = host.mount(HEAP, device(&disk)).await.unwrap();
        for (number, inum) in inums.iter().enumerate() {
            assert_eq!(looked.attributes(*inum).await.is_ok(), !closed.contains(&number), "file {number} before");
        }
        drop(looked);

        let fs = host.mount_writable(HEAP, device(&disk)).await.unwrap();
        for inum in &inums {
            assert!(fs.attributes(*inum).await.is_err(), "{inum:?} is still there");
        }
        let again = copy(&disk);
        fs.sync().await.unwrap();
        drop(fs);
        let free = free_after_bulkfree(host, &disk).await;
        assert!(empty - free < 8 * CHUNK_BYTES, "{free} bytes of {empty} came back");

        // A mount that removed them and lost power before its first sync changed nothing: the next does it again.
        let free = free_after_bulkfree(host, &again).await;
        assert!(empty - free < 8 * CHUNK_BYTES, "{free} bytes of {empty} came back the second time");
    });
}

/// A snapshot taken meanwhile has them, too, and a mount of it for writing removes them there.
pub(crate) fn reclaim_in_snapshot(host: &Host, bytes: u64) {
    let disk = host.formatted(bytes);
    host.run(async {
        let fs = host.mount_writable(HEAP, device(&disk)).await.unwrap();
        let inum = make(&fs, "f").await;
        fs.open(inum).await.unwrap();
        perform(&Step::Unlink("f".to_owned()), &fs, &Model::new()).await.unwrap();
        perform(&Step::Snapshot("SNAP".to_owned()), &fs, &Model::new()).await.unwrap();
        fs.release(inum).await.unwrap();
        fs.unmount().await.unwrap();
        let problems = host.problems(&disk, Headers::AllWhole).await;
        assert!(problems.is_empty(), "{problems:#?}");

        let snapshot = host.mount_label_writable(device(&disk), "SNAP").await.unwrap();
        assert!(snapshot.attributes(inum).await.is_err(), "it is still in the snapshot");
    });
}
