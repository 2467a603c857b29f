//! `hammer2 put`: copying a tree in.

use std::collections::{HashMap, HashSet};
use std::ffi::CString;
use std::fmt::Display;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::vec;

use clap::Args;
use hammer2_core::fs::{Error, FileSystem, NewAttributes, NewFile};
use hammer2_core::io::Buffer;
use hammer2_core::media::geometry::FILE_BLOCK_BYTES;
use hammer2_core::media::{FileKind, Inum};
use indicatif::ProgressBar;

use super::copied::Copied;
use super::failure::complain;
use super::mkdir::make_directories;
use super::output::{Output, Shown};
use super::place::{Place, new_file};
use super::session::{Session, Settings, TOOL_HEAP, path_failure};
use super::source_tree::{HostFile, HostId, SourceDirectory, SourceFile};
use super::standard_input::StandardInput;
use super::target::Target;
use super::{Failure, Outcome, progress};

/// Bytes read at a time: whole file blocks, so that none is written twice.
const READ_BYTES: usize = 4 * FILE_BLOCK_BYTES;
const STDIN: &str = "-";
const STDIN_FILE_MODE: u32 = 0o644;

/// Copy a file, or everything in a directory, into the filesystem
///
/// Permissions, owners, times, hard links and holes are kept, also of the directory itself. Files that exist in the target
/// are replaced, directories are added to. Files that can't be read are named and left out, and then the exit status is 1. When
/// space runs out, bulkfree looks for some; if there is none, the copies so far are kept.
#[derive(Args)]
pub(super) struct Put {
    /// Print the result as a JSON object
    #[arg(long)]
    json: bool,
    /// The directory to copy from, or the file to copy; - copies standard input to a file instead
    #[arg(value_name = "SOURCE")]
    source: PathBuf,
    /// NODE[@LABEL][:/PATH]; for a directory, made when missing. A file is copied into the directory of that name, if there is
    /// one
    #[arg(value_parser = Target::parser())]
    target: Target,
}

impl Put {
    pub(super) fn run(&self, settings: &Settings, output: &mut Output) -> Result<Outcome, Failure> {
        let mut copied = Copied::default();
        let outcome = self.put(&Session::new(settings), &mut copied)?;
        if self.json {
            output.line(copied.json())?;
        }
        Ok(outcome)
    }

    fn put(&self, session: &Session, copied: &mut Copied) -> Result<Outcome, Failure> {
        let unusable = |error| Failure::unusable(format_args!("{}: {error}", self.source.display()));
        if self.source == Path::new(STDIN) {
            return session.change(&self.target, async |fs| copy_stdin(fs, &self.target.path, copied).await);
        }
        if self.source.metadata().is_ok_and(|facts| !facts.is_dir()) {
            return self.put_file(session, copied);
        }
        // The source is opened before the filesystem, so a wrong name changes nothing.
        let source = SourceDirectory::open(&self.source).map_err(unusable)?;
        let facts = source.facts().map_err(unusable)?;
        let names = source.names().map_err(unusable)?.into_iter();
        session.change(&self.target, async |fs| {
            let inum = make_directories(fs, &self.target.path).await?;
            let mut copy = self.copy(fs, copied)?;
            copy.tree(Level { source, facts, inum, names, path_len: 0 }).await?;
            Ok(copy.copied.outcome())
        })
    }

    /// Copies a file that isn't a directory, to the target's path or into the directory there.
    fn put_file(&self, session: &Session, copied: &mut Copied) -> Result<Outcome, Failure> {
        let unusable = |error| Failure::unusable(format_args!("{}: {error}", self.source.display()));
        let above = self.source.parent().filter(|above| !above.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let source = SourceDirectory::open(above).map_err(unusable)?;
        let name = self.source.file_name().unwrap_or_default();
        let name = CString::new(name.as_bytes()).map_err(|error| unusable(error.into()))?;
        let facts = source.facts_of(&name).map_err(unusable)?;
        session.change(&self.target, async |fs| {
            let path = &self.target.path;
            let there = match fs.resolve(path).await {
                Ok(inum) => fs.attributes(inum).await.ok().filter(|there| there.kind == FileKind::Directory),
                Err(_) => None,
            };
            let place = match there {
                Some(directory) => Place { directory: directory.inum, name: name.to_bytes() },
                None => Place::find(fs, path).await?,
            };
            let mut copy = self.copy(fs, copied)?;
            copy.path = place.name.to_vec();
            match copy.file(&source, &name, facts, &place).await {
                Ok(()) => Ok(copy.copied.outcome()),
                Err(error) => Err(copy.failure(&error)),
            }
        })
    }

    /// A copy that begins now.
    fn copy<'f>(&self, fs: &'f FileSystem, copied: &'f mut Copied) -> Result<Copy<'f>, Failure> {
        let images = self.target.images().filter_map(|image| HostFile::at(image).ok()).map(|file| file.id);
        Ok(Copy {
            fs,
            buffer: Buffer::new(TOOL_HEAP, READ_BYTES).map_err(Failure::failed)?,
            images: images.collect(),
            links: HashMap::new(),
            path: Vec::new(),
            bar: progress::byte_counter(),
            copied,
        })
    }
}

/// Why a file isn't copied.
#[derive(Debug, thiserror::Error)]
enum PutError {
    #[error("{0}")]
    Source(#[from] io::Error),
    #[error("{0}")]
    Target(#[from] Error),
    #[error("left out: the target has a directory of this name; `rm -r` removes it")]
    DirectoryInTheWay,
    #[error("left out: the target has a file of this name; `rm` removes it")]
    FileInTheWay,
    #[error("left out: an image can't be copied into itself")]
    Image,
}

impl PutError {
    /// True when going on makes no sense.
    fn is_final(&self) -> bool {
        use Error::{Corrupt, Io, NoMemory, NoSpace, ReadOnly, TooManyOpen};
        matches!(self, Self::Target(NoSpace | NoMemory | TooManyOpen | ReadOnly | Io(_) | Corrupt { .. }))
    }
}

/// A directory on the way down.
struct Level {
    source: SourceDirectory,
    facts: HostFile,
    /// The directory copied to.
    inum: Inum,
    /// Names that are still to be copied.
    names: vec::IntoIter<CString>,
    /// Bytes of its path.
    path_len: usize,
}

struct Copy<'f> {
    fs: &'f FileSystem,
    buffer: Buffer,
    images: HashSet<HostId>,
    /// Files with several names, and their copies.
    links: HashMap<HostId, Inum>,
    /// The file being copied.
    path: Vec<u8>,
    bar: ProgressBar,
    copied: &'f mut Copied,
}

impl Copy<'_> {
    async fn tree(&mut self, root: Level) -> Result<(), Failure> {
        let mut levels = vec![root];
        let mut stopped = Ok(());
        while let Some(level) = levels.last_mut() {
            self.path.truncate(level.path_len);
            let Some(name) = level.names.next().filter(|_| stopped.is_ok()) else {
                // This comes last, as new files in a directory change its times.
                let finished = self.finish(level.inum, &level.facts).await;
                stopped = stopped.and(finished.map_err(|error| self.failure(&error.into())));
                levels.pop();
                continue;
            };
            if !self.path.is_empty() {
                self.path.push(b'/');
            }
            self.path.extend_from_slice(name.to_bytes());
            match self.entry(level, &name).await {
                Ok(below) => levels.extend(below),
                Err(error) if error.is_final() => stopped = Err(self.failure(&error)),
                Err(error) => self.complain(&error),
            }
        }
        stopped
    }

    /// Why everything ends here.
    fn failure(&self, error: &PutError) -> Failure {
        let path = if self.path.is_empty() { b"." } else { &self.path[..] };
        match error {
            PutError::Target(Error::NoSpace) => Failure::failed(format_args!(
                "{}: {error}; all before it is copied: remove files or use a larger volume for the rest",
                Shown(path)
            )),
            _ => Failure::failed(format_args!("{}: {error}", Shown(path))),
        }
    }

    fn complain(&mut self, error: &dyn Display) {
        self.bar.suspend(|| complain(&format_args!("{}: {error}", Shown(&self.path))));
        self.copied.complaints += 1;
    }

    /// Copies a file, or goes into a directory.
    async fn entry(&mut self, level: &Level, name: &CString) -> Result<Option<Level>, PutError> {
        let facts = level.source.facts_of(name)?;
        if !self.bar.is_hidden() {
            self.bar.set_message(format!("{} files", self.copied.files + 1));
        }
        let (directory, target_name) = (level.inum, name.to_bytes());
        if facts.kind == FileKind::Directory {
            let source = level.source.enter(name)?;
            let facts = source.facts()?;
            let names = source.names()?.into_iter();
            let inum = self.directory(directory, target_name, &facts).await?;
            self.copied.files += 1;
            return Ok(Some(Level { source, facts, inum, names, path_len: self.path.len() }));
        }
        let place = Place { directory, name: target_name };
        self.file(&level.source, name, facts, &place).await?;
        Ok(None)
    }

    /// Copies anything but a directory.
    async fn file(
        &mut self,
        source: &SourceDirectory,
        name: &CString,
        facts: HostFile,
        place: &Place<'_>,
    ) -> Result<(), PutError> {
        let Place { directory, name: target_name } = *place;
        if self.images.contains(&facts.id) {
            return Err(PutError::Image);
        }
        if let Some(inum) = self.links.get(&facts.id) {
            self.make_way(directory, target_name, async || self.fs.link(*inum, directory, target_name).await).await?;
            self.copied.files += 1;
            return Ok(());
        }
        let (inum, facts) = match facts.kind {
            FileKind::Regular => {
                let (file, facts) = source.open_file(name)?;
                let inum = self.make(directory, target_name, &new_of(&facts, b"")).await?;
                if let Err(error) = self.content(inum, &file, facts.size).await {
                    // Half a file is worse than none.
                    self.fs.unlink(directory, target_name).await?;
                    return Err(error);
                }
                (inum, facts)
            }
            FileKind::Symlink => {
                let target = source.read_link(name)?;
                (self.make(directory, target_name, &new_of(&facts, target.to_bytes())).await?, facts)
            }
            _ => (self.make(directory, target_name, &new_of(&facts, b"")).await?, facts),
        };
        self.finish(inum, &facts).await?;
        self.copied.files += 1;
        if facts.is_older {
            self.complain(&"the filesystem has no times before 1970; it got 1970");
        }
        if facts.links > 1 {
            self.links.insert(facts.id, inum);
        }
        Ok(())
    }

    /// The directory to copy into: new, or the one that is there.
    async fn directory(&self, above: Inum, name: &[u8], facts: &HostFile) -> Result<Inum, PutError> {
        match self.fs.create(above, name, &new_of(facts, b"")).await {
            Err(Error::Exists) => {}
            made => return Ok(made?),
        }
        let there = self.fs.lookup(above, name).await?;
        match self.fs.attributes(there).await?.kind {
            FileKind::Directory => Ok(there),
            _ => Err(PutError::FileInTheWay),
        }
    }

    async fn make(&self, directory: Inum, name: &[u8], new: &NewFile<'_>) -> Result<Inum, PutError> {
        self.make_way(directory, name, async || self.fs.create(directory, name, new).await).await
    }

    /// Makes something in place of the file that has its name.
    async fn make_way<T>(
        &self,
        directory: Inum,
        name: &[u8],
        make: impl AsyncFn() -> Result<T, Error>,
    ) -> Result<T, PutError> {
        match make().await {
            Err(Error::Exists) => {}
            made => return Ok(made?),
        }
        match self.fs.unlink(directory, name).await {
            Err(Error::IsADirectory) => Err(PutError::DirectoryInTheWay),
            removed => {
                removed?;
                Ok(make().await?)
            }
        }
    }

    /// Copies a file's content; its holes stay holes.
    async fn content(&mut self, inum: Inum, source: &SourceFile, size: u64) -> Result<(), PutError> {
        let mut at = 0;
        while let Some(data) = source.data_after(at)? {
            at = data.start;
            while at < data.end {
                let wanted = (data.end - at).min(READ_BYTES as u64) as usize;
                let count = source.file.read_at(&mut self.buffer.bytes_mut()[..wanted], at)?;
                if count == 0 {
                    return Ok(());
                }
                let data = &self.buffer.bytes()[..count];
                self.fs.write(inum, at, data).await?;
                self.bar.inc(count as u64);
                self.copied.bytes += count as u64;
                at += count as u64;
            }
        }
        // A hole at the end.
        if at < size { Ok(self.fs.truncate(inum, size).await?) } else { Ok(()) }
    }

    /// Sets the attributes that writing changed, or that an existing directory had otherwise.
    async fn finish(&self, inum: Inum, facts: &HostFile) -> Result<(), Error> {
        let new = NewAttributes {
            mode: Some(facts.mode),
            uid: Some(facts.uid),
            gid: Some(facts.gid),
            atime: Some(facts.atime),
            mtime: Some(facts.mtime),
            ..NewAttributes::default()
        };
        self.fs.set_attributes(inum, &new).await
    }
}

fn new_of<'t>(facts: &HostFile, target: &'t [u8]) -> NewFile<'t> {
    let HostFile { kind, mode, uid, gid, device, .. } = *facts;
    NewFile { kind, mode, uid, gid, device, target }
}

/// Copies standard input to a file, which is replaced.
async fn copy_stdin(fs: &FileSystem, path: &[u8], copied: &mut Copied) -> Result<Outcome, Failure> {
    let failed = |error| path_failure(path, error);
    let Place { directory, name } = Place::find(fs, path).await?;
    let new = new_file(FileKind::Regular, STDIN_FILE_MODE);
    let inum = match fs.create(directory, name, &new).await {
        Err(Error::Exists) => {
            let inum = fs.lookup(directory, name).await.map_err(failed)?;
            fs.truncate(inum, 0).await.map_err(failed)?;
            inum
        }
        made => made.map_err(failed)?,
    };
    let bar = progress::byte_counter();
    let (input, mut buffer) = (StandardInput::open(), vec![0; READ_BYTES]);
    let mut at = 0;
    loop {
        buffer.resize(READ_BYTES, 0);
        buffer = input.read(buffer).await.map_err(|error| {
            Failure::failed(format_args!("standard input: {error}; {} is cut off there", Shown(path)))
        })?;
        if buffer.is_empty() {
            copied.files += 1;
            return Ok(Outcome::Good);
        }
        fs.write(inum, at, &buffer).await.map_err(failed)?;
        bar.inc(buffer.len() as u64);
        copied.bytes += buffer.len() as u64;
        at += buffer.len() as u64;
    }
}
