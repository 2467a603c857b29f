//! The stream: records, each with a check code that covers all before it (docs/stream.md).

use std::io;

use hammer2_core::media::check::xxhash64;
use hammer2_core::media::inode::{EMBEDDED_BYTES, INODE_META_BYTES};
use hammer2_core::media::{InodeMeta, Inum, Key, KeyRange, Methods, ModifyTid, Uuid};
use sha2::{Digest, Sha256};
use zerocopy::{FromBytes, IntoBytes};

use super::super::Failure;
use super::super::output::Output;
use super::super::standard_input::StandardInput;
use super::kept::{Kept, Mark};

const MAGIC: &[u8; 8] = b"H2STREAM";
const VERSION: u32 = 1;
/// A block of the largest size, and what is said of it.
const MOST_PAYLOAD_BYTES: usize = (64 << 10) + 1024;
pub(super) const HEAD_BYTES: usize = 5;
pub(super) const CODE_BYTES: usize = 8;
pub(super) const CHECK_BYTES: usize = 64;

/// A state of a PFS: which, and after which operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct State {
    pub(super) clid: Uuid,
    pub(super) tid: ModifyTid,
}

impl State {
    /// What a PFS notes that received this state as its own operation `own`: never 0.
    pub(super) fn mark(&self, own: ModifyTid) -> u64 {
        let bytes = [&self.clid.0[..], &self.tid.0.to_le_bytes(), &own.0.to_le_bytes()].concat();
        xxhash64(&bytes).max(1)
    }
}

/// A record of the stream.
pub(super) enum Record {
    /// What the stream makes of what.
    Begin { state: State, base: Option<State>, label: Vec<u8> },
    /// An inode that changed; what is below it follows, up to `EndInode`.
    Inode { methods: Methods, meta: Box<InodeMeta>, content: Option<Box<[u8; EMBEDDED_BYTES]>> },
    /// All below the inode was said.
    EndInode,
    /// Among these keys nothing changed.
    Unchanged(KeyRange),
    /// What is at this key didn't change.
    Same(Key),
    /// A directory entry.
    Entry { key: Key, methods: Methods, inum: Inum, kind: u8, name: Vec<u8> },
    /// A file block, as it is stored.
    Block { key: Key, methods: Methods, check: Box<[u8; CHECK_BYTES]>, bytes: Vec<u8> },
    /// The root, behind all that is below it.
    Root { meta: Box<InodeMeta> },
    /// The digest of all before.
    End { digest: [u8; 32] },
}

impl Record {
    fn kind(&self) -> u8 {
        match self {
            Self::Begin { .. } => 1,
            Self::Inode { .. } => 2,
            Self::EndInode => 3,
            Self::Unchanged(_) => 4,
            Self::Same(_) => 5,
            Self::Entry { .. } => 6,
            Self::Block { .. } => 7,
            Self::Root { .. } => 8,
            Self::End { .. } => 9,
        }
    }

    fn payload(&self) -> Vec<u8> {
        let number = |number: u64| number.to_le_bytes();
        match self {
            Self::Begin { state, base, label } => {
                let of = |state: &State| [&state.clid.0[..], &number(state.tid.0)].concat();
                let base_bytes = base.as_ref().map_or(vec![0; 24], of);
                let flag = [u8::from(base.is_some())];
                [&MAGIC[..], &VERSION.to_le_bytes(), &of(state), &flag, &base_bytes, label].concat()
            }
            Self::Inode { methods, meta, content } => {
                let content = content.as_ref().map_or(&[][..], |content| &content[..]);
                [&[methods.0], meta.as_bytes(), content].concat()
            }
            Self::EndInode => vec![],
            Self::Unchanged(range) => [number(range.first.0), number(range.last.0)].concat(),
            Self::Same(key) => number(key.0).to_vec(),
            Self::Entry { key, methods, inum, kind, name } => {
                [&number(key.0)[..], &[methods.0], &number(inum.0), &[*kind], name].concat()
            }
            Self::Block { key, methods, check, bytes } => {
                [&number(key.0)[..], &[methods.0], &check[..], bytes].concat()
            }
            Self::Root { meta } => meta.as_bytes().to_vec(),
            Self::End { digest } => digest.to_vec(),
        }
    }

    fn read(kind: u8, payload: &[u8]) -> Option<Self> {
        let mut rest = payload;
        let mut take = |count: usize| {
            let (taken, left) = rest.split_at_checked(count)?;
            rest = left;
            Some(taken)
        };
        let number = |bytes: &[u8]| bytes.first_chunk().map(|bytes| u64::from_le_bytes(*bytes));
        let meta = |bytes: &[u8]| InodeMeta::read_from_bytes(bytes).ok().map(Box::new);
        let record = match kind {
            1 => {
                (take(8)? == MAGIC).then_some(())?;
                (take(4)? == VERSION.to_le_bytes()).then_some(())?;
                let mut state =
                    || Some(State { clid: Uuid(*take(16)?.first_chunk()?), tid: ModifyTid(number(take(8)?)?) });
                let own = state()?;
                let flag = take(1)?[0];
                let base = State { clid: Uuid(*take(16)?.first_chunk()?), tid: ModifyTid(number(take(8)?)?) };
                return Some(Self::Begin { state: own, base: (flag == 1).then_some(base), label: rest.to_vec() });
            }
            2 => {
                let (methods, meta) = (Methods(take(1)?[0]), meta(take(INODE_META_BYTES)?)?);
                let content = if rest.is_empty() { None } else { Some(Box::new(*rest.first_chunk()?)) };
                return Some(Self::Inode { methods, meta, content });
            }
            3 => Self::EndInode,
            4 => Self::Unchanged(KeyRange { first: Key(number(take(8)?)?), last: Key(number(take(8)?)?) }),
            5 => Self::Same(Key(number(take(8)?)?)),
            6 => {
                let (key, methods) = (Key(number(take(8)?)?), Methods(take(1)?[0]));
                let (inum, kind) = (Inum(number(take(8)?)?), take(1)?[0]);
                return Some(Self::Entry { key, methods, inum, kind, name: rest.to_vec() });
            }
            7 => {
                let (key, methods) = (Key(number(take(8)?)?), Methods(take(1)?[0]));
                let check = Box::new(*take(CHECK_BYTES)?.first_chunk()?);
                return Some(Self::Block { key, methods, check, bytes: rest.to_vec() });
            }
            8 => Self::Root { meta: meta(take(INODE_META_BYTES)?)? },
            9 => Self::End { digest: *take(32)?.first_chunk()? },
            _ => return None,
        };
        rest.is_empty().then_some(record)
    }
}

/// The code of a record: it depends on that of the record before.
pub(super) fn code(before: u64, head: &[u8], payload: &[u8]) -> u64 {
    xxhash64(&[&before.to_le_bytes()[..], head, payload].concat())
}

/// Bytes of the payload behind a head; none if no record is so large.
pub(super) fn payload_bytes(head: &[u8]) -> Option<usize> {
    let bytes = u32::from_le_bytes([head[1], head[2], head[3], head[4]]) as usize;
    (bytes <= MOST_PAYLOAD_BYTES).then_some(bytes)
}

/// So many bytes tell the beginning of a stream from everything else.
pub(super) const FIRST_BYTES: usize = HEAD_BYTES + MAGIC.len();

/// True for the beginning of a stream, and not of what follows a place in one.
fn is_begin(bytes: &[u8]) -> bool {
    bytes.len() >= FIRST_BYTES && is_begin_so_far(&bytes[..FIRST_BYTES])
}

/// True for what may become the beginning of a stream.
pub(super) fn is_begin_so_far(bytes: &[u8]) -> bool {
    let payload = bytes.get(HEAD_BYTES..).unwrap_or_default();
    bytes.first().is_none_or(|kind| *kind == 1) && MAGIC.starts_with(payload)
}

fn head(kind: u8, payload_bytes: usize) -> [u8; HEAD_BYTES] {
    let [a, b, c, d] = (payload_bytes as u32).to_le_bytes();
    [kind, a, b, c, d]
}

/// A stream that is written to standard output.
pub(super) struct Outgoing<'o> {
    output: &'o mut Output,
    code: u64,
    digest: Sha256,
    pub(super) bytes: u64,
    /// Up to here the receiver has it.
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

/// A stream that is read from standard input.
pub(super) struct Incoming {
    input: StandardInput,
    /// What came before, and keeps what comes.
    kept: Option<Kept>,
    /// What was read and not used yet.
    buffer: Vec<u8>,
    used: usize,
    code: u64,
    digest: Sha256,
    has_begun: bool,
    pub(super) bytes: u64,
    /// The end of the last record.
    mark: Mark,
    /// What standard input began with, until it is used.
    first: Option<Vec<u8>>,
}

/// Bytes read at a time.
const READ_BYTES: usize = 256 << 10;

impl Incoming {
    pub(super) async fn new(input: StandardInput, mut kept: Option<Kept>) -> Result<Self, Failure> {
        // Whether it goes on or begins anew must be known before anything of it is used.
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

    /// The next record. The stream must go on.
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

    /// The stream was received to its end, and what it says is done.
    pub(super) fn finish(self) -> Result<(), Failure> {
        let Some(kept) = self.kept else { return Ok(()) };
        let failed = of_file(&kept);
        kept.remove().map_err(failed)
    }

    /// More of the stream, which was kept or comes now; nothing at its end.
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

    /// What can be done about a stream that ended, or isn't right.
    fn remedy(&self) -> String {
        match &self.kept {
            // Nobody can do better than to find it there.
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

    /// For what can't be in a stream.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_read_back_as_they_were_written() {
        let state = State { clid: Uuid([7; 16]), tid: ModifyTid(9) };
        let records = [
            Record::Begin { state, base: None, label: b"DATA".to_vec() },
            Record::Begin { state, base: Some(State { tid: ModifyTid(3), ..state }), label: vec![] },
            Record::Inode { methods: Methods(0x32), meta: Box::new(InodeMeta::blank()), content: None },
            Record::Inode {
                methods: Methods(0x32),
                meta: Box::new(InodeMeta::blank()),
                content: Some(Box::new([5; 512])),
            },
            Record::EndInode,
            Record::Unchanged(KeyRange { first: Key(1), last: Key(2) }),
            Record::Same(Key(3)),
            Record::Entry { key: Key(4), methods: Methods(0x30), inum: Inum(5), kind: 2, name: b"name".to_vec() },
            Record::Block { key: Key(6), methods: Methods(0x32), check: Box::new([8; 64]), bytes: vec![9; 1024] },
            Record::Root { meta: Box::new(InodeMeta::blank()) },
            Record::End { digest: [1; 32] },
        ];
        for record in records {
            let payload = record.payload();
            let read = Record::read(record.kind(), &payload).unwrap();
            assert_eq!((read.kind(), read.payload()), (record.kind(), payload));
        }
        assert!(
            Record::read(5, &[0; 9]).is_none() && Record::read(0, &[]).is_none() && Record::read(8, &[0; 3]).is_none()
        );
    }
}
