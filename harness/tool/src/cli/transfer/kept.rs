//! The received part of an unfinished stream, kept in a file, from which the stream goes on.

use std::fs::{self, File};
use std::io::{self, BufReader, ErrorKind, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use super::super::Failure;
use super::stream::{CODE_BYTES, FIRST_BYTES, HEAD_BYTES, Mark, code, is_begin_so_far, payload_bytes};

/// The file.
pub(super) struct Kept {
    path: PathBuf,
    file: File,
    /// Up to here it holds whole records.
    pub(super) mark: Mark,
    /// Bytes of it that are still to be read.
    unread: u64,
}

impl Kept {
    /// Opens the file, and makes it when missing. Bytes behind the last whole record are cut off.
    pub(super) fn open(path: &Path) -> Result<Self, Failure> {
        let failed = |error: io::Error| Failure::failed(format_args!("{}: {error}", path.display()));
        let file = File::options().read(true).write(true).create(true).truncate(false).open(path).map_err(failed)?;
        file.try_lock().map_err(|error| match error {
            fs::TryLockError::WouldBlock => {
                Failure::failed(format_args!("{}: another `receive` keeps a stream in it", path.display()))
            }
            fs::TryLockError::Error(error) => failed(error),
        })?;
        let mark = whole_records(&file).map_err(failed)?;
        if mark == Mark::default() && !may_begin_stream(&file).map_err(failed)? {
            return Err(Failure::unusable(format_args!(
                "{}: holds no stream, and isn't empty: name another file, or a new one",
                path.display()
            )));
        }
        file.set_len(mark.bytes).map_err(failed)?;
        let mut kept = Self { path: path.to_owned(), file, mark, unread: mark.bytes };
        kept.file.seek(SeekFrom::Start(0)).map_err(failed)?;
        Ok(kept)
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Empties the file: the stream begins anew.
    pub(super) fn restart(&mut self) -> io::Result<()> {
        self.file.set_len(0)?;
        self.file.seek(SeekFrom::Start(0))?;
        (self.mark, self.unread) = (Mark::default(), 0);
        Ok(())
    }

    /// The kept bytes, a piece at a time; empty at their end.
    pub(super) fn read(&mut self, most: usize) -> io::Result<Vec<u8>> {
        let mut piece = vec![0; (self.unread as usize).min(most)];
        self.file.read_exact(&mut piece)?;
        self.unread -= piece.len() as u64;
        Ok(piece)
    }

    /// Appends new bytes.
    pub(super) fn add(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes)
    }

    /// Cuts off everything behind a place, and makes the rest durable.
    pub(super) fn cut(&self, mark: Mark) -> io::Result<()> {
        self.file.set_len(mark.bytes)?;
        self.file.sync_all()
    }

    /// Removes the file: the stream was received to its end.
    pub(super) fn remove(self) -> io::Result<()> {
        match fs::remove_file(&self.path) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }
}

/// True for an empty file, and for one that holds the beginning of a first record, however little of it.
fn may_begin_stream(mut file: &File) -> io::Result<bool> {
    let mut first = Vec::new();
    file.seek(SeekFrom::Start(0))?;
    file.take(FIRST_BYTES as u64).read_to_end(&mut first)?;
    Ok(is_begin_so_far(&first))
}

/// Where the last whole record ends.
fn whole_records(file: &File) -> io::Result<Mark> {
    let mut reader = BufReader::new(file);
    let mut mark = Mark::default();
    loop {
        let mut head = [0; HEAD_BYTES];
        let Some(payload_bytes) = filled(&mut reader, &mut head)?.then(|| payload_bytes(&head)).flatten() else {
            return Ok(mark);
        };
        let mut payload = vec![0; payload_bytes];
        let mut stored = [0; CODE_BYTES];
        if !filled(&mut reader, &mut payload)? || !filled(&mut reader, &mut stored)? {
            return Ok(mark);
        }
        let code = code(mark.code, &head, &payload);
        if stored != code.to_le_bytes() {
            return Ok(mark);
        }
        mark = Mark { bytes: mark.bytes + (HEAD_BYTES + payload_bytes + CODE_BYTES) as u64, code };
    }
}

/// Fills a buffer; false when the file ends before.
fn filled(from: &mut impl Read, buffer: &mut [u8]) -> io::Result<bool> {
    match from.read_exact(buffer) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}
