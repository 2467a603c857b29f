//! Operations by path, as data, and what they do to a model.

use rand_xoshiro::SplitMix64;
use rand_xoshiro::rand_core::{Rng as _, SeedableRng as _};

use crate::{Change, Model, New, Number, split};

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
    /// Gives the second path's file, from its offset on, so many bytes of the first's, from its offset on. What can be shared of
    /// that is.
    Clone(String, u64, String, u64, u64),
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
            SplitMix64::seed_from_u64(seed).fill_bytes(&mut bytes);
            bytes.chunks_mut(128).step_by(2).for_each(|half| half.fill(seed as u8));
        }
        Bytes::Noise => SplitMix64::seed_from_u64(offset ^ ((len as u64) << 32)).fill_bytes(&mut bytes),
    }
    bytes
}

impl Step {
    /// True when everything done before is durable once the step is done.
    pub fn commits(&self) -> bool {
        matches!(self, Self::Sync | Self::Fsync(_) | Self::Snapshot(_) | Self::Bulkfree | Self::Grow)
    }

    /// What the step is in a state: none for a step of another kind, or one whose paths lead nowhere.
    fn change(&self, model: &Model) -> Option<Change> {
        let create = |path: &str, new: New| {
            let (directory, name) = place(model, path)?;
            Some(Change::Create { directory, name, new })
        };
        match self {
            Self::Create(path) => create(path, New::Regular),
            Self::Mkdir(path) => create(path, New::Directory),
            Self::Symlink(path, target) => create(path, New::Symlink(target.clone())),
            Self::Write(path, offset, len, kind) => {
                Some(Change::Write { file: model.find(path)?, offset: *offset, data: bytes(*offset, *len, *kind) })
            }
            Self::Append(path, len) => {
                let file = model.find(path)?;
                let offset = model.content_of(file)?.len() as u64;
                Some(Change::Write { file, offset, data: bytes(offset, *len, Bytes::Noise) })
            }
            Self::Truncate(path, size) => Some(Change::Truncate { file: model.find(path)?, size: *size }),
            Self::Punch(path, offset, bytes) => {
                Some(Change::Punch { file: model.find(path)?, offset: *offset, bytes: *bytes })
            }
            Self::Clone(from, offset, to, to_offset, bytes) => Some(Change::Clone {
                from: model.find(from)?,
                offset: *offset,
                to: model.find(to)?,
                to_offset: *to_offset,
                bytes: *bytes,
            }),
            Self::Link(path, new) => {
                let (directory, name) = place(model, new)?;
                Some(Change::Link { file: model.find(path)?, directory, name })
            }
            Self::Unlink(path) => place(model, path).map(|(directory, name)| Change::Unlink { directory, name }),
            Self::Rmdir(path) => {
                place(model, path).map(|(directory, name)| Change::RemoveDirectory { directory, name })
            }
            Self::Rename(path, new) => {
                let ((from, name), (to, new_name)) = (place(model, path)?, place(model, new)?);
                Some(Change::Rename { from, name, to, new_name })
            }
            Self::Exchange(path, other) => {
                let ((first, name), (second, other)) = (place(model, path)?, place(model, other)?);
                Some(Change::Exchange { first, name, second, other })
            }
            Self::Methods(..) | Self::Grow | Self::Fsync(_) | Self::Sync | Self::Snapshot(_) | Self::Bulkfree => None,
        }
    }

    /// Does the step in the model; false when it isn't possible, and then nothing was done.
    pub fn apply(&self, model: &mut Model) -> bool {
        match self {
            Self::Methods(path, ..) | Self::Fsync(path) => model.find(path).is_some(),
            Self::Grow => {
                model.has_grown = true;
                true
            }
            Self::Sync | Self::Bulkfree => true,
            Self::Snapshot(label) => model.snapshot(label),
            _ => self.change(model).is_some_and(|change| model.make(change, None)),
        }
    }
}

/// The directory that a path's last name is in, and that name.
fn place(model: &Model, path: &str) -> Option<(Number, String)> {
    let (directory, name) = split(path);
    model.find(directory).map(|directory| (directory, name.to_owned()))
}
