//! `hammer2 get`: copying a tree out.

use std::collections::{HashMap, HashSet};
use std::fmt::Display;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

use clap::Args;
use hammer2_core::fs::{Attributes, Error, FileSystem, Found, TreeWalk};
use hammer2_core::io::Buffer;
use hammer2_core::media::geometry::FILE_BLOCK_BYTES;
use hammer2_core::media::{FileKind, Inum};

use super::copied::Copied;
use super::failure::complain;
use super::host_tree::HostTree;
use super::output::{Output, Shown};
use super::place::split;
use super::session::{Session, Settings, TOOL_HEAP, path_failure};
use super::target::Target;
use super::{Failure, Outcome, progress};
use crate::admin::link_target;

/// Copy a file, or everything in a directory, out of the filesystem
/// Permissions, times, hard links and holes are kept, owners when run as root. Existing files in the target are never changed,
/// but files are added to directories. Files that can't be read whole are left out, and then the exit status is 1.
#[derive(Args)]
pub(super) struct Get {
    /// Print the result as a JSON object
    #[arg(long)]
    json: bool,
    /// NODE[@LABEL][:/PATH]
    #[arg(value_parser = Target::parser())]
    target: Target,
    /// The directory to copy into, made when missing
    directory: PathBuf,
}

impl Get {
    pub(super) fn run(&self, settings: &Settings, output: &mut Output) -> Result<Outcome, Failure> {
        let mut copied = Copied::default();
        let outcome = self.get(settings, &mut copied)?;
        if self.json {
            output.line(copied.json())?;
        }
        Ok(outcome)
    }

    fn get(&self, settings: &Settings, copied: &mut Copied) -> Result<Outcome, Failure> {
        let session = Session::new(settings);
        session.run(async {
            let (fs, inum) = session.mount_path(&self.target).await?;
            let failed = |error| path_failure(&self.target.path, error);
            let file = fs.attributes(inum).await.map_err(failed)?;
            let host = HostTree::open_or_make(&self.directory)
                .map_err(|error| Failure::unusable(format_args!("{}: {error}", self.directory.display())))?;
            let buffer = Buffer::new(TOOL_HEAP, FILE_BLOCK_BYTES).map_err(Failure::failed)?;
            let mut copy = Copy { fs: &fs, host, buffer, links: HashMap::new(), left_out: HashSet::new(), copied };
            if file.kind == FileKind::Directory {
                return copy.tree(inum).await;
            }
            let name = split(&self.target.path).map(|(_, name)| name);
            match copy.file(name.unwrap_or_default(), &file).await {
                Ok(()) => Ok(Outcome::Good),
                Err(CopyError::Read(error)) => Err(failed(error)),
                Err(CopyError::Write(error)) => Err(Failure::failed(error)),
            }
        })
    }
}

/// Why a file isn't copied.
enum CopyError {
    Read(Error),
    Write(io::Error),
}

impl From<Error> for CopyError {
    fn from(error: Error) -> Self {
        Self::Read(error)
    }
}

impl From<io::Error> for CopyError {
    fn from(error: io::Error) -> Self {
        Self::Write(error)
    }
}

struct Copy<'f> {
    fs: &'f FileSystem,
    host: HostTree,
    buffer: Buffer,
    /// Files with several names, and where the first of them was copied to.
    links: HashMap<Inum, Vec<u8>>,
    /// Files and directories that could not be copied; what is below them isn't mentioned.
    left_out: HashSet<Vec<u8>>,
    copied: &'f mut Copied,
}

impl Copy<'_> {
    async fn tree(&mut self, root: Inum) -> Result<Outcome, Failure> {
        let mut directories = Vec::new();
        let bar = progress::bar("files", self.fs.statistics().inodes);
        let mut walk = TreeWalk::new(TOOL_HEAP, self.fs, root).map_err(Failure::failed)?;
        while let Some(found) = walk.next().await.map_err(Failure::failed)? {
            bar.inc(1);
            if self.is_below_left_out(found.path) {
                continue;
            }
            let error = match self.entry(&found, &mut directories).await {
                Ok(()) => match found.incomplete {
                    Some(error) => format!("entries are missing: {error}"),
                    None => continue,
                },
                Err(CopyError::Read(Error::NoMemory)) => return Err(Failure::failed(Error::NoMemory)),
                Err(CopyError::Write(error)) if is_host_full(&error) => return Err(Failure::failed(error)),
                Err(CopyError::Read(error)) => self.leave_out(&found, error),
                Err(CopyError::Write(error)) => self.leave_out(&found, error),
            };
            bar.suspend(|| complain(&format_args!("{}: {error}", Shown(found.path))));
            self.copied.complaints += 1;
        }
        // From the bottom up: making something in a directory changes its times.
        for (path, attributes) in directories.iter().rev() {
            if let Err(error) = self.host.finish_directory(path, attributes) {
                bar.suspend(|| complain(&format_args!("{}: {error}", Shown(path))));
                self.copied.complaints += 1;
            }
        }
        Ok(self.copied.outcome())
    }

    /// Notes a file that isn't copied, with everything below it.
    fn leave_out(&mut self, found: &Found<'_>, error: impl Display) -> String {
        self.left_out.insert(found.path.to_vec());
        error.to_string()
    }

    fn is_below_left_out(&self, path: &[u8]) -> bool {
        let slashes = path.iter().enumerate().filter(|(_, byte)| **byte == b'/');
        !self.left_out.is_empty() && slashes.into_iter().any(|(slash, _)| self.left_out.contains(&path[..slash]))
    }

    async fn entry(
        &mut self,
        found: &Found<'_>,
        directories: &mut Vec<(Vec<u8>, Attributes)>,
    ) -> Result<(), CopyError> {
        let file = found.attributes(self.fs).await?;
        if file.kind != FileKind::Directory {
            return self.file(found.path, &file).await;
        }
        self.host.make_directory(found.path)?;
        self.copied.files += 1;
        directories.push((found.path.to_vec(), file));
        Ok(())
    }

    /// Copies anything but a directory.
    async fn file(&mut self, path: &[u8], file: &Attributes) -> Result<(), CopyError> {
        if let Some(first) = self.links.get(&file.inum) {
            self.host.make_link(first, path)?;
            self.copied.files += 1;
            return Ok(());
        }
        if file.kind == FileKind::Regular {
            let host = self.host.make_file(path)?;
            if let Err(error) = self.content(&host, file).await {
                self.host.remove_file(path)?;
                return Err(error);
            }
            self.host.finish_file(&host, file)?;
        } else {
            let target = link_target(self.fs, file).await?.unwrap_or_default();
            self.host.make_special(path, file, &target)?;
        }
        self.copied.files += 1;
        if file.links > 1 {
            self.links.insert(file.inum, path.to_vec());
        }
        Ok(())
    }

    /// Copies a file's content. Blocks of zeros become holes.
    async fn content(&mut self, host: &File, file: &Attributes) -> Result<(), CopyError> {
        host.set_len(file.size)?;
        let mut at = 0;
        while at < file.size {
            let count = self.fs.read(file.inum, at, self.buffer.bytes_mut()).await?;
            let bytes = &self.buffer.bytes()[..count];
            let zeros = bytes.iter().all(|byte| *byte == 0);
            if !zeros {
                host.write_all_at(bytes, at)?;
                self.copied.bytes += count as u64;
            }
            at += count as u64;
            if zeros && at < file.size {
                at = match self.fs.seek_data(file.inum, at).await {
                    Err(Error::NoData) => file.size,
                    found => found?,
                };
            }
        }
        Ok(())
    }
}

/// True when nothing more can be written, so that going on makes no sense.
pub(super) fn is_host_full(error: &io::Error) -> bool {
    use io::ErrorKind::{QuotaExceeded, ReadOnlyFilesystem, StorageFull};
    matches!(error.kind(), StorageFull | QuotaExceeded | ReadOnlyFilesystem)
}
