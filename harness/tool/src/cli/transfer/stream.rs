//! The stream: records, each with a check code that covers all before it (docs/stream.md).

use std::fmt;
use std::str::FromStr;

use hammer2_core::media::check::xxhash64;
use hammer2_core::media::inode::{EMBEDDED_BYTES, INODE_META_BYTES};
use hammer2_core::media::{InodeMeta, Inum, Key, KeyRange, Methods, ModifyTid, Uuid};
use zerocopy::{FromBytes, IntoBytes};

const MAGIC: &[u8; 8] = b"H2STREAM";
const VERSION: u32 = 1;
/// A block of the largest size, with its description.
const MOST_PAYLOAD_BYTES: usize = (64 << 10) + 1024;
pub(super) const HEAD_BYTES: usize = 5;
pub(super) const CODE_BYTES: usize = 8;
pub(super) const CHECK_BYTES: usize = 64;

/// A place between two records of a stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Mark {
    /// Bytes before it.
    pub(super) bytes: u64,
    /// The code of the record before it.
    pub(super) code: u64,
}

impl fmt::Display for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{:016x}", self.bytes, self.code)
    }
}

impl FromStr for Mark {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts = text.split_once('-').and_then(|(bytes, code)| {
            Some(Self { bytes: bytes.parse().ok()?, code: u64::from_str_radix(code, 16).ok()? })
        });
        parts.ok_or_else(|| "not what `hammer2 receive --keep FILE --token` prints".to_owned())
    }
}

/// A state of a PFS: which PFS, and after which operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct PfsState {
    pub(super) clid: Uuid,
    pub(super) tid: ModifyTid,
}

impl PfsState {
    /// The number that a PFS notes after receiving this state as its own operation `own`: never 0.
    pub(super) fn mark(&self, own: ModifyTid) -> u64 {
        let bytes = [&self.clid.0[..], &self.tid.0.to_le_bytes(), &own.0.to_le_bytes()].concat();
        xxhash64(&bytes).max(1)
    }
}

/// A record of the stream.
pub(super) enum Record {
    /// The state that the stream makes, and the base that it needs.
    Begin { state: PfsState, base: Option<PfsState>, label: Vec<u8> },
    /// An inode that changed; what is below it follows, up to `EndInode`.
    Inode { methods: Methods, meta: Box<InodeMeta>, content: Option<Box<[u8; EMBEDDED_BYTES]>> },
    /// Everything below the inode was sent.
    EndInode,
    /// Nothing changed among these keys.
    Unchanged(KeyRange),
    /// The element at this key didn't change.
    Same(Key),
    /// A directory entry.
    Entry { key: Key, methods: Methods, inum: Inum, kind: u8, name: Vec<u8> },
    /// A file block, as it is stored.
    Block { key: Key, methods: Methods, check: Box<[u8; CHECK_BYTES]>, bytes: Vec<u8> },
    /// The root, after everything below it.
    Root { meta: Box<InodeMeta> },
    /// The digest of everything before it.
    End { digest: [u8; 32] },
}

impl Record {
    pub(super) fn kind(&self) -> u8 {
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

    pub(super) fn payload(&self) -> Vec<u8> {
        let number = |number: u64| number.to_le_bytes();
        match self {
            Self::Begin { state, base, label } => {
                let of = |state: &PfsState| [&state.clid.0[..], &number(state.tid.0)].concat();
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

    pub(super) fn read(kind: u8, payload: &[u8]) -> Option<Self> {
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
                    || Some(PfsState { clid: Uuid(*take(16)?.first_chunk()?), tid: ModifyTid(number(take(8)?)?) });
                let own = state()?;
                let flag = take(1)?[0];
                let base = PfsState { clid: Uuid(*take(16)?.first_chunk()?), tid: ModifyTid(number(take(8)?)?) };
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

/// How many bytes it takes to recognize the beginning of a stream.
pub(super) const FIRST_BYTES: usize = HEAD_BYTES + MAGIC.len();

/// True for the beginning of a stream, but not for a part behind a later place.
pub(super) fn is_begin(bytes: &[u8]) -> bool {
    bytes.len() >= FIRST_BYTES && is_begin_so_far(&bytes[..FIRST_BYTES])
}

/// True for bytes that may become the beginning of a stream.
pub(super) fn is_begin_so_far(bytes: &[u8]) -> bool {
    let payload = bytes.get(HEAD_BYTES..).unwrap_or_default();
    bytes.first().is_none_or(|kind| *kind == 1) && MAGIC.starts_with(payload)
}

/// What precedes a payload.
pub(super) fn head(kind: u8, payload_bytes: usize) -> [u8; HEAD_BYTES] {
    let [a, b, c, d] = (payload_bytes as u32).to_le_bytes();
    [kind, a, b, c, d]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_read_back_as_they_were_written() {
        let state = PfsState { clid: Uuid([7; 16]), tid: ModifyTid(9) };
        let records = [
            Record::Begin { state, base: None, label: b"DATA".to_vec() },
            Record::Begin { state, base: Some(PfsState { tid: ModifyTid(3), ..state }), label: vec![] },
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
