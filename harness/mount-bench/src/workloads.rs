//! The work on each mount.

use std::fs::{self, File, OpenOptions};
use std::hint::black_box;
use std::io::{self, Read, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use rustix::fs::{Advice, Timespec, Timestamps};

use crate::row::Row;

const BLOCK_BYTES: u64 = 64 << 10;
const PIECE_BYTES: usize = 1 << 20;
const PAGE_BYTES: usize = 4096;

/// A mounted filesystem that is measured.
pub(crate) trait Subject {
    /// The directory that it is mounted on.
    fn directory(&self) -> PathBuf;

    /// Makes everything cold by mounting anew, as far as possible.
    fn remount(&mut self) -> io::Result<()>;

    /// Drops a file from the kernel's cache.
    fn cool(&mut self, file: &Path) -> io::Result<()>;

    /// Does the work of a row, and notes its cost.
    fn measure(&mut self, row: Row, work: &mut dyn FnMut() -> io::Result<()>) -> io::Result<()>;
}

/// The amounts of work.
pub(crate) struct Scale {
    pub(crate) stream_bytes: u64,
    pub(crate) random_bytes: u64,
    pub(crate) random_operations: u64,
    /// Reads of cached content; 0 leaves all warm rows out.
    pub(crate) warm_reads: u64,
    /// Writes with an fsync each; 0 leaves the row out.
    pub(crate) fsyncs: u64,
    pub(crate) files: u64,
    /// Directories of the unpacked tree, in which each has as many files.
    pub(crate) directories: u64,
}

impl Scale {
    /// How many operations a row has: blocks of 64 KiB in streams, entries in listings.
    pub(crate) fn operations(&self, row: Row) -> u64 {
        match row {
            Row::SequentialWrite | Row::SequentialRead => self.stream_bytes / BLOCK_BYTES,
            Row::WarmRead => self.warm_reads,
            Row::RandomRead | Row::RandomWrite => self.random_operations,
            Row::Fsync => self.fsyncs,
            Row::Create | Row::Stat | Row::WarmStat | Row::ReadDir | Row::Unlink | Row::Untar => self.files,
        }
    }

    /// Does everything; each row is measured by itself.
    pub(crate) fn all(&self, subject: &mut dyn Subject) -> io::Result<()> {
        let root = subject.directory();
        let (stream, random, files) = (root.join("stream"), root.join("random"), root.join("files"));
        let content = noise(PIECE_BYTES);
        subject.measure(Row::SequentialWrite, &mut || self.write_stream(&stream, &content))?;
        subject.cool(&stream)?;
        subject.measure(Row::SequentialRead, &mut || read_stream(&stream))?;
        if self.warm_reads > 0 {
            let pages = Pages { count: self.warm_reads, file_bytes: self.stream_bytes };
            subject.measure(Row::WarmRead, &mut || pages.read(&stream))?;
        }
        fs::remove_file(&stream)?;
        fs::write(&random, noise(self.random_bytes as usize))?;
        let pages = Pages { count: self.random_operations, file_bytes: self.random_bytes };
        subject.cool(&random)?;
        subject.measure(Row::RandomRead, &mut || pages.read(&random))?;
        subject.cool(&random)?;
        subject.measure(Row::RandomWrite, &mut || pages.write(&random, &content))?;
        if self.fsyncs > 0 {
            subject.measure(Row::Fsync, &mut || self.write_durably(&random, &content))?;
        }
        fs::create_dir(&files)?;
        subject.measure(Row::Create, &mut || self.each(&files, |path| File::create(path).map(drop)))?;
        subject.remount()?;
        subject.measure(Row::Stat, &mut || self.each(&files, |path| fs::metadata(path).map(drop)))?;
        if self.warm_reads > 0 {
            subject.measure(Row::WarmStat, &mut || self.each(&files, |path| fs::metadata(path).map(drop)))?;
        }
        subject.remount()?;
        subject.measure(Row::ReadDir, &mut || self.list(&files))?;
        subject.measure(Row::Unlink, &mut || self.each(&files, |path| fs::remove_file(path)))?;
        subject.measure(Row::Untar, &mut || self.untar(&root, &content))
    }

    fn write_stream(&self, path: &Path, content: &[u8]) -> io::Result<()> {
        let mut file = File::create(path)?;
        for _ in 0..self.stream_bytes / PIECE_BYTES as u64 {
            file.write_all(content)?;
        }
        file.sync_all()
    }

    fn write_durably(&self, path: &Path, content: &[u8]) -> io::Result<()> {
        let file = OpenOptions::new().write(true).open(path)?;
        for page in 0..self.fsyncs {
            file.write_all_at(&content[..PAGE_BYTES], page * PAGE_BYTES as u64)?;
            file.sync_all()?;
        }
        Ok(())
    }

    fn each(&self, directory: &Path, work: impl Fn(&Path) -> io::Result<()>) -> io::Result<()> {
        (0..self.files).try_for_each(|number| work(&directory.join(format!("file number {number}"))))
    }

    fn list(&self, directory: &Path) -> io::Result<()> {
        let mut count = 0;
        for entry in fs::read_dir(directory)? {
            entry?;
            count += 1;
        }
        if count == self.files { Ok(()) } else { Err(io::Error::other(format!("{count} files are listed"))) }
    }

    /// The work of tar for a source tree: directories, files of some KiB, times and modes.
    fn untar(&self, root: &Path, content: &[u8]) -> io::Result<()> {
        let time = Timespec { tv_sec: 1_700_000_000, tv_nsec: 0 };
        for directory in 0..self.directories {
            let path = root.join(format!("tree{directory}"));
            fs::create_dir(&path)?;
            for number in 0..self.files / self.directories {
                let mut file = File::create(path.join(format!("source{number}.rs")))?;
                let bytes = 200 + (directory * 7919 + number * 997) % 12_000;
                file.write_all(&content[..bytes as usize])?;
                rustix::fs::futimens(&file, &Timestamps { last_access: time, last_modification: time })?;
                rustix::fs::fchmod(&file, 0o640.into())?;
            }
        }
        Ok(())
    }
}

/// Random pages of a file.
struct Pages {
    count: u64,
    file_bytes: u64,
}

impl Pages {
    fn read(&self, path: &Path) -> io::Result<()> {
        let file = File::open(path)?;
        let mut page = [0; PAGE_BYTES];
        self.each(&file, |at| file.read_exact_at(&mut page, at))?;
        black_box(&page);
        Ok(())
    }

    fn write(&self, path: &Path, content: &[u8]) -> io::Result<()> {
        let file = OpenOptions::new().read(true).write(true).open(path)?;
        self.each(&file, |at| file.write_all_at(&content[..PAGE_BYTES], at))?;
        file.sync_all()
    }

    fn each(&self, file: &File, mut work: impl FnMut(u64) -> io::Result<()>) -> io::Result<()> {
        rustix::fs::fadvise(file, 0, None, Advice::Random)?;
        let mut state = 7u64;
        for _ in 0..self.count {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            work((state >> 33) % (self.file_bytes / PAGE_BYTES as u64) * PAGE_BYTES as u64)?;
        }
        Ok(())
    }
}

/// Text like sources, half of it noise: it compresses by about a half.
fn noise(bytes: usize) -> Vec<u8> {
    let mut state = 1u64;
    let next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        if state >> 40 & 1 == 0 { (state >> 56) as u8 } else { b' ' }
    };
    std::iter::repeat_with(next).take(bytes).collect()
}

fn read_stream(path: &Path) -> io::Result<()> {
    let mut piece = vec![0; PIECE_BYTES];
    let mut file = File::open(path)?;
    while file.read(&mut piece)? > 0 {}
    black_box(&piece);
    Ok(())
}
