//! A volume whose free space lies in pieces too small for a file block: a change that finds no place is refused at once, never at
//! a sync.

use std::rc::Rc;

use hammer2_core::fs::{Error, FileSystem};
use hammer2_core::io::MemoryDisk;

use super::failures::adopt_part;
use super::volume::{HEAP, Host, device};
use crate::difference::difference;
use crate::perform::perform;
use hammer2_core::random::Random;
use hammer2_model::{Bytes, Model, Step};

const BLOCK: u64 = 64 << 10;
/// Small files, each in a chunk of its own.
const SMALL_BYTES: usize = 16 << 10;
/// Blocks of the large file.
const LARGE_BLOCKS: u64 = 40;
/// The size of the volume: its free space is so large that its amount alone doesn't count as scarce.
const VOLUME_BYTES: u64 = 96 << 20;
/// Files removed before space is given back: each commit takes some of a full volume.
const REMOVED_AT_ONCE: usize = 500;

/// The results.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) done: usize,
    pub(crate) refused: usize,
}

/// Fills a volume with small files between a large one's blocks, removes every second small one, and frees their space.
async fn fragment(host: &Host, disk: &Rc<MemoryDisk>, model: &mut Model) -> FileSystem {
    let fs = host.mount_writable(HEAP, device(disk)).await.unwrap();
    for step in
        [Step::Create("large".into()), Step::Write("large".into(), 0, (LARGE_BLOCKS * BLOCK) as usize, Bytes::Noise)]
    {
        assert!(is_accepted(&fs, model, &step).await);
    }
    let mut count = 0;
    loop {
        let path = format!("f{count}");
        if !is_accepted(&fs, model, &Step::Create(path.clone())).await {
            break;
        }
        count += 1;
        if !is_accepted(&fs, model, &Step::Write(path, 0, SMALL_BYTES, Bytes::Noise)).await {
            break;
        }
    }
    fs.unmount().await.unwrap();
    let even: Vec<usize> = (0..count).step_by(2).collect();
    for numbers in even.chunks(REMOVED_AT_ONCE) {
        let fs = host.mount_writable(HEAP, device(disk)).await.unwrap();
        for number in numbers {
            assert!(is_accepted(&fs, model, &Step::Unlink(format!("f{number}"))).await, "f{number}");
        }
        let cluster = fs.unmount().await.unwrap();
        for _ in 0..2 {
            cluster.bulkfree().await.unwrap();
        }
    }
    host.mount_writable(HEAP, device(disk)).await.unwrap()
}

/// Changes the large file within its blocks, and syncs each time: no sync may fail.
pub(crate) fn change_within_blocks(host: &Host, seed: u64) -> (u64, Tally) {
    let disk = host.formatted(VOLUME_BYTES);
    let mut model = Model::new();
    let mut tally = Tally::default();
    let mut random = Random::new(seed);
    let free = host.run(async {
        let fs = fragment(host, &disk, &mut model).await;
        let free = fs.statistics().free_bytes;
        for round in 0..120 {
            let size = model.content("large").map_or(0, Vec::len) as u64;
            let at = random.next_u64() % size;
            let bytes = random.next_u64() % (2 * BLOCK) + 1;
            let step = match round % 6 {
                0 | 3 => Step::Punch("large".into(), at, bytes),
                1 => Step::Write("large".into(), at, bytes.min(size - at) as usize, Bytes::Noise),
                2 => Step::Truncate("large".into(), size - random.next_u64() % BLOCK.min(size - 1)),
                4 => Step::Truncate("large".into(), size + bytes),
                // This is more than was ever freed in pieces as large as a block.
                _ => Step::Append("large".into(), 8 * bytes as usize),
            };
            match is_accepted(&fs, &mut model, &step).await {
                true => tally.done += 1,
                false => {
                    tally.refused += 1;
                    // Blocks before the first that found no place may have been changed.
                    adopt_part(&fs, &mut model, &step, "fragmented").await;
                }
            }
            assert_eq!(fs.sync().await, Ok::<(), Error>(()), "after {step:?}");
        }
        fs.unmount().await.unwrap();
        let fs = host.mount(HEAP, device(&disk)).await.unwrap();
        assert_eq!(difference(&fs, &model).await, None);
        free
    });
    (free, tally)
}

/// Does a step in the filesystem and the model; false when there is no room; panics at any other error.
async fn is_accepted(fs: &FileSystem, model: &mut Model, step: &Step) -> bool {
    match perform(step, fs, model).await {
        Ok(()) => {
            assert!(step.apply(model), "{step:?}");
            true
        }
        Err(error) => {
            assert_eq!(error, Error::NoSpace, "{step:?}");
            false
        }
    }
}
