//! What lies below an inode, as nodes compare it: entries, file blocks and inodes by key, without a place.
//!
//! Two members of a cluster hold equal elements in different places.

use crate::media::check::{CHECK_BYTES, CheckField};
use crate::media::{BlockKind, Blockref, Corruption, KeyRange, Methods, ModifyTid};

/// Something below an inode, or a range of keys below which nothing changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Element {
    /// An entry, a file block or an inode.
    Leaf(Leaf),
    /// These keys have not changed, whatever is there.
    Unchanged(KeyRange),
}

impl Element {
    /// The keys it speaks of.
    pub fn span(&self) -> KeyRange {
        match self {
            Self::Leaf(leaf) => leaf.span,
            Self::Unchanged(range) => *range,
        }
    }
}

/// A leaf of the trees as all nodes have it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Leaf {
    /// The keys it holds.
    pub span: KeyRange,
    /// What it is.
    pub kind: BlockKind,
    /// The operation that last changed it, or anything below.
    pub modify_tid: ModifyTid,
    /// How it is stored and protected.
    pub methods: Methods,
    /// Its size on media.
    pub bytes: usize,
    /// The check code of a file block; what names an entry; nothing of an inode, whose code covers places.
    pub check: CheckField,
    /// What an entry says.
    pub embed: [u8; 16],
}

impl Leaf {
    /// What a blockref leads to; `modify_tid` is the operation that last changed it, written or not.
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

/// Elements listed at a time.
const ELEMENTS: usize = 32;
