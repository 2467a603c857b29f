//! Changing a filesystem on scratch disks: files and names, snapshots, giving back space. After each step the volume is checked
//! strictly, mounted again, and compared with what was written.

use super::DATA;
use super::files::{FILES, compare, name, populate};
use super::scratch::{check, first_disks, format, open};
use crate::cluster::{NewPfs, PfsOutcome};
use crate::fs::{Allocation, Error, FileSystem, NewFile};
use crate::media::geometry::FILE_BLOCK_BYTES;
use crate::media::{FileKind, Inum, PfsKind, Uuid};
use crate::memory;
use crate::random::Random;
use crate::selftest::image::IMAGE_TIME;
use crate::selftest::{Case, Environment, Failure, block_on, ensure};

pub(super) const CASES: &[Case] = &[
    Case { name: "writing: files of many sizes, on one disk and on a set", run: many_files },
    Case { name: "writing: names are made, linked, moved and removed", run: names },
    Case { name: "writing: ranges are reserved, zeroed and made holes", run: ranges },
    Case { name: "writing: a snapshot stays as it was", run: snapshots },
    Case { name: "writing: bulkfree gives back what was removed", run: space_comes_back },
];

const DIRECTORIES: u64 = 6;

fn many_files(environment: &dyn Environment) -> Result<(), Failure> {
    let all = environment.scratch_disks()?.len();
    block_on(environment, async {
        for count in [1, all] {
            format(environment, &first_disks(environment, count)?).await?;
            let fs = open(environment, first_disks(environment, count)?, DATA).await?;
            populate(environment, &fs, 0..DIRECTORIES).await?;
            compare(environment, &fs, 0..DIRECTORIES).await?;
            fs.unmount().await?;
            check(environment, first_disks(environment, count)?).await?;
            compare(environment, &open(environment, first_disks(environment, count)?, DATA).await?, 0..DIRECTORIES)
                .await?;
        }
        Ok(())
    })
}

fn names(environment: &dyn Environment) -> Result<(), Failure> {
    block_on(environment, async {
        format(environment, &first_disks(environment, 1)?).await?;
        let fs = open(environment, first_disks(environment, 1)?, DATA).await?;
        let (root, regular) = (Inum::PFS_ROOT, NewFile::new(FileKind::Regular, 0o600));
        let directory = fs.create(root, b"directory", &NewFile::new(FileKind::Directory, 0o700)).await?;
        let file = fs.create(root, b"file", &regular).await?;
        fs.write(file, 0, b"content").await?;
        fs.link(file, directory, b"second name").await?;
        fs.rename(root, b"file", directory, b"moved").await?;
        fs.rename(root, b"directory", root, &[b'n'; 200]).await?;
        let cases = [
            (fs.create(directory, b"moved", &regular).await.map(drop), Error::Exists),
            (fs.create(directory, b"a/b", &regular).await.map(drop), Error::InvalidName),
            (fs.rename(root, &[b'n'; 200], directory, b"below itself").await, Error::InvalidMove),
            (fs.remove_directory(root, &[b'n'; 200]).await, Error::NotEmpty),
            (fs.unlink(root, &[b'n'; 200]).await, Error::IsADirectory),
            (fs.unlink(root, b"file").await, Error::NotFound),
            (fs.rename_no_replace(directory, b"moved", directory, b"second name").await, Error::Exists),
        ];
        for (index, (found, wanted)) in cases.into_iter().enumerate() {
            ensure(found == Err(wanted), format_args!("refusal {index}: {found:?} instead of {wanted:?}"))?;
        }
        fs.rename_no_replace(directory, b"moved", root, b"new").await?;
        fs.rename(root, b"new", directory, b"moved").await?;
        let shared = NewFile { gid: 7, ..NewFile::new(FileKind::Directory, 0o2750) };
        let shared = fs.create(directory, b"shared", &shared).await?;
        let below =
            fs.create(shared, b"below", &NewFile { gid: 8, ..NewFile::new(FileKind::Directory, 0o700) }).await?;
        let found = fs.attributes(below).await?;
        ensure((found.gid, found.mode) == (7, 0o2700), format_args!("group {}, mode {:o}", found.gid, found.mode))?;
        fs.open(file).await?;
        fs.unlink(directory, b"moved").await?;
        fs.unlink(directory, b"second name").await?;
        let mut read = [0; 7];
        fs.read(file, 0, &mut read).await?;
        ensure(&read == b"content", format_args!("an open file without names reads {read:?}"))?;
        fs.release(file).await?;
        let gone = fs.attributes(file).await;
        ensure(gone == Err(Error::NotFound), format_args!("the file is still there: {gone:?}"))?;
        fs.unmount().await?;
        check(environment, first_disks(environment, 1)?).await
    })
}

/// The most bytes in a file of [`ranges`].
const RANGED_BYTES: usize = 5 * FILE_BLOCK_BYTES;

/// Does everything that can be done to ranges of a file, and the same to its expected content.
fn ranges(environment: &dyn Environment) -> Result<(), Failure> {
    let mut random = Random::new(environment.seed());
    let filled = || memory::filled(environment.heap(), RANGED_BYTES, || 0u8);
    let (mut wanted, mut noise) = (filled()?, filled()?);
    random.fill(&mut noise);
    block_on(environment, async {
        for start_size in [100, 600, FILE_BLOCK_BYTES + 1, 3 * FILE_BLOCK_BYTES + 777] {
            format(environment, &first_disks(environment, 1)?).await?;
            let mut fs = open(environment, first_disks(environment, 1)?, DATA).await?;
            let file = fs.create(Inum::PFS_ROOT, b"file", &NewFile::new(FileKind::Regular, 0o600)).await?;
            fs.write(file, 0, &noise[..start_size]).await?;
            wanted.fill(0);
            wanted[..start_size].copy_from_slice(&noise[..start_size]);
            let mut size = start_size;
            for step in 0..24 {
                let start = random.below(size as u64 + 1) as usize;
                let bytes = random.below((RANGED_BYTES - start) as u64) as usize + 1;
                let allocation = [Allocation::PunchHole, Allocation::ZeroRange, Allocation::Reserve][step % 3];
                let keep_size = random.below(2) == 0;
                fs.allocate(file, start as u64, bytes as u64, allocation, keep_size).await?;
                if allocation != Allocation::Reserve {
                    wanted[start..(start + bytes).min(size)].fill(0);
                }
                if allocation != Allocation::PunchHole && !keep_size {
                    size = size.max(start + bytes);
                }
                let at = random.below(size as u64) as usize;
                let count = (size - at).min(70_000);
                fs.write(file, at as u64, &noise[..count]).await?;
                wanted[at..at + count].copy_from_slice(&noise[..count]);
                if step % 8 == 7 {
                    fs.unmount().await?;
                    check(environment, first_disks(environment, 1)?).await?;
                    fs = open(environment, first_disks(environment, 1)?, DATA).await?;
                }
                compare_bytes(environment, &fs, file, &wanted[..size]).await?;
            }
            let free = fs.statistics().free_bytes;
            let too_much = fs.allocate(file, 0, 2 * free, Allocation::Reserve, false).await;
            ensure(too_much == Err(Error::NoSpace), format_args!("{too_much:?} for more than there is"))?;
            compare_bytes(environment, &fs, file, &wanted[..size]).await?;
            fs.allocate(file, 0, u64::MAX, Allocation::PunchHole, true).await?;
            wanted.fill(0);
            compare_bytes(environment, &fs, file, &wanted[..size]).await?;
            let hole = fs.seek_data(file, 0).await;
            ensure(hole == Err(Error::NoData) || start_size <= 512, format_args!("{hole:?} in a hole"))?;
        }
        Ok(())
    })
}

async fn compare_bytes(
    environment: &dyn Environment,
    fs: &FileSystem,
    file: Inum,
    wanted: &[u8],
) -> Result<(), Failure> {
    let mut found = memory::filled(environment.heap(), wanted.len() + 1, || 0xeeu8)?;
    let count = fs.read(file, 0, &mut found).await?;
    ensure(count == wanted.len(), format_args!("{count} bytes instead of {}", wanted.len()))?;
    let differs = (0..count).find(|at| found[*at] != wanted[*at]);
    ensure(differs.is_none(), format_args!("{} bytes, differs at {differs:?}", wanted.len()))
}

fn snapshots(environment: &dyn Environment) -> Result<(), Failure> {
    block_on(environment, async {
        format(environment, &first_disks(environment, 1)?).await?;
        let fs = open(environment, first_disks(environment, 1)?, DATA).await?;
        populate(environment, &fs, 0..DIRECTORIES).await?;
        fs.snapshot(&new_pfs(environment, b"before")).await?;
        for directory in 0..DIRECTORIES {
            let parent = fs.lookup(Inum::PFS_ROOT, &name(b'd', directory)).await?;
            for number in 0..FILES {
                let file = fs.lookup(parent, &name(b'f', number)).await?;
                if number.is_multiple_of(2) {
                    fs.write(file, 0, b"changed").await?;
                } else {
                    fs.unlink(parent, &name(b'f', number)).await?;
                }
            }
        }
        let cluster = fs.unmount().await?;
        for _ in 0..2 {
            cluster.bulkfree().await?;
        }
        drop(cluster);
        check(environment, first_disks(environment, 1)?).await?;
        compare(environment, &open(environment, first_disks(environment, 1)?, b"before").await?, 0..DIRECTORIES).await
    })
}

fn new_pfs<'l>(environment: &dyn Environment, label: &'l [u8]) -> NewPfs<'l> {
    let mut random = Random::new(environment.seed() + 7);
    let mut uuid = || {
        let mut bytes = [0; 16];
        random.fill(&mut bytes);
        Uuid::random(bytes)
    };
    NewPfs { label, kind: PfsKind::Master, clid: uuid(), fsid: uuid(), time: IMAGE_TIME }
}

fn space_comes_back(environment: &dyn Environment) -> Result<(), Failure> {
    block_on(environment, async {
        format(environment, &first_disks(environment, 1)?).await?;
        let fs = open(environment, first_disks(environment, 1)?, DATA).await?;
        fs.sync().await?;
        let cluster = fs.unmount().await?;
        let empty = cluster.header().allocator_free();
        let made = cluster.create_pfs(&new_pfs(environment, b"OTHER")).await?;
        ensure(made == PfsOutcome::Done, format_args!("{made:?}"))?;
        drop(cluster);
        let fs = open(environment, first_disks(environment, 1)?, b"OTHER").await?;
        populate(environment, &fs, 0..DIRECTORIES).await?;
        let cluster = fs.unmount().await?;
        let full = cluster.header().allocator_free();
        cluster.delete_pfs(b"OTHER").await?;
        let (first, second) = (cluster.bulkfree().await?, cluster.bulkfree().await?);
        let after = cluster.header().allocator_free();
        environment.log(format_args!("{empty} bytes free, {full} when full, {after} after bulkfree"));
        ensure(first.freed == 0 && second.freed == first.staged, format_args!("{first:?}, then {second:?}"))?;
        // Only the blocks of the filesystem itself are missing.
        ensure(after > full && empty - after < 1 << 20, format_args!("space is missing"))?;
        drop(cluster);
        check(environment, first_disks(environment, 1)?).await
    })
}
