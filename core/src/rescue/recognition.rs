//! Recognizing what a kilobyte of a volume looks like when nothing is known of it.
//!
//! The first half of an inode has its number three times over, or a label with its hash; a blockref has a type, a span and a
//! place, each with its rules. File content doesn't follow them by chance. Whether a unit is what it looks like is for the check
//! codes to say.

use crate::media::blockref::BLOCKREF_BYTES;
use crate::media::geometry::FILE_BLOCK_BITS;
use crate::media::inode::{INODE_BYTES, InodeFlags, hidden_name};
use crate::media::placement::check_placement;
use crate::media::{
    BlockArray, BlockKind, Blockref, CheckMethod, Dirent, FileKind, Inode, Inum, KeyBits, KeyRange, PfsKind, Radix,
    directory_hash, is_zero,
};

/// Bytes looked at together: the smallest block.
pub(super) const UNIT_BYTES: usize = INODE_BYTES;

/// The inode that a unit looks like.
pub(super) fn inode(unit: &[u8]) -> Option<&Inode> {
    let inode = Inode::in_block(unit).ok()?;
    inode.check().ok()?;
    let (meta, name) = (&inode.meta, inode.meta.name().ok()?);
    let is_hashed = || directory_hash(name).contains(KeyRange::only(meta.name_key()));
    let good = if meta.flags().contains(InodeFlags::PFSROOT) {
        let label = meta.label().ok()?;
        let is_label = directory_hash(label).contains(KeyRange::only(meta.name_key()));
        meta.inum() == Inum::PFS_ROOT && meta.kind() == Ok(FileKind::Directory) && !label.is_empty() && is_label
    } else if meta.name_key().is_visible() {
        meta.inum() > Inum::PFS_ROOT && is_hashed()
    } else {
        meta.inum() > Inum::PFS_ROOT && meta.name_key() == meta.inum().key() && name == hidden_name(meta.inum())
    };
    good.then_some(inode)
}

/// The super-root that a unit looks like.
pub(super) fn super_root(unit: &[u8]) -> Option<&Inode> {
    let inode = Inode::in_block(unit).ok()?;
    inode.check().ok()?;
    let meta = &inode.meta;
    let is_one = meta.pfs_kind() == PfsKind::SuperRoot && meta.kind() == Ok(FileKind::Directory);
    (is_one && meta.inum() == Inum::SUPER_ROOT).then_some(inode)
}

/// The blockrefs that a unit of an array consists of; none when it looks like anything else.
pub(super) fn blockrefs(unit: &[u8], total_bytes: u64) -> &[Blockref] {
    // Empty entries of an array are all zeros, and a unit counts only if it has an entry that isn't empty.
    let entries = BlockArray::new(unit, KeyRange::ALL).entries();
    let mut previous: Option<KeyRange> = None;
    for (entry, bytes) in entries.iter().zip(unit.chunks(BLOCKREF_BYTES)) {
        if entry.is_empty() {
            if is_zero(bytes) {
                continue;
            }
            return &[];
        }
        let Some(span) = plausible(entry, total_bytes) else { return &[] };
        if previous.is_some_and(|previous| span.first <= previous.last) {
            return &[];
        }
        previous = Some(span);
    }
    if previous.is_some() { entries } else { &[] }
}

/// The span of what looks like a blockref of a tree of files.
fn plausible(entry: &Blockref, total_bytes: u64) -> Option<KeyRange> {
    let (kind, span, keybits) = (entry.kind().ok()?, entry.span().ok()?, entry.keybits());
    let radix = entry.data_off().radix().ok()?;
    check_placement(entry.data_off(), total_bytes).ok()?;
    if entry.methods.check().ok()? == CheckMethod::Freemap || entry.methods.compression().is_err() {
        return None;
    }
    let good = match kind {
        BlockKind::Inode => keybits == KeyBits(0) && radix == Some(Radix::MIN),
        BlockKind::Indirect => keybits != KeyBits(0) && radix >= Some(Radix::MIN_INDIRECT),
        BlockKind::Data => keybits == KeyBits(FILE_BLOCK_BITS) && radix.is_some() && !span.first.is_visible(),
        BlockKind::Dirent => keybits == KeyBits(0) && span.first.is_visible() && Dirent::read(entry).is_ok(),
        BlockKind::FreemapNode | BlockKind::FreemapLeaf => false,
    };
    good.then_some(span)
}
