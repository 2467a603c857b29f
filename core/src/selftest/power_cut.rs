//! A workload for cutting the power: the volume alone shows what must be durable.
//!
//! It proceeds in *epochs*: some operations, then a sync. The same seed gives the same operations, so when epoch 17 is found on a
//! volume, every byte on it is known. The first thing an epoch writes is its *marker*: where that is found among the writes of a
//! disk, the sync of the previous epoch was acknowledged.

use super::{Failure, ensure};
use crate::cluster::EntryBatch;
use crate::fs::{Cookie, Error, FileSystem, NewFile};
use crate::media::{FileKind, Inum};
use crate::memory::{self, Heap, Vec};
use crate::random::Random;

/// Bytes of a marker. It is in a block of its own, and isn't compressed.
pub const MARKER_BYTES: usize = 1024;
const MAGIC: [u8; 16] = *b"power-cut epoch ";
const MARK: &[u8] = b"mark";

const FILES: usize = 24;
const OPERATIONS: usize = 12;
/// The number of epochs between passes of bulkfree.
const BULKFREE_EVERY: u64 = 4;
/// More epochs than any run has: an epoch read from media may be anything.
const MAX_EPOCH: u64 = 1 << 20;
/// The number of bytes written or read at a time.
const PIECE_BYTES: usize = 64 << 10;

/// The marker of an epoch.
pub fn marker(epoch: u64) -> [u8; MARKER_BYTES] {
    let mut marker = [0; MARKER_BYTES];
    Random::new(epoch).fill(&mut marker);
    marker[..16].copy_from_slice(&MAGIC);
    marker[16..24].copy_from_slice(&epoch.to_le_bytes());
    marker
}

/// The epoch whose marker `bytes` begin with.
pub fn epoch_of(bytes: &[u8]) -> Option<u64> {
    let epoch = u64::from_le_bytes(bytes.get(16..24)?.try_into().ok()?);
    (bytes.starts_with(&marker(epoch)) && epoch < MAX_EPOCH).then_some(epoch)
}

/// A file: the beginning of a stream of bytes.
#[derive(Clone, Copy)]
struct File {
    stream: u64,
    bytes: u64,
}

#[derive(Clone, Copy)]
enum Operation {
    Create(usize),
    Append(usize, u64),
    Truncate(usize, u64),
    Unlink(usize),
    Rename(usize, usize),
}

/// The expected files after an epoch.
struct Files {
    epoch: u64,
    files: [Option<File>; FILES],
    random: Random,
    streams: u64,
}

impl Files {
    fn new(seed: u64) -> Self {
        Self { epoch: 0, files: [None; FILES], random: Random::new(seed), streams: 0 }
    }

    fn throw(&mut self) -> Operation {
        let random = &mut self.random;
        let slot = random.below(FILES as u64) as usize;
        let limit = [512, 5_000, 5_000, 100_000, 100_000, 400_000][random.below(6) as usize];
        let bytes = random.below(limit);
        match (self.files[slot], random.below(8)) {
            (None, _) => Operation::Create(slot),
            (Some(file), 0) => Operation::Truncate(slot, file.bytes.min(bytes)),
            (Some(_), 1) => Operation::Unlink(slot),
            (Some(_), 2 | 3) => Operation::Rename(slot, (slot + 1 + random.below(FILES as u64 - 1) as usize) % FILES),
            (Some(_), _) => Operation::Append(slot, bytes),
        }
    }

    fn apply(&mut self, operation: Operation) {
        match operation {
            Operation::Create(slot) => {
                self.streams += 1;
                self.files[slot] = Some(File { stream: self.streams, bytes: 0 });
            }
            Operation::Append(slot, bytes) => {
                self.files[slot] = self.files[slot].map(|file| File { bytes: file.bytes + bytes, ..file });
            }
            Operation::Truncate(slot, bytes) => {
                self.files[slot] = self.files[slot].map(|file| File { bytes, ..file });
            }
            Operation::Unlink(slot) => self.files[slot] = None,
            Operation::Rename(from, to) => self.files[to] = self.files[from].take(),
        }
    }

    /// The state at the end of an epoch.
    fn after(seed: u64, epoch: u64) -> Self {
        let mut files = Self::new(seed);
        while files.epoch < epoch {
            files.epoch += 1;
            for _ in 0..OPERATIONS {
                let operation = files.throw();
                files.apply(operation);
            }
        }
        files
    }
}

fn name(slot: usize) -> [u8; 3] {
    [b'f', b'0' + (slot / 10) as u8, b'0' + (slot % 10) as u8]
}

/// Every third stream compresses.
fn fill(piece: &mut [u8], stream: u64, offset: u64) {
    for (at, byte) in (offset..).zip(piece) {
        *byte = match stream % 3 {
            0 => b'a' + (at / 100 % 23) as u8,
            _ => (((stream << 40) + at / 8).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (at % 8 * 8)) as u8,
        };
    }
}

/// The state of the workload at the end of an epoch.
pub struct Workload {
    files: Files,
    piece: Vec<u8>,
}

impl Workload {
    /// Continues from what is on the volume, after comparing it with what should be there.
    pub async fn resume(heap: Heap, fs: &FileSystem, seed: u64) -> Result<Self, Failure> {
        let epoch = verify(heap, fs, seed).await?;
        Ok(Self { files: Files::after(seed, epoch), piece: memory::filled(heap, PIECE_BYTES, || 0u8)? })
    }

    /// The last epoch that was done.
    pub fn epoch(&self) -> u64 {
        self.files.epoch
    }

    /// Does the next epoch, which is then durable. If it fails, it may or may not be there.
    pub async fn next_epoch(&mut self, fs: &FileSystem) -> Result<(), Error> {
        self.files.epoch += 1;
        let mark = match fs.lookup(Inum::PFS_ROOT, MARK).await {
            Err(Error::NotFound) => fs.create(Inum::PFS_ROOT, MARK, &NewFile::new(FileKind::Regular, 0o644)).await?,
            found => found?,
        };
        fs.write(mark, 0, &marker(self.epoch())).await?;
        for _ in 0..OPERATIONS {
            let operation = self.files.throw();
            perform(fs, &self.files, operation, &mut self.piece).await?;
            self.files.apply(operation);
        }
        fs.sync().await?;
        if self.epoch().is_multiple_of(BULKFREE_EVERY) {
            fs.bulkfree().await?;
        }
        Ok(())
    }
}

/// Does epochs, and calls `durable` after each.
pub async fn work(
    heap: Heap,
    fs: &FileSystem,
    seed: u64,
    epochs: u64,
    durable: &mut dyn FnMut(u64),
) -> Result<(), Failure> {
    let mut workload = Workload::resume(heap, fs, seed).await?;
    while workload.epoch() < epochs {
        workload.next_epoch(fs).await?;
        durable(workload.epoch());
    }
    Ok(())
}

async fn perform(fs: &FileSystem, files: &Files, operation: Operation, piece: &mut [u8]) -> Result<(), Error> {
    let root = Inum::PFS_ROOT;
    match operation {
        Operation::Create(slot) => {
            fs.create(root, &name(slot), &NewFile::new(FileKind::Regular, 0o644)).await?;
        }
        Operation::Append(slot, bytes) => {
            let Some(file) = files.files[slot] else { return Ok(()) };
            let inum = fs.lookup(root, &name(slot)).await?;
            let (mut at, end) = (file.bytes, file.bytes + bytes);
            while at < end {
                let piece = &mut piece[..(end - at).min(PIECE_BYTES as u64) as usize];
                fill(piece, file.stream, at);
                fs.write(inum, at, piece).await?;
                at += piece.len() as u64;
            }
        }
        Operation::Truncate(slot, bytes) => fs.truncate(fs.lookup(root, &name(slot)).await?, bytes).await?,
        Operation::Unlink(slot) => fs.unlink(root, &name(slot)).await?,
        Operation::Rename(from, to) => fs.rename(root, &name(from), root, &name(to)).await?,
    }
    Ok(())
}

/// Compares everything with what the epoch found on the volume requires; returns that epoch, which is 0 before the first.
pub async fn verify(heap: Heap, fs: &FileSystem, seed: u64) -> Result<u64, Failure> {
    let mut bytes = [0; MARKER_BYTES];
    let epoch = match fs.lookup(Inum::PFS_ROOT, MARK).await {
        Err(Error::NotFound) => 0,
        mark => {
            ensure(fs.read(mark?, 0, &mut bytes).await? == MARKER_BYTES, format_args!("a marker cut short"))?;
            epoch_of(&bytes).ok_or_else(|| Failure::new(format_args!("no marker in the file for it")))?
        }
    };
    let files = Files::after(seed, epoch);
    let mut pieces = [memory::filled(heap, PIECE_BYTES, || 0u8)?, memory::filled(heap, PIECE_BYTES, || 0u8)?];
    for (slot, file) in files.files.iter().enumerate() {
        let found = fs.lookup(Inum::PFS_ROOT, &name(slot)).await;
        let compared = match (file, found) {
            (None, Err(Error::NotFound)) => Ok(()),
            (None, _) => Err(Failure::new(format_args!("it isn't gone"))),
            (Some(file), found) => compare(fs, found?, *file, &mut pieces).await,
        };
        compared.map_err(|failure| failure.of(format_args!("epoch {epoch}, file {slot}")))?;
    }
    let expected = files.files.iter().flatten().count() + usize::from(epoch > 0);
    let names = count_names(heap, fs).await?;
    ensure(names == expected, format_args!("epoch {epoch}: {names} names instead of {expected}"))?;
    Ok(epoch)
}

async fn compare(fs: &FileSystem, inum: Inum, file: File, pieces: &mut [Vec<u8>; 2]) -> Result<(), Failure> {
    let size = fs.attributes(inum).await?.size;
    ensure(size == file.bytes, format_args!("{size} bytes instead of {}", file.bytes))?;
    let [found, wanted] = pieces;
    let mut at = 0;
    while at < file.bytes {
        let len = (file.bytes - at).min(PIECE_BYTES as u64) as usize;
        let read = fs.read(inum, at, &mut found[..len]).await?;
        fill(&mut wanted[..len], file.stream, at);
        ensure(read == len && found[..len] == wanted[..len], format_args!("other content from {at} on"))?;
        at += len as u64;
    }
    Ok(())
}

async fn count_names(heap: Heap, fs: &FileSystem) -> Result<usize, Failure> {
    let mut batch = EntryBatch::new(heap, 4096)?;
    let (mut count, mut from) = (0, Some(Cookie::START));
    while let Some(cookie) = from {
        let listing = fs.read_directory(Inum::PFS_ROOT, cookie, &mut batch).await?;
        ensure(listing.damaged.is_none(), format_args!("the root directory is damaged"))?;
        count += batch.iter().count();
        from = listing.next;
    }
    Ok(count)
}
