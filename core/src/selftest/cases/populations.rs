//! Populated volumes: everything that was put in is found, and nothing else.

use super::{DATA, VOLUME_BYTES, populated};
use crate::cluster::EntryBatch;
use crate::fs::{Cookie, Error};
use crate::media::Inum;
use crate::memory::{self, Heap, Vec};
use crate::selftest::image::collisions::{MAX_NAMES, colliding_names};
use crate::selftest::image::population::{Object, ObjectName, Scale, numbered, populate};
use crate::selftest::image::{Seal, Spread, Written};
use crate::selftest::mounted::{compare_all, mount, read_everything};
use crate::selftest::{Case, Environment, Failure, block_on, ensure};

pub(super) const CASES: &[Case] = &[
    Case { name: "populations: a small volume", run: small },
    Case { name: "populations: deep trees in a large volume", run: large },
    Case { name: "populations: blocks all over many freemap leaves", run: scattered },
    Case { name: "populations: several PFSs and snapshots", run: snapshots },
    Case { name: "populations: names that aren't there", run: absent },
    Case { name: "populations: listings go on where they stopped", run: cookies },
    Case { name: "populations: a torn header falls back to the one before", run: torn_header },
];

async fn check(
    environment: &dyn Environment,
    volume_bytes: &[u64],
    spread: Spread,
    scale: Scale,
) -> Result<(), Failure> {
    let (image, objects) = populated(environment, volume_bytes, spread, scale).await?;
    let heap = environment.heap();
    let fs = mount(heap, image.open(heap, environment.clock())?, DATA).await?;
    compare_all(environment, &fs, &objects).await?;
    let census = read_everything(heap, &fs).await?;
    let wanted = objects.len() as u64;
    ensure(census.names == wanted && census.errors == 0, format_args!("{census:?} instead of {wanted} names"))?;
    let statistics = fs.statistics();
    let inodes = inodes_of(heap, &objects)?;
    ensure(statistics.inodes == inodes, format_args!("{} inodes instead of {inodes}", statistics.inodes))?;
    ensure(statistics.free_bytes < statistics.total_bytes, format_args!("nothing is taken"))?;
    environment.log(format_args!("{wanted} names, {} bytes taken", statistics.total_bytes - statistics.free_bytes));
    Ok(())
}

/// The number of inodes without the root, with hard links counted once.
fn inodes_of(heap: Heap, objects: &[Object]) -> Result<u64, Failure> {
    let mut inums = Vec::new_in(heap);
    for object in objects {
        memory::push(&mut inums, object.inum)?;
    }
    inums.sort_unstable();
    inums.dedup();
    Ok(inums.len() as u64)
}

fn small(environment: &dyn Environment) -> Result<(), Failure> {
    block_on(environment, check(environment, &[VOLUME_BYTES], Spread::Packed, Scale::SMALL))
}

fn large(environment: &dyn Environment) -> Result<(), Failure> {
    block_on(environment, check(environment, &[4 * VOLUME_BYTES], Spread::Packed, Scale::LARGE))
}

fn scattered(environment: &dyn Environment) -> Result<(), Failure> {
    block_on(environment, check(environment, &[9 << 30], Spread::Scattered, Scale::SMALL))
}

fn snapshots(environment: &dyn Environment) -> Result<(), Failure> {
    let (heap, clock) = (environment.heap(), environment.clock());
    block_on(environment, async {
        let (mut image, objects) = populated(environment, &[4 * VOLUME_BYTES], Spread::Packed, Scale::SMALL).await?;
        image.snapshot(DATA, b"before")?;
        image.edit(DATA)?.directory(Inum::PFS_ROOT, b"later")?;
        for number in 0..5 {
            image.add_pfs(&numbered(b"pfs", number))?;
        }
        let others = populate(&mut image.edit(b"pfs3")?, heap, Scale::SMALL)?;
        image.commit()?;
        image.snapshot(DATA, b"after")?;
        image.commit()?;
        for (label, objects, has_later) in [
            (DATA, &objects, true),
            (b"before", &objects, false),
            (b"after", &objects, true),
            (b"pfs3", &others, false),
        ] {
            let in_label = |failure: Failure| failure.of(format_args!("{}", label.escape_ascii()));
            let fs = mount(heap, image.open(heap, clock)?, label).await?;
            compare_all(environment, &fs, objects).await.map_err(in_label)?;
            let later = fs.lookup(Inum::PFS_ROOT, b"later").await;
            ensure(later.is_ok() == has_later, format_args!("`later` is {later:?}")).map_err(in_label)?;
        }
        let fs = mount(heap, image.open(heap, clock)?, b"pfs4").await?;
        let census = read_everything(heap, &fs).await?;
        ensure(census.names == 0 && census.errors == 0, format_args!("{census:?} in an empty PFS"))
    })
}

fn absent(environment: &dyn Environment) -> Result<(), Failure> {
    let heap = environment.heap();
    block_on(environment, async {
        let (image, objects) = populated(environment, &[VOLUME_BYTES], Spread::Packed, Scale::SMALL).await?;
        let fs = mount(heap, image.open(heap, environment.clock())?, DATA).await?;
        let find = |name: &[u8]| objects.iter().find(|object| object.name == name).map(|object| object.inum);
        let (collisions, file) = (find(b"collisions"), find(b"text-lz4"));
        let (Some(collisions), Some(file)) = (collisions, file) else {
            return Err(Failure::new(format_args!("the population has changed")));
        };
        // Names with the right hash that aren't there.
        for name in colliding_names(heap, b'c', MAX_NAMES)?.iter().skip(Scale::SMALL.collisions) {
            let found = fs.lookup(collisions, name).await;
            ensure(found == Err(Error::NotFound), format_args!("{} is {found:?}", name.escape_ascii()))?;
        }
        for (directory, name, wanted) in [
            (Inum::PFS_ROOT, &b"SIZES"[..], Error::NotFound),
            (Inum::PFS_ROOT, b"size", Error::NotFound),
            (Inum::PFS_ROOT, &[b'n'; 256], Error::NameTooLong),
            (file, b"x", Error::NotADirectory),
        ] {
            let found = fs.lookup(directory, name).await;
            ensure(found == Err(wanted), format_args!("{} is {found:?}", name.escape_ascii()))?;
        }
        let attributes = fs.attributes(Inum(0xdead_beef)).await;
        ensure(attributes == Err(Error::NotFound), format_args!("an inode that isn't is {attributes:?}"))?;
        let read = fs.read(collisions, 0, &mut [0; 16]).await;
        ensure(read == Err(Error::IsADirectory), format_args!("reading a directory: {read:?}"))
    })
}

fn cookies(environment: &dyn Environment) -> Result<(), Failure> {
    let heap = environment.heap();
    block_on(environment, async {
        let (image, objects) = populated(environment, &[VOLUME_BYTES], Spread::Packed, Scale::SMALL).await?;
        let fs = mount(heap, image.open(heap, environment.clock())?, DATA).await?;
        for directory in objects.iter().map(|object| object.parent) {
            let whole = list(heap, &fs, directory, 1 << 20).await?;
            // One entry at a time.
            let single = list(heap, &fs, directory, 1).await?;
            ensure(whole == single, format_args!("two listings of {directory} differ"))?;
            let count = objects.iter().filter(|object| object.parent == directory).count();
            ensure(whole.len() == count, format_args!("{} names in {directory} instead of {count}", whole.len()))?;
        }
        Ok(())
    })
}

/// The names in a directory, read in batches of `bytes` bytes.
async fn list(
    heap: Heap,
    fs: &crate::fs::FileSystem,
    directory: Inum,
    batch_bytes: usize,
) -> Result<Vec<ObjectName>, Failure> {
    let mut batch = EntryBatch::new(heap, batch_bytes)?;
    let mut names = Vec::new_in(heap);
    let mut from = Some(Cookie::START);
    while let Some(cookie) = from {
        let listing = fs.read_directory(directory, cookie, &mut batch).await?;
        for entry in batch.iter() {
            let name = ObjectName::from_slice(entry.name).map_err(|_| Failure::new(format_args!("a long name")))?;
            memory::push(&mut names, name)?;
        }
        ensure(listing.next.is_none_or(|next| next > cookie), format_args!("a listing doesn't get on"))?;
        from = listing.next;
    }
    Ok(names)
}

fn torn_header(environment: &dyn Environment) -> Result<(), Failure> {
    const VOLUME_OF_FOUR_COPIES: u64 = 8 << 30;
    let (heap, clock) = (environment.heap(), environment.clock());
    block_on(environment, async {
        let (mut image, objects) =
            populated(environment, &[VOLUME_OF_FOUR_COPIES], Spread::Packed, Scale::SMALL).await?;
        image.edit(DATA)?.directory(Inum::PFS_ROOT, b"later")?;
        image.commit()?;
        let mut written = Written::new(&image)?;
        written.change_header(Seal::Keep, |bytes| bytes[4096..].fill(0))?;
        for (has_later, disks) in [(true, image.open(heap, clock)?), (false, written.open(heap, clock)?)] {
            let fs = mount(heap, disks, DATA).await?;
            compare_all(environment, &fs, &objects).await?;
            let later = fs.lookup(Inum::PFS_ROOT, b"later").await;
            ensure(later.is_ok() == has_later, format_args!("`later` is {later:?}"))?;
        }
        Ok(())
    })
}
