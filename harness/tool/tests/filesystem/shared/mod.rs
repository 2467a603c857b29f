//! Blocks that files share: what a clone costs, and what it is worth when one of the files changes, a disk rots or stays away.

mod cluster;

use hammer2_core::fs::{Error, FileSystem};
use hammer2_core::io::wrap::Counts;
use hammer2_core::media::Inum;
use hammer2_core::random::Random;

use super::device_bytes::{create, on_new_filesystem};

const MIB: u64 = 1 << 20;
const BLOCK: u64 = 64 << 10;
const FILE_BYTES: u64 = 64 * MIB;
const MEMORY_BYTES: usize = 64 << 20;

async fn write_noise(fs: &FileSystem, file: Inum) {
    let mut piece = vec![0; MIB as usize];
    let mut random = Random::new(2);
    for offset in (0..FILE_BYTES).step_by(piece.len()) {
        random.fill(&mut piece);
        fs.write(file, offset, &piece).await.expect("there is room");
    }
    fs.sync().await.expect("the disk takes it");
}

/// What devices are asked for when a file of 64 MiB is made once more, and synced; and how much less is free then.
fn asked_by(second: impl AsyncFn(&FileSystem, Inum, Inum)) -> (Counts, u64) {
    let mut asked = (Counts::default(), 0);
    on_new_filesystem(MEMORY_BYTES, async |fs, counters, _| {
        let (first, other) = (create(fs, "first").await, create(fs, "second").await);
        write_noise(fs, first).await;
        let free = fs.statistics().free_bytes;
        counters.take();
        second(fs, first, other).await;
        fs.sync().await.expect("the disk takes it");
        asked = (counters.take(), free - fs.statistics().free_bytes);
        expect_same(fs, first, other).await;
    });
    asked
}

async fn expect_same(fs: &FileSystem, first: Inum, second: Inum) {
    let (mut one, mut other) = (vec![0; MIB as usize], vec![0; MIB as usize]);
    for offset in (0..FILE_BYTES).step_by(one.len()) {
        fs.read(first, offset, &mut one).await.expect("it is there");
        fs.read(second, offset, &mut other).await.expect("it is there");
        assert!(one == other, "at {offset}");
    }
}

#[test]
fn a_clone_writes_no_content() {
    let (asked, taken) = asked_by(async |fs, first, second| {
        assert_eq!(fs.clone_range(first, 0, second, 0, u64::MAX >> 1).await, Ok(FILE_BYTES));
    });
    println!("a clone of {FILE_BYTES} bytes: {asked:?}, {taken} bytes taken");
    assert!(asked.written_bytes <= MIB && asked.read_bytes <= MIB && taken <= MIB, "{asked:?}, {taken}");
}

#[test]
fn what_is_written_once_more_is_shared_if_that_is_wanted() {
    let (asked, taken) = asked_by(async |fs, first, second| {
        fs.set_dedup(256 << 10).expect("there is memory");
        // What was written before isn't known.
        write_noise(fs, first).await;
        assert_eq!(fs.deduplicated_bytes(), 0);
        write_noise(fs, second).await;
        assert_eq!(fs.deduplicated_bytes(), FILE_BYTES);
        fs.set_dedup(0).expect("nothing is needed");
    });
    println!("{FILE_BYTES} bytes written twice: {asked:?}, {taken} bytes taken");
    assert!(asked.written_bytes <= FILE_BYTES + 2 * MIB && taken <= FILE_BYTES + 2 * MIB, "{asked:?}, {taken}");
    let (asked, _) = asked_by(async |fs, _, second| write_noise(fs, second).await);
    assert!(asked.written_bytes >= FILE_BYTES, "off unless it is asked for");
}

#[test]
fn what_is_remembered_of_blocks_is_checked() {
    on_new_filesystem(MEMORY_BYTES, async |fs, _, _| {
        fs.set_dedup(256 << 10).expect("there is memory");
        let block = |seed| {
            let mut bytes = vec![0; BLOCK as usize];
            Random::new(seed).fill(&mut bytes);
            bytes
        };
        let files = [create(fs, "a").await, create(fs, "b").await, create(fs, "c").await];
        // The file that had it holds something else, was cut, or is gone.
        fs.write(files[0], 0, &block(1)).await.expect("there is room");
        fs.write(files[0], BLOCK, &block(2)).await.expect("there is room");
        fs.write(files[1], 0, &block(3)).await.expect("there is room");
        fs.sync().await.expect("the disk takes it");
        fs.write(files[0], 0, &block(4)).await.expect("there is room");
        fs.truncate(files[0], BLOCK).await.expect("nothing is needed");
        fs.unlink(Inum::PFS_ROOT, b"b").await.expect("it is there");
        fs.sync().await.expect("the disk takes it");
        for (at, seed) in [1, 2, 3].into_iter().enumerate() {
            fs.write(files[2], at as u64 * BLOCK, &block(seed)).await.expect("there is room");
        }
        fs.sync().await.expect("the disk takes it");
        assert_eq!(fs.deduplicated_bytes(), 0);
        let mut read = vec![0; 3 * BLOCK as usize];
        fs.read(files[2], 0, &mut read).await.expect("it is there");
        assert!(read == [block(1), block(2), block(3)].concat());
        fs.write(files[2], 3 * BLOCK, &block(4)).await.expect("there is room");
        fs.sync().await.expect("the disk takes it");
        assert_eq!(fs.deduplicated_bytes(), BLOCK, "this one is there");
    });
}

#[test]
fn what_is_in_memory_of_either_file_is_as_it_should_be() {
    on_new_filesystem(MEMORY_BYTES, async |fs, _, _| {
        let (first, second) = (create(fs, "first").await, create(fs, "second").await);
        // Both are in memory only, and the second goes on behind what it is given.
        fs.write(first, 0, &[1; 3 * BLOCK as usize]).await.expect("there is room");
        fs.write(second, 0, &[2; 5 * BLOCK as usize]).await.expect("there is room");
        for (expected, changed) in [([1, 1, 1, 2, 2], 3), ([3, 1, 1, 2, 2], 4), ([4, 1, 1, 2, 2], 5)] {
            assert_eq!(fs.clone_range(first, 0, second, 0, 3 * BLOCK).await, Ok(3 * BLOCK));
            let mut read = vec![0; 5 * BLOCK as usize];
            fs.read(second, 0, &mut read).await.expect("it is there");
            let blocks = expected.map(|byte| vec![byte; BLOCK as usize]).concat();
            assert!(read == blocks, "{expected:?}");
            fs.write(first, 0, &[changed; BLOCK as usize]).await.expect("there is room");
        }
    });
}

#[test]
fn what_cannot_be_cloned() {
    on_new_filesystem(MEMORY_BYTES, async |fs, _, _| {
        let file = create(fs, "file").await;
        fs.write(file, 0, &[1; 200_000]).await.expect("there is room");
        assert_eq!(fs.clone_range(file, 0, file, BLOCK, 2 * BLOCK).await, Err(Error::Overlap));
        assert_eq!(fs.clone_range(file, 0, Inum::PFS_ROOT, 0, 1).await, Err(Error::IsADirectory));
        assert_eq!(fs.clone_range(file, 0, file, u64::MAX - 5, 100).await, Err(Error::FileTooLarge));
        assert_eq!(fs.clone_range(file, 300_000, file, 0, 100).await, Ok(0));
        assert_eq!(fs.clone_range(file, 0, file, 4 * BLOCK, 200_000).await, Ok(200_000));
        assert_eq!(fs.attributes(file).await.map(|file| file.size), Ok(4 * BLOCK + 200_000));
    });
}
