//! `hammer2 tar`: a tree as an archive that every system reads.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::fmt::Display;
use std::io::{self, IsTerminal};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use clap::Args;
use hammer2_core::fs::{Attributes, Error, FileSystem, TreeWalk};
use hammer2_core::io::Buffer;
use hammer2_core::media::geometry::FILE_BLOCK_BYTES;
use hammer2_core::media::{FileKind, Inum, Timestamp};
use indicatif::ProgressBar;
use tar::{Builder, EntryType, Header};

use super::copied::Copied;
use super::failure::complain;
use super::output::{Output, Shown};
use super::place::split;
use super::session::{Session, Settings, TOOL_HEAP, path_failure};
use super::target::Target;
use super::told::object_beside;
use super::{Failure, Outcome, progress};
use crate::admin::link_target;

/// Archives consist of records of this size.
const RECORD_BYTES: u64 = 512;
const MICROSECONDS: u64 = 1_000_000;

/// Write a file, or everything in a directory, to standard output as a tar archive
///
/// Permissions, owners, times to the microsecond, hard and symbolic links, FIFOs and device nodes are kept; holes become zeros.
/// Sockets are left out. Where a file can't be read, zeros stand for what is missing, standard error says so, and the exit
/// status is 1.
#[derive(Args)]
pub(super) struct Tar {
    /// Print the result as a JSON object on standard error, as its last line
    #[arg(long)]
    json: bool,
    /// NODE[@LABEL][:/PATH]
    #[arg(value_parser = Target::parser())]
    target: Target,
}

impl Tar {
    pub(super) fn run(&self, settings: &Settings, output: &mut Output) -> Result<Outcome, Failure> {
        if io::stdout().is_terminal() {
            return Err(Failure::unusable("an archive isn't for a terminal: redirect standard output to a file"));
        }
        let session = Session::new(settings);
        session.run(async {
            let (fs, inum) = session.mount_path(&self.target).await?;
            let failed = |error| path_failure(&self.target.path, error);
            let file = fs.attributes(inum).await.map_err(failed)?;
            let buffer = Buffer::new(TOOL_HEAP, FILE_BLOCK_BYTES).map_err(Failure::failed)?;
            let bar = progress::bar("files", fs.statistics().inodes);
            let mut archive =
                Archive { fs: &fs, output, buffer, bar, links: HashMap::new(), copied: Copied::default() };
            if file.kind == FileKind::Directory {
                archive.tree(inum).await?;
            } else {
                let name = split(&self.target.path).map(|(_, name)| name);
                archive.entry(name.unwrap_or_default(), &file).await?;
            }
            let copied = archive.end()?;
            if self.json {
                object_beside(&copied.json());
            }
            Ok(copied.outcome())
        })
    }
}

struct Archive<'f> {
    fs: &'f FileSystem,
    output: &'f mut Output,
    buffer: Buffer,
    bar: ProgressBar,
    /// Files with several names, and the first of them in the archive.
    links: HashMap<Inum, Vec<u8>>,
    copied: Copied,
}

impl Archive<'_> {
    async fn tree(&mut self, root: Inum) -> Result<(), Failure> {
        let mut walk = TreeWalk::new(TOOL_HEAP, self.fs, root).map_err(Failure::failed)?;
        while let Some(found) = walk.next().await.map_err(Failure::failed)? {
            self.bar.inc(1);
            match found.attributes(self.fs).await {
                Ok(file) => self.entry(found.path, &file).await?,
                Err(error) => self.complain(found.path, &error),
            }
            if let Some(error) = found.incomplete {
                self.complain(found.path, &format_args!("entries are missing: {error}"));
            }
        }
        Ok(())
    }

    /// Reports something that isn't in the archive as it should be.
    fn complain(&mut self, path: &[u8], what: &dyn Display) {
        self.bar.suspend(|| complain(&format_args!("{}: {what}", Shown(path))));
        self.copied.complaints += 1;
    }

    async fn entry(&mut self, path: &[u8], file: &Attributes) -> Result<(), Failure> {
        if let Some(first) = self.links.get(&file.inum) {
            let head = head(path, file, EntryType::Link, Some(first));
            return self.put_head(head);
        }
        let (kind, target) = match file.kind {
            FileKind::Directory => (EntryType::Directory, None),
            FileKind::Regular => (EntryType::Regular, None),
            FileKind::Fifo => (EntryType::Fifo, None),
            FileKind::CharDevice => (EntryType::Char, None),
            FileKind::BlockDevice => (EntryType::Block, None),
            FileKind::Symlink => match link_target(self.fs, file).await {
                Ok(target) => (EntryType::Symlink, Some(target.unwrap_or_default())),
                Err(error) => {
                    self.complain(path, &error);
                    return Ok(());
                }
            },
            FileKind::Socket | FileKind::Whiteout => {
                self.bar.suspend(|| complain(&format_args!("{}: archives hold no such kind of file", Shown(path))));
                return Ok(());
            }
        };
        if file.links > 1 && file.kind != FileKind::Directory {
            self.links.insert(file.inum, path.to_vec());
        }
        self.put_head(head(path, file, kind, target.as_deref()))?;
        if file.kind == FileKind::Regular { self.content(path, file).await } else { Ok(()) }
    }

    fn put_head(&mut self, head: io::Result<Vec<u8>>) -> Result<(), Failure> {
        self.copied.files += 1;
        self.output.bytes(&head.map_err(Failure::failed)?)
    }

    /// Writes exactly as many bytes as the head says, which was written already.
    async fn content(&mut self, path: &[u8], file: &Attributes) -> Result<(), Failure> {
        let mut at = 0;
        while at < file.size {
            let wanted = usize::try_from(file.size - at).map_or(self.buffer.len(), |left| left.min(self.buffer.len()));
            let count = match self.fs.read(file.inum, at, &mut self.buffer.bytes_mut()[..wanted]).await {
                Ok(count) if count > 0 => count,
                Ok(_) => break,
                Err(Error::NoMemory) => return Err(Failure::failed(Error::NoMemory)),
                Err(error) => {
                    self.complain(path, &format_args!("zeros stand for {wanted} bytes at {at}: {error}"));
                    self.buffer.bytes_mut()[..wanted].fill(0);
                    wanted
                }
            };
            self.output.bytes(&self.buffer.bytes()[..count])?;
            self.copied.bytes += count as u64;
            at += count as u64;
        }
        let end = file.size.next_multiple_of(RECORD_BYTES);
        self.zeros(end - at)
    }

    fn zeros(&mut self, mut bytes: u64) -> Result<(), Failure> {
        const ZEROS: [u8; RECORD_BYTES as usize] = [0; RECORD_BYTES as usize];
        while bytes > 0 {
            let count = bytes.min(RECORD_BYTES);
            self.output.bytes(&ZEROS[..count as usize])?;
            bytes -= count;
        }
        Ok(())
    }

    fn end(mut self) -> Result<Copied, Failure> {
        self.bar.finish_and_clear();
        self.zeros(2 * RECORD_BYTES)?;
        Ok(self.copied)
    }
}

/// Everything of an entry except its content. Values that don't fit into the old format's fields precede it in records of the
/// newer formats.
fn head(path: &[u8], file: &Attributes, kind: EntryType, target: Option<&[u8]>) -> io::Result<Vec<u8>> {
    let as_path = |bytes| Path::new(OsStr::from_bytes(bytes)).to_owned();
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(file.mode);
    header.set_uid(file.uid.into());
    header.set_gid(file.gid.into());
    header.set_size(if kind == EntryType::Regular { file.size } else { 0 });
    let Timestamp { microseconds } = file.mtime;
    let (seconds, fraction) = (microseconds / MICROSECONDS, microseconds % MICROSECONDS);
    header.set_mtime(seconds);
    if matches!(kind, EntryType::Char | EntryType::Block) {
        header.set_device_major(file.device.0)?;
        header.set_device_minor(file.device.1)?;
    }
    let mut head = Builder::new(Vec::new());
    if fraction > 0 {
        let mtime = format!("{seconds}.{fraction:06}");
        head.append_pax_extensions([("mtime", mtime.as_bytes())])?;
    }
    match target {
        Some(target) => head.append_link(&mut header, as_path(path), as_path(target))?,
        None => head.append_data(&mut header, as_path(path), io::empty())?,
    }
    Ok(std::mem::take(head.get_mut()))
}
