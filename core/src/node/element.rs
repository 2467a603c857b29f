//! What lies below an inode, in the form in which nodes compare it: entries, file blocks and inodes by key, without places.
//!
//! Members of a cluster hold equal elements in different places.

use crate::media::check::{CHECK_BYTES, CheckField};
use crate::media::{BlockKind, Blockref, Corruption, KeyRange, Methods, ModifyTid};

/// Something below an inode, or a range of keys below which nothing changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Element {
    /// An entry, a file block or an inode.
    Leaf(Leaf),
    /// Nothing below these keys has changed, whatever is there.
    Unchanged(KeyRange),
}

impl Element {
    /// The keys it covers.
    pub fn span(&self) -> KeyRange {
        match self {
            Self::Leaf(leaf) => leaf.span,
            Self::Unchanged(range) => *range,
        }
    }
}

/// A leaf of the trees, without what differs between nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Leaf {
    /// The keys it holds.
    pub span: KeyRange,
    /// Its kind.
    pub kind: BlockKind,
    /// The operation that last changed it, or anything below.
    pub modify_tid: ModifyTid,
    /// How it is stored and protected.
    pub methods: Methods,
    /// Its size on media.
    pub bytes: usize,
    /// The check code of a file block, or what names an entry; zero for an inode, whose check code covers places.
    pub check: CheckField,
    /// The content of an entry.
    pub embed: [u8; 16],
}

impl Leaf {
    /// The leaf that a blockref leads to; `modify_tid` is the operation that last changed it, written or not.
    pub(super) fn of(bref: &Blockref, modify_tid: ModifyTid) -> Result<Self, Corruption> {
        let kind = bref.kind()?;
        let bytes = bref.data_off().radix()?.map_or(0, |radix| radix.bytes());
        let content = matches!(kind, BlockKind::Data | BlockKind::Dirent);
        Ok(Self {
            span: bref.span()?,
            kind,
            modify_tid,
            methods: bref.methods,
            bytes,
            check: if content { bref.check } else { [0; CHECK_BYTES] },
            embed: if kind == BlockKind::Dirent { bref.embed } else { Default::default() },
        })
    }
}

/// Elements in the order of their keys, as many as fit.
pub type Elements = heapless::Vec<Element, ELEMENTS>;

/// How many elements are listed at a time.
const ELEMENTS: usize = 32;
