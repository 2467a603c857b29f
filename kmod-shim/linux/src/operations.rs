//! Carrying out requests on the filesystem.

use hammer2_core::cluster::{EntryBatch, NewPfs};
use hammer2_core::fs::{self, Allocation, Cookie, Error, FileSystem, NewAttributes, NewFile, TimeSource as _};
use hammer2_core::media::inode::EMBEDDED_BYTES;
use hammer2_core::media::{FileKind, Inum, PfsKind, Timestamp, Uuid};

use crate::abi::{self, Attributes, Request, op, set};
use crate::facts::{self, Packer};
use crate::foreman::Foreman;
use crate::host::{Severity, Wall, say};
use crate::mailbox::{Call, Parts};

const EINVAL: i64 = 22;
const ENOSYS: i64 = 38;

/// Bytes of an entry before its name, as C unpacks them: the place after it, inode number, kind, length.
const HEAD_BYTES: usize = 18;

/// Carries out a request, and answers it.
pub(crate) async fn perform(fs: &FileSystem, foreman: &Foreman, mut call: Call) {
    let mut parts = call.parts();
    let mut result = attempt(fs, foreman, &mut parts).await;
    if result.is_ok() {
        result = refresh(fs, parts.request).await.and(result);
    }
    call.answer(result.unwrap_or_else(|error| {
        if error.is_trouble() {
            say(Severity::Complaint, format_args!("{error}"));
        }
        -i64::from(error.errno())
    }));
}

async fn attempt(fs: &FileSystem, foreman: &Foreman, parts: &mut Parts<'_>) -> Result<i64, Error> {
    let Parts { request, name, other_name, buffer } = parts;
    let (inum, other) = (Inum(request.inum), Inum(request.other));
    match request.op {
        op::LOOKUP => {
            request.attributes = known(fs, fs.lookup(inum, name).await?).await?;
            Ok(0)
        }
        op::GETATTR => {
            request.attributes = known(fs, inum).await?;
            Ok(0)
        }
        op::SETATTR => {
            fs.set_attributes(inum, &new_attributes(request)).await?;
            Ok(0)
        }
        op::READDIR => list(fs, request, buffer).await,
        op::READLINK => Ok(fs.read_link(inum, buffer).await? as i64),
        op::READ => Ok(fs.read(inum, request.offset, buffer).await? as i64),
        op::WRITE => {
            fs.write(inum, request.offset, buffer).await?;
            Ok(buffer.len() as i64)
        }
        op::CREATE => {
            let Some(new) = new_file(request, other_name) else { return Ok(-EINVAL) };
            let made = fs.create(inum, name, &new).await?;
            request.attributes = known(fs, made).await?;
            Ok(0)
        }
        op::LINK => fs.link(other, inum, name).await.map(|()| 0),
        op::UNLINK => keeping(fs, request.kept, async || fs.unlink(inum, name).await).await,
        op::RMDIR => fs.remove_directory(inum, name).await.map(|()| 0),
        op::RENAME if request.flags & abi::FLAG_NO_REPLACE != 0 => {
            fs.rename_no_replace(inum, name, other, other_name).await.map(|()| 0)
        }
        op::RENAME => keeping(fs, request.kept, async || fs.rename(inum, name, other, other_name).await).await,
        op::EXCHANGE => fs.exchange(inum, name, other, other_name).await.map(|()| 0),
        op::RELEASE => fs.release(inum).await.map(|()| 0),
        op::STATFS => {
            let statistics = fs.settled_statistics().await;
            request.total_bytes = statistics.total_bytes;
            request.free_bytes = statistics.free_bytes;
            request.available_bytes = statistics.available_bytes;
            request.inodes = statistics.inodes;
            Ok(0)
        }
        op::SEEK_DATA => Ok(fs.seek_data(inum, request.offset).await?.cast_signed()),
        op::SEEK_HOLE => Ok(fs.seek_hole(inum, request.offset).await?.cast_signed()),
        op::ALLOCATE => {
            let is_set = |flag: u32| request.flags & flag != 0;
            let allocation = if is_set(abi::FLAG_PUNCH_HOLE) {
                Allocation::PunchHole
            } else if is_set(abi::FLAG_ZERO_RANGE) {
                Allocation::ZeroRange
            } else {
                Allocation::Reserve
            };
            let (bytes, keep_size) = (request.buffer_length, is_set(abi::FLAG_KEEP_SIZE));
            fs.allocate(inum, request.offset, bytes, allocation, keep_size).await.map(|()| 0)
        }
        op::TRIM => Ok(fs.give_space_back().await?.cast_signed()),
        op::SNAPSHOT => {
            let (clid, fsid) = (new_uuid(), new_uuid());
            let new = NewPfs { label: name, kind: PfsKind::Master, clid, fsid, time: Wall.now() };
            fs.snapshot(&new).await.map(|()| 0)
        }
        op::SYNC => fs.sync().await.map(|()| 0),
        op::STATUS => {
            // A member that no longer answers isn't in step.
            fs.probe().await?;
            let mut packer = Packer::new(buffer);
            facts::tell(fs, &mut packer)?;
            Ok(packer.bytes())
        }
        op::ORDER => Ok(foreman.take(name)),
        op::OUTCOME => {
            let mut packer = Packer::new(buffer);
            foreman.tell(fs, &mut packer)?;
            Ok(packer.bytes())
        }
        op::PANIC => panic!("told to, by the module's parameter `provoke_panic`"),
        _ => Ok(-ENOSYS),
    }
}

fn new_uuid() -> Uuid {
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&Wall.random().to_ne_bytes());
    bytes[8..].copy_from_slice(&Wall.random().to_ne_bytes());
    Uuid::random(bytes)
}

/// Removes a name of the file `kept`, if not 0, so that the file stays until it is released, or is unchanged if that fails.
async fn keeping(fs: &FileSystem, kept: u64, work: impl AsyncFnOnce() -> Result<(), Error>) -> Result<i64, Error> {
    if kept == 0 {
        return work().await.map(|()| 0);
    }
    fs.open(Inum(kept)).await?;
    let done = work().await;
    if done.is_err() {
        fs.release(Inum(kept)).await?;
    }
    done.map(|()| 0)
}

/// Fills in the attributes of the further files that the request lists. A file that is gone keeps the number 0.
async fn refresh(fs: &FileSystem, request: &mut Request) -> Result<(), Error> {
    for attributes in &mut request.refreshed {
        if attributes.inum != 0 {
            *attributes = match known(fs, Inum(attributes.inum)).await {
                Err(Error::NotFound) => Attributes::default(),
                attributes => attributes?,
            };
        }
    }
    Ok(())
}

async fn known(fs: &FileSystem, inum: Inum) -> Result<Attributes, Error> {
    let attributes = fs.attributes(inum).await?;
    let fs::Attributes { kind, mode, uid, gid, links, size, device: (major, minor), .. } = attributes;
    let stored_bytes = match attributes.stored_bytes.saturating_add(attributes.unstored_bytes) {
        // It has no block of its own, but a program that copies it must not take it for a hole.
        0 if kind == FileKind::Regular && (1..=EMBEDDED_BYTES as u64).contains(&size) => 1,
        bytes => bytes,
    };
    Ok(Attributes {
        inum: inum.0,
        size,
        stored_bytes,
        links,
        atime_us: attributes.atime.microseconds,
        mtime_us: attributes.mtime.microseconds,
        ctime_us: attributes.ctime.microseconds,
        mode,
        kind: kind as u32,
        uid,
        gid,
        major,
        minor,
    })
}

fn new_attributes(request: &Request) -> NewAttributes {
    let asked = &request.attributes;
    let is_set = |bit: u32| request.set & bit != 0;
    let time = |bit: u32, microseconds: u64| is_set(bit).then_some(Timestamp { microseconds });
    NewAttributes {
        mode: is_set(set::MODE).then_some(asked.mode & 0o7777),
        uid: is_set(set::UID).then_some(asked.uid),
        gid: is_set(set::GID).then_some(asked.gid),
        size: is_set(set::SIZE).then_some(asked.size),
        atime: time(set::ATIME, asked.atime_us),
        mtime: time(set::MTIME, asked.mtime_us),
        ctime: time(set::CTIME, asked.ctime_us),
        ..NewAttributes::default()
    }
}

fn new_file<'t>(request: &Request, target: &'t [u8]) -> Option<NewFile<'t>> {
    let asked = &request.attributes;
    let kind = FileKind::from_code(u8::try_from(asked.kind).ok()?).ok()?;
    Some(NewFile {
        uid: asked.uid,
        gid: asked.gid,
        device: (asked.major, asked.minor),
        target,
        ..NewFile::new(kind, asked.mode & 0o7777)
    })
}

/// Packs as many entries into the buffer as fit; returns the bytes they take.
async fn list(fs: &FileSystem, request: &mut Request, buffer: &mut [u8]) -> Result<i64, Error> {
    let mut batch = EntryBatch::new(fs.heap(), buffer.len())?;
    let listing = fs.read_directory(Inum(request.inum), Cookie(request.offset), &mut batch).await?;
    let mut packed = 0;
    for entry in batch.iter() {
        let length = entry.name.len();
        // The batch has no more entries than fit, as both pack in the same way.
        let Some(place) = buffer.get_mut(packed..packed + HEAD_BYTES + length) else { return Ok(-EINVAL) };
        place[..8].copy_from_slice(&Cookie::after(entry.key).0.to_le_bytes());
        place[8..16].copy_from_slice(&entry.inum.0.to_le_bytes());
        place[16] = entry.kind as u8;
        place[17] = length as u8;
        place[HEAD_BYTES..].copy_from_slice(entry.name);
        packed += HEAD_BYTES + length;
    }
    request.next = listing.next.map_or(0, |cookie| cookie.0);
    if let Some(fault) = listing.damaged {
        request.flags |= abi::FLAG_DAMAGED;
        say(Severity::Complaint, format_args!("entries of directory inode {} are missing: {fault}", request.inum));
    }
    Ok(packed as i64)
}
