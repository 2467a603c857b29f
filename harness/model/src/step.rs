//! Operations as data, and their effects on a model.

use hammer2_core::random::Random;

use super::{Model, Node};

/// How well the bytes of a write compress.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bytes {
    /// Not at all.
    Noise,
    /// Well.
    Text,
    /// To nothing.
    Zeros,
    /// By a half; the bytes depend on a seed, not on where they are written.
    Seeded(u64),
}

/// One operation. Paths are relative to the root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Makes an empty file.
    Create(String),
    /// Makes a directory.
    Mkdir(String),
    /// Makes a symbolic link to the second path.
    Symlink(String, String),
    /// Writes so many bytes at an offset.
    Write(String, u64, usize, Bytes),
    /// Writes so many bytes behind the end.
    Append(String, usize),
    /// Truncates or extends to a size.
    Truncate(String, u64),
    /// Makes a range a hole: offset and length.
    Punch(String, u64, u64),
    /// Gives the first path's file the second as another name.
    Link(String, String),
    /// Removes a name.
    Unlink(String),
    /// Removes an empty directory.
    Rmdir(String),
    /// Moves the first path to the second.
    Rename(String, String),
    /// Exchanges two names.
    Exchange(String, String),
    /// Sets compression and check method of new data.
    Methods(String, u8, u8),
    /// Makes the filesystem as large as its device.
    Grow,
    /// Makes a file durable.
    Fsync(String),
    /// Makes everything durable.
    Sync,
    /// Takes a snapshot under a label; everything before it is durable then.
    Snapshot(String),
    /// One pass over the freemap.
    Bulkfree,
}

/// The bytes of a write at `offset`: different for each offset, the same in each run.
pub fn bytes(offset: u64, len: usize, kind: Bytes) -> Vec<u8> {
    let mut bytes = vec![0; len];
    match kind {
        Bytes::Zeros => {}
        Bytes::Text => {
            let word = |(index, byte): (usize, &mut u8)| *byte = b'a' + (index / 7 % 5) as u8 + (offset % 11) as u8;
            bytes.iter_mut().enumerate().for_each(word);
        }
        Bytes::Seeded(seed) => {
            Random::new(seed).fill(&mut bytes);
            bytes.chunks_mut(128).step_by(2).for_each(|half| half.fill(seed as u8));
        }
        Bytes::Noise => Random::new(offset ^ ((len as u64) << 32)).fill(&mut bytes),
    }
    bytes
}

impl Step {
    /// True when everything done before is durable once the step is done.
    pub fn commits(&self) -> bool {
        matches!(self, Self::Sync | Self::Fsync(_) | Self::Snapshot(_) | Self::Bulkfree | Self::Grow)
    }

    /// Does the step in the model; returns false, and changes nothing, if it isn't possible.
    pub fn apply(&self, model: &mut Model) -> bool {
        match self {
            Self::Create(path) => model.create(path, Node::File { content: Vec::new(), links: 1 }),
            Self::Mkdir(path) => model.create(path, Node::Directory(Default::default())),
            Self::Symlink(path, target) => model.create(path, Node::Symlink { target: target.clone(), links: 1 }),
            Self::Write(path, offset, len, kind) => {
                let Some(content) = model.content_mut(path) else { return false };
                put(content, *offset as usize, &bytes(*offset, *len, *kind));
                true
            }
            Self::Append(path, len) => {
                let Some(content) = model.content_mut(path) else { return false };
                let end = content.len();
                put(content, end, &bytes(end as u64, *len, Bytes::Noise));
                true
            }
            Self::Truncate(path, size) => {
                let Some(content) = model.content_mut(path) else { return false };
                content.resize(*size as usize, 0);
                true
            }
            Self::Punch(path, offset, len) => {
                let Some(content) = model.content_mut(path) else { return false };
                let start = (*offset as usize).min(content.len());
                let end = ((offset + len) as usize).min(content.len());
                content[start..end].fill(0);
                true
            }
            Self::Link(path, new) => model.link(path, new),
            Self::Unlink(path) => model.unlink(path),
            Self::Rmdir(path) => model.remove_directory(path),
            Self::Rename(path, new) => model.rename(path, new),
            Self::Exchange(path, other) => model.exchange(path, other),
            Self::Methods(path, ..) | Self::Fsync(path) => model.find(path).is_some(),
            Self::Grow => {
                model.has_grown = true;
                true
            }
            Self::Sync | Self::Bulkfree => true,
            Self::Snapshot(label) => model.snapshot(label),
        }
    }
}

/// Writes bytes; writing none changes nothing, even behind the end.
fn put(content: &mut Vec<u8>, offset: usize, data: &[u8]) {
    if !data.is_empty() {
        content.resize(content.len().max(offset + data.len()), 0);
        content[offset..offset + data.len()].copy_from_slice(data);
    }
}
