//! Manifests: everything a filesystem says about its content, as text.
//!
//! A manifest has a line for every file, in the order of paths, each a JSON object. Its digest is the SHA-256 of all lines.
//! It is made here, above the filesystem and without a host, so that a kernel's digest can be compared with a host's.

mod content;
mod line;

pub use content::{ContentError, MOST_HOLE_BYTES};
pub use line::{Line, type_name};

use core::fmt::{self, Write};

use sha2::{Digest as _, Sha256};

use crate::fs::{Error, FileSystem, Found, TreeWalk};
use crate::io::Buffer;
use crate::media::geometry::FILE_BLOCK_BYTES;
use crate::media::{FileKind, Inum};
use crate::memory::{Heap, NoMemory};

/// What making a manifest came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Lines written.
    pub entries: u64,
    /// Lines that contain an error.
    pub bad_entries: u64,
}

/// Why a manifest is not finished.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ManifestError {
    /// Memory ran out.
    #[error(transparent)]
    NoMemory(#[from] NoMemory),
    /// The lines can't be written.
    #[error("the manifest can't be written")]
    Output,
}

impl From<fmt::Error> for ManifestError {
    fn from(_: fmt::Error) -> Self {
        Self::Output
    }
}

/// Writes the manifest of everything below the directory `root` into `out`, a line at a time with its newline. Memory beyond the
/// mount's comes from `heap`.
pub async fn write(heap: Heap, fs: &FileSystem, root: Inum, out: &mut dyn Write) -> Result<Summary, ManifestError> {
    let mut summary = Summary::default();
    let mut buffer = Buffer::new(heap, FILE_BLOCK_BYTES)?;
    let mut walk = TreeWalk::new(heap, fs, root)?;
    while let Some(found) = walk.next().await? {
        summary.entries += 1;
        summary.bad_entries += u64::from(write_line(fs, &found, &mut buffer, out).await?);
    }
    Ok(summary)
}

/// Writes an entry's line; returns true when the line contains an error.
async fn write_line(
    fs: &FileSystem,
    found: &Found<'_>,
    buffer: &mut Buffer,
    out: &mut dyn Write,
) -> Result<bool, ManifestError> {
    let mut line = Line::new(found.path, found.kind);
    let attributes = match found.attributes(fs).await {
        Ok(attributes) => attributes,
        Err(Error::NoMemory) => return Err(NoMemory.into()),
        Err(error) => {
            writeln!(out, "{}", line.with_error(&error))?;
            return Ok(true);
        }
    };
    line.attributes = Some(&attributes);
    if let Some(error) = &found.incomplete {
        writeln!(out, "{}", line.with_error(error))?;
        return Ok(true);
    }
    let content = match attributes.kind {
        FileKind::Regular => content::digest(fs, &attributes, buffer).await.map(|digest| line.sha256 = Some(digest)),
        FileKind::Symlink => content::target(fs, &attributes, buffer).await.map(|target| line.target = Some(target)),
        _ => Ok(()),
    };
    match content {
        Ok(()) => writeln!(out, "{line}")?,
        Err(ContentError::Read(Error::NoMemory)) => return Err(NoMemory.into()),
        Err(error) => {
            writeln!(out, "{}", line.with_error(&error))?;
            return Ok(true);
        }
    }
    Ok(false)
}

/// The digest of a manifest, computed from its lines as they are written.
#[derive(Clone, Default)]
pub struct ManifestDigest(Sha256);

impl ManifestDigest {
    /// The digest, when all lines were written.
    pub fn finish(self) -> [u8; 32] {
        self.0.finalize().into()
    }
}

impl Write for ManifestDigest {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.update(text.as_bytes());
        Ok(())
    }
}

/// Bytes as lower-case hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hex<'a>(pub &'a [u8]);

impl fmt::Display for Hex<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}
