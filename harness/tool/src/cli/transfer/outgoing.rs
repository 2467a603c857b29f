//! A stream on its way out.

use sha2::{Digest, Sha256};

use super::super::Failure;
use super::super::output::Output;
use super::stream::{Mark, Record, code, head};

/// A stream that is written to standard output.
pub(super) struct Outgoing<'o> {
    output: &'o mut Output,
    code: u64,
    digest: Sha256,
    pub(super) bytes: u64,
    /// The receiver has the stream up to here.
    from: Mark,
}

impl<'o> Outgoing<'o> {
    pub(super) fn new(output: &'o mut Output, from: Mark) -> Self {
        Self { output, code: 0, digest: Sha256::new(), bytes: 0, from }
    }

    pub(super) fn put(&mut self, record: &Record) -> Result<(), Failure> {
        let payload = record.payload();
        let head = head(record.kind(), payload.len());
        let is_sent = self.bytes < self.from.bytes;
        self.code = code(self.code, &head, &payload);
        for part in [&head[..], &payload, &self.code.to_le_bytes()] {
            self.digest.update(part);
            if !is_sent {
                self.output.bytes(part)?;
            }
            self.bytes += part.len() as u64;
        }
        let reaches = is_sent && self.bytes >= self.from.bytes;
        if reaches && (Mark { bytes: self.bytes, code: self.code }) != self.from {
            return Err(self.other_beginning());
        }
        Ok(())
    }

    fn other_beginning(&self) -> Failure {
        Failure::unusable(format_args!(
            "what was received, {} bytes, isn't the beginning of this stream: it was another PFS, another FROM, or it was \
             changed since; send all of it (a snapshot never changes)",
            self.from.bytes
        ))
    }

    pub(super) fn end(mut self) -> Result<(), Failure> {
        let digest = self.digest.clone().finalize().into();
        self.put(&Record::End { digest })?;
        if self.bytes < self.from.bytes {
            return Err(self.other_beginning());
        }
        self.output.finish()
    }
}
