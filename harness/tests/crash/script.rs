//! Steps of workloads, done on a filesystem and on the model of it.

use hammer2_core::fs::{Error, FileSystem, NewAttributes, NewFile};
use hammer2_core::media::FileKind;

use crate::model::{Model, Node, split};
use crate::volume::Random;

/// How well the bytes of a write compress.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Bytes {
    Noise,
    Text,
    Zeros,
}

/// One operation. Paths are relative to the root.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    Create(String),
    Mkdir(String),
    Symlink(String, String),
    Write(String, u64, usize, Bytes),
    Append(String, usize),
    Truncate(String, u64),
    Punch(String, u64, u64),
    Link(String, String),
    Unlink(String),
    Rmdir(String),
    Rename(String, String),
    /// Compression and check method of new data.
    Methods(String, u8, u8),
    /// Make the filesystem as large as its device.
    Grow,
    Sync,
}

/// The bytes a write at `offset` writes: different for each, the same in each run.
fn bytes(offset: u64, len: usize, kind: Bytes) -> Vec<u8> {
    let mut random = Random(offset ^ (len as u64) << 32);
    match kind {
        Bytes::Zeros => vec![0; len],
        Bytes::Text => (0..len).map(|index| b'a' + (index / 7 % 5) as u8 + (offset % 11) as u8).collect(),
        Bytes::Noise => {
            let mut bytes: Vec<u8> = (0..len.div_ceil(8)).flat_map(|_| random.next().to_le_bytes()).collect();
            bytes.truncate(len);
            bytes
        }
    }
}

impl Step {
    /// True when all that was done before is durable, too, once it is done.
    pub(crate) fn commits(&self) -> bool {
        matches!(self, Step::Sync | Step::Grow)
    }

    /// Does the step in the model; false when it isn't possible, and then nothing was done.
    pub(crate) fn apply(&self, model: &mut Model) -> bool {
        match self {
            Step::Create(path) => model.create(path, Node::File { content: Vec::new(), links: 1 }),
            Step::Mkdir(path) => model.create(path, Node::Directory(Default::default())),
            Step::Symlink(path, target) => model.create(path, Node::Symlink { target: target.clone(), links: 1 }),
            Step::Write(path, offset, len, kind) => {
                let Some(content) = model.content_mut(path) else { return false };
                put(content, *offset as usize, &bytes(*offset, *len, *kind));
                true
            }
            Step::Append(path, len) => {
                let Some(content) = model.content_mut(path) else { return false };
                let end = content.len();
                put(content, end, &bytes(end as u64, *len, Bytes::Noise));
                true
            }
            Step::Truncate(path, size) => {
                let Some(content) = model.content_mut(path) else { return false };
                content.resize(*size as usize, 0);
                true
            }
            Step::Punch(path, offset, len) => {
                let Some(content) = model.content_mut(path) else { return false };
                let start = (*offset as usize).min(content.len());
                let end = ((offset + len) as usize).min(content.len());
                content[start..end].fill(0);
                true
            }
            Step::Link(path, new) => model.link(path, new),
            Step::Unlink(path) => model.unlink(path),
            Step::Rmdir(path) => model.remove_directory(path),
            Step::Rename(path, new) => model.rename(path, new),
            Step::Methods(path, ..) => model.find(path).is_some(),
            Step::Grow => {
                model.has_grown = true;
                true
            }
            Step::Sync => true,
        }
    }

    /// Does the step on a filesystem that is as the model says.
    pub(crate) async fn run(&self, fs: &FileSystem, model: &Model) -> Result<(), Error> {
        let create = async |path: &str, new: NewFile<'_>| {
            let (directory, name) = split(path);
            let directory = fs.resolve(directory.as_bytes()).await?;
            fs.create(directory, name.as_bytes(), &new).await.map(drop)
        };
        match self {
            Step::Create(path) => create(path, NewFile::new(FileKind::Regular, 0o644)).await,
            Step::Mkdir(path) => create(path, NewFile::new(FileKind::Directory, 0o755)).await,
            Step::Symlink(path, target) => {
                create(path, NewFile { target: target.as_bytes(), ..NewFile::new(FileKind::Symlink, 0o777) }).await
            }
            Step::Write(path, offset, len, kind) => {
                fs.write(fs.resolve(path.as_bytes()).await?, *offset, &bytes(*offset, *len, *kind)).await
            }
            Step::Append(path, len) => {
                let file = fs.resolve(path.as_bytes()).await?;
                let end = model.content(path).map_or(0, Vec::len) as u64;
                fs.write(file, end, &bytes(end, *len, Bytes::Noise)).await
            }
            Step::Truncate(path, size) => fs.truncate(fs.resolve(path.as_bytes()).await?, *size).await,
            Step::Punch(path, offset, len) => fs.punch(fs.resolve(path.as_bytes()).await?, *offset, *len).await,
            Step::Link(path, new) => {
                let (directory, name) = split(new);
                let file = fs.resolve(path.as_bytes()).await?;
                fs.link(file, fs.resolve(directory.as_bytes()).await?, name.as_bytes()).await
            }
            Step::Unlink(path) => {
                let (directory, name) = split(path);
                fs.unlink(fs.resolve(directory.as_bytes()).await?, name.as_bytes()).await
            }
            Step::Rmdir(path) => {
                let (directory, name) = split(path);
                fs.remove_directory(fs.resolve(directory.as_bytes()).await?, name.as_bytes()).await
            }
            Step::Rename(path, new) => {
                let ((from, name), (to, new_name)) = (split(path), split(new));
                let (from, to) = (fs.resolve(from.as_bytes()).await?, fs.resolve(to.as_bytes()).await?);
                fs.rename(from, name.as_bytes(), to, new_name.as_bytes()).await
            }
            Step::Methods(path, compression, check) => {
                let new = NewAttributes {
                    comp_algo: Some(*compression),
                    check_algo: Some(*check),
                    ..NewAttributes::default()
                };
                fs.set_attributes(fs.resolve(path.as_bytes()).await?, &new).await
            }
            Step::Grow => fs.grow(None).await.map(drop),
            Step::Sync => fs.sync().await,
        }
    }
}

fn put(content: &mut Vec<u8>, offset: usize, data: &[u8]) {
    content.resize(content.len().max(offset + data.len()), 0);
    content[offset..offset + data.len()].copy_from_slice(data);
}
