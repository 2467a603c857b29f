//! An incoming stream: checked record by record, and kept if that is wanted.

use std::io;

use sha2::{Digest, Sha256};

use super::super::Failure;
use super::super::standard_input::StandardInput;
use super::kept::Kept;
use super::stream::{CODE_BYTES, HEAD_BYTES, Mark, Record, code, is_begin, payload_bytes};

/// A stream that is read from standard input.
pub(super) struct Incoming {
    input: StandardInput,
    /// The bytes that came before, where the new ones are kept, too.
    kept: Option<Kept>,
    /// Bytes that were read and not used yet.
    buffer: Vec<u8>,
    used: usize,
    code: u64,
    digest: Sha256,
    has_begun: bool,
    pub(super) bytes: u64,
    /// The end of the last record.
    mark: Mark,
    /// The first bytes of standard input, until they are used.
    first: Option<Vec<u8>>,
}

/// Bytes read at a time.
const READ_BYTES: usize = 256 << 10;

impl Incoming {
    pub(super) async fn new(input: StandardInput, mut kept: Option<Kept>) -> Result<Self, Failure> {
        // Before anything is used, it must be known whether the stream goes on or begins anew.
        let first = input.read(vec![0; READ_BYTES]).await.map_err(of_input)?;
        if let Some(kept) = &mut kept {
            let failed = of_file(kept);
            if is_begin(&first) {
                kept.restart().map_err(&failed)?;
            }
        }
        let incoming = Self {
            input,
            kept,
            buffer: vec![],
            used: 0,
            code: 0,
            digest: Sha256::new(),
            has_begun: false,
            bytes: 0,
            mark: Mark::default(),
            first: Some(first),
        };
        Ok(incoming)
    }

    /// The next record; an error if the stream ends.
    pub(super) async fn next(&mut self) -> Result<Record, Failure> {
        let before = self.digest.clone();
        let head = self.take(HEAD_BYTES).await?;
        let payload_bytes = payload_bytes(&head).ok_or_else(|| self.damaged())?;
        let payload = self.take(payload_bytes).await?;
        let stored = self.take(CODE_BYTES).await?;
        self.code = code(self.code, &head, &payload);
        if stored != self.code.to_le_bytes() {
            return Err(self.damaged());
        }
        let record = Record::read(head[0], &payload).ok_or_else(|| self.damaged())?;
        if let Record::End { digest } = &record
            && *digest != <[u8; 32]>::from(before.finalize())
        {
            return Err(self.damaged());
        }
        self.has_begun = true;
        self.mark = Mark { bytes: self.bytes, code: self.code };
        Ok(record)
    }

    /// Called when the stream was received to its end, and applied.
    pub(super) fn finish(self) -> Result<(), Failure> {
        let Some(kept) = self.kept else { return Ok(()) };
        let failed = of_file(&kept);
        kept.remove().map_err(failed)
    }

    /// More bytes of the stream, kept or new; empty at its end.
    async fn more(&mut self) -> Result<Vec<u8>, Failure> {
        if let Some(kept) = &mut self.kept {
            let failed = of_file(kept);
            let before = kept.read(READ_BYTES).map_err(failed)?;
            if !before.is_empty() {
                return Ok(before);
            }
        }
        let more = match self.first.take() {
            Some(first) => first,
            None => self.input.read(vec![0; READ_BYTES]).await.map_err(of_input)?,
        };
        if let Some(kept) = &mut self.kept {
            let failed = of_file(kept);
            kept.add(&more).map_err(failed)?;
        }
        Ok(more)
    }

    /// What can be done about a stream that ended early, or isn't right.
    fn remedy(&self) -> String {
        match &self.kept {
            // If this fails, the next run cuts the file itself.
            Some(kept) => match kept.cut(self.mark) {
                Ok(()) => format!(
                    "what came is kept in {}: send the rest with `--resume {}`, to the same `receive`",
                    kept.path().display(),
                    self.mark
                ),
                Err(error) => format!("and what came can't be kept: {}: {error}", kept.path().display()),
            },
            None => "receive the whole of it".into(),
        }
    }

    async fn take(&mut self, count: usize) -> Result<Vec<u8>, Failure> {
        if self.buffer.len() - self.used < count {
            self.buffer.drain(..self.used);
            self.used = 0;
            while self.buffer.len() < count {
                let more = self.more().await?;
                if more.is_empty() {
                    let bytes = self.bytes + self.buffer.len() as u64;
                    let remedy = self.remedy();
                    return Err(Failure::failed(format_args!(
                        "the stream is cut after {bytes} bytes: nothing was changed; {remedy}"
                    )));
                }
                self.buffer.extend_from_slice(&more);
            }
        }
        let taken = self.buffer[self.used..self.used + count].to_vec();
        self.used += count;
        self.bytes += count as u64;
        self.digest.update(&taken);
        Ok(taken)
    }

    /// The failure for something that can't be in a stream.
    pub(super) fn damaged(&self) -> Failure {
        let what =
            if self.has_begun { "the stream is damaged" } else { "this is no stream of `hammer2 send`, or damaged" };
        let remedy = if self.kept.is_some() { self.remedy() } else { "send it again".into() };
        Failure::failed(format_args!("{what}, before its byte {}: nothing was changed; {remedy}", self.bytes))
    }
}

fn of_input(error: io::Error) -> Failure {
    Failure::failed(format_args!("standard input: {error}"))
}

fn of_file(kept: &Kept) -> impl Fn(io::Error) -> Failure + use<> {
    let path = kept.path().to_owned();
    move |error| Failure::failed(format_args!("{}: {error}", path.display()))
}
