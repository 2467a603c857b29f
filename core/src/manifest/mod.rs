//! A PFS as text: one JSON object a line for every name in it, sorted by path, and the digest of all lines.
//!
//! Two volumes have the same content when their manifests are equal, wherever and by whom they were made. The same code
//! prints it on a host and digests it in a kernel.
//!
//! Keys, in this order: `path` (`path_hex` when it isn't UTF-8; `.` is the root), `type` (file, dir, symlink, fifo, socket,
//! cdev, bdev, whiteout), `mode` (octal), `uid`, `gid`, `nlink`, `mtime_ns`, then by type `size` and `sha256`, `size` and
//! `target` (or `target_hex`), or `rdev`; `error` on what can't be read whole. The digest is the SHA-256 of all lines, each
//! with its newline.

mod line;
mod listing;

use core::ops::ControlFlow;

use sha2::{Digest, Sha256};

use crate::fs::{Attributes, Error, FileSystem};
use crate::media::{Corruption, FileKind, Inum};
use crate::memory::{self, Heap, NoMemory, Vec};
use crate::node::NodeFault;
use line::Line;
use listing::Listing;

/// Bytes of a file read at a time.
const READ_BYTES: usize = 512 << 10;
/// Files larger than this and than the whole filesystem are holes nearly throughout: digesting them would take years.
const DIGEST_LIMIT_BYTES: u64 = 16 << 30;

/// What a manifest came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Summary {
    /// Lines: names and the root.
    pub entries: u64,
    /// Lines with an `error`.
    pub errors: u64,
    /// Bytes of file content read.
    pub content_bytes: u64,
    /// SHA-256 of all lines.
    pub sha256: [u8; 32],
}

/// Why a manifest ended early.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ManifestError {
    /// Memory ran out.
    #[error(transparent)]
    NoMemory(#[from] NoMemory),
    /// A directory can't be used, or the root can't be read.
    #[error("{0}")]
    Fs(Error),
    /// Whoever takes the lines wants no more.
    #[error("output ended")]
    Stopped,
}

/// Why a line says `error`.
enum Unreadable {
    Fault(Error),
    Damaged(NodeFault),
    Corrupt(Corruption),
    TooLarge,
}

impl core::fmt::Display for Unreadable {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Fault(error) => write!(f, "{error}"),
            Self::Damaged(fault) => write!(f, "entries lost: {fault}"),
            Self::Corrupt(corruption) => write!(f, "{corruption}"),
            Self::TooLarge => f.write_str("larger than the whole file system: not digested"),
        }
    }
}

/// Writes the manifest of a mounted PFS, a line at a time, newline included.
pub async fn write(
    fs: &FileSystem,
    heap: Heap,
    sink: &mut dyn FnMut(&[u8]) -> ControlFlow<()>,
) -> Result<Summary, ManifestError> {
    let mut walk = Walk {
        fs,
        heap,
        sink,
        path: Vec::new_in(heap),
        line: Line::new(heap),
        content: memory::filled(heap, READ_BYTES, || 0)?,
        digest: Sha256::new(),
        summary: Summary { entries: 0, errors: 0, content_bytes: 0, sha256: [0; 32] },
    };
    walk.run().await?;
    walk.summary.sha256 = walk.digest.finalize().into();
    Ok(walk.summary)
}

struct Walk<'w> {
    fs: &'w FileSystem,
    heap: Heap,
    sink: &'w mut dyn FnMut(&[u8]) -> ControlFlow<()>,
    path: Vec<u8>,
    line: Line,
    content: Vec<u8>,
    digest: Sha256,
    summary: Summary,
}

/// A directory on the way down.
struct Level {
    listing: Listing,
    next: usize,
    /// Bytes of the path that leads here, with its slash.
    path_len: usize,
}

impl Walk<'_> {
    async fn run(&mut self) -> Result<(), ManifestError> {
        let attributes = self.fs.attributes(Inum::PFS_ROOT).await.map_err(|error| match error {
            Error::NoMemory => ManifestError::NoMemory(NoMemory),
            error => ManifestError::Fs(error),
        })?;
        memory::extend(&mut self.path, b".")?;
        let root = self.directory(&attributes).await?;
        self.path.clear();
        let mut levels: Vec<Level> = Vec::new_in(self.heap);
        memory::push(&mut levels, Level { listing: root, next: 0, path_len: 0 })?;
        // The listing of a directory whose entries come right after its own line, as they mostly do.
        let mut read: Option<Listing> = None;
        while let Some(level) = levels.last_mut() {
            self.path.truncate(level.path_len);
            let Some(event) = level.listing.event(level.next) else {
                levels.pop();
                continue;
            };
            level.next += 1;
            memory::extend(&mut self.path, event.name)?;
            let (inum, kind, is_content) = (event.inum, event.kind, event.is_content);
            let checked = self.check(inum, kind, event.is_second_link, level.listing.inum).await;
            match checked {
                Err(Unfit::NoMemory) => return Err(NoMemory.into()),
                Err(Unfit::Entry(..)) if is_content => {}
                Err(Unfit::Entry(attributes, why)) => self.bare(attributes.as_ref(), kind, &why)?,
                Ok(_) if is_content => {
                    let listing = match read.take() {
                        Some(listing) if listing.inum == inum => listing,
                        _ => Listing::read(self.fs, self.heap, inum).await?,
                    };
                    let path_len = self.path.len();
                    memory::push(&mut levels, Level { listing, next: 0, path_len })?;
                }
                Ok(attributes) if kind == FileKind::Directory => read = Some(self.directory(&attributes).await?),
                Ok(attributes) => self.other(&attributes).await?,
            }
        }
        Ok(())
    }

    /// The attributes of what an entry names, if it is what the entry says.
    async fn check(&self, inum: Inum, kind: FileKind, twice: bool, parent: Inum) -> Result<Attributes, Unfit> {
        let attributes = match self.fs.attributes(inum).await {
            Ok(attributes) => attributes,
            Err(Error::NoMemory) => return Err(Unfit::NoMemory),
            Err(Error::NotFound) => return Err(Unfit::Entry(None, Unreadable::Corrupt(Corruption::Dangling(inum)))),
            Err(error) => return Err(Unfit::Entry(None, Unreadable::Fault(error))),
        };
        let wrong = |corruption| Err(Unfit::Entry(Some(attributes), Unreadable::Corrupt(corruption)));
        if attributes.kind != kind {
            return wrong(Corruption::EntryType { entry: kind, inode: attributes.kind });
        }
        if kind == FileKind::Directory && (twice || attributes.parent != parent || inum == Inum::PFS_ROOT) {
            return wrong(Corruption::DirectoryCycle(inum));
        }
        Ok(attributes)
    }

    /// The line of a directory, and its entries.
    async fn directory(&mut self, attributes: &Attributes) -> Result<Listing, ManifestError> {
        let listing = Listing::read(self.fs, self.heap, attributes.inum).await?;
        self.line.start(&self.path, Some(attributes), attributes.kind)?;
        self.finish(listing.damaged().map(Unreadable::Damaged))?;
        Ok(listing)
    }

    /// The line of anything but a directory.
    async fn other(&mut self, attributes: &Attributes) -> Result<(), ManifestError> {
        self.line.start(&self.path, Some(attributes), attributes.kind)?;
        let error = match attributes.kind {
            FileKind::Regular => {
                self.line.number("size", attributes.size)?;
                self.file(attributes).await?
            }
            FileKind::Symlink => {
                self.line.number("size", attributes.size)?;
                self.target(attributes).await?
            }
            FileKind::CharDevice | FileKind::BlockDevice => {
                self.line.device(attributes.device)?;
                None
            }
            _ => None,
        };
        self.finish(error)
    }

    /// The line of something that can't be read at all.
    fn bare(&mut self, attributes: Option<&Attributes>, kind: FileKind, why: &Unreadable) -> Result<(), ManifestError> {
        self.line.start(&self.path, attributes, kind)?;
        self.line.error(why)?;
        self.emit(true)
    }

    fn finish(&mut self, error: Option<Unreadable>) -> Result<(), ManifestError> {
        if let Some(why) = &error {
            self.line.error(why)?;
        }
        self.emit(error.is_some())
    }

    fn emit(&mut self, is_error: bool) -> Result<(), ManifestError> {
        self.summary.entries += 1;
        self.summary.errors += u64::from(is_error);
        let line = self.line.end()?;
        self.digest.update(line);
        match (self.sink)(line) {
            ControlFlow::Continue(()) => Ok(()),
            ControlFlow::Break(()) => Err(ManifestError::Stopped),
        }
    }

    /// Digests a file's content; what is in the way, if it can't be read whole.
    async fn file(&mut self, attributes: &Attributes) -> Result<Option<Unreadable>, ManifestError> {
        if attributes.size > DIGEST_LIMIT_BYTES.max(self.fs.statistics().total_bytes) {
            return Ok(Some(Unreadable::TooLarge));
        }
        let mut digest = Sha256::new();
        let mut offset = 0;
        while offset < attributes.size {
            match self.fs.read(attributes.inum, offset, &mut self.content).await {
                Ok(0) => break,
                Ok(count) => {
                    digest.update(&self.content[..count]);
                    offset += count as u64;
                    self.summary.content_bytes += count as u64;
                }
                Err(Error::NoMemory) => return Err(NoMemory.into()),
                Err(error) => return Ok(Some(Unreadable::Fault(error))),
            }
        }
        self.line.hex("sha256", &<[u8; 32]>::from(digest.finalize()))?;
        Ok(None)
    }

    async fn target(&mut self, attributes: &Attributes) -> Result<Option<Unreadable>, ManifestError> {
        match self.fs.read_link(attributes.inum, &mut self.content).await {
            Ok(length) if length <= self.content.len() => {
                self.line.name("target", &self.content[..length])?;
                Ok(None)
            }
            Ok(_) => Ok(Some(Unreadable::TooLarge)),
            Err(Error::NoMemory) => Err(NoMemory.into()),
            Err(error) => Ok(Some(Unreadable::Fault(error))),
        }
    }
}

/// Why an entry isn't followed.
enum Unfit {
    NoMemory,
    /// Something is, with what is known of it all the same.
    Entry(Option<Attributes>, Unreadable),
}
