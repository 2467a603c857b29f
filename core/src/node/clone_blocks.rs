//! Blocks that two files share (format 9.5): a file is given the blocks of another, or of another part of itself, without a byte
//! of them being read.
//!
//! What a block costs is one more blockref with the same place. Nothing counts how many there are, so from then on none of them
//! may have the block's place given back when it goes: only bulkfree, which looks at all of them, can tell that the last is gone.
//! A place is given back at once only if its blockref says that no commit saw it ([`Topology::is_uncommitted`]). So a blockref
//! that is shared says that the commit in force wrote it, also that of the source, which is changed for that if it is newer. The
//! commit in force is older than whatever may still be given up.
//!
//! [`Topology::is_uncommitted`]: crate::chain::Topology::is_uncommitted

use super::file::check_data;
use super::modify::Change;
use super::{Halt, Node, Outcome, Progress, Sharing, Slot};
use crate::chain::{ChainError, Container, Cursor, Stop};
use crate::media::geometry::FILE_BLOCK_BITS;
use crate::media::{BlockKind, Blockref, Corruption, Key, KeyBits, KeyRange};

impl Node {
    /// Makes a range of one file what a range of another is. What was done stays done, so that another attempt goes on there.
    #[inline(never)]
    pub(super) fn clone_blocks(
        &self,
        mut change: Change,
        sharing: Sharing,
        progress: &mut Progress,
    ) -> Result<Outcome, Halt> {
        let (cursor, _) = progress.over(sharing.range);
        while let Some(left) = cursor.remaining {
            let source = self.in_inode(sharing.from, |view| view.find(&mut Cursor::new(left)))?;
            let done_through = match source {
                Some(source) if source.key() <= left.first => {
                    self.share(change, sharing, &source)?;
                    source.span().map_or(source.key(), |span| span.last)
                }
                later => {
                    let last = later.map_or(left.last, |source| Key(source.key().0 - 1));
                    let hole = KeyRange { first: left.first, last };
                    match self.clear_first(change, sharing.to, sharing.targets_of(hole))? {
                        Some(cleared) => sharing.part(cleared).range.last.min(last),
                        None => last,
                    }
                }
            };
            cursor.skip_through(done_through);
            // What is modified doesn't grow without end.
            change.manner.over_limit = false;
        }
        Ok(Outcome::Done)
    }

    /// Removes the first block of a file in a range; where it was.
    fn clear_first(&self, change: Change, file: Slot, range: KeyRange) -> Result<Option<KeyRange>, Halt> {
        let Some(block) = self.in_inode(file, |view| view.find(&mut Cursor::new(range)))? else { return Ok(None) };
        self.remove_entry(change, self.below(file)?, block.key())?;
        Ok(Some(block.span().unwrap_or(KeyRange::only(block.key()))))
    }

    /// Gives the target of a block a blockref to it.
    fn share(&self, change: Change, sharing: Sharing, source: &Blockref) -> Result<(), Halt> {
        check_data(source).map_err(|corruption| ChainError::corrupt(source, corruption))?;
        let (from, to) = (self.opened(sharing.from)?, self.opened(sharing.to)?);
        let committed = self.header().mirror_tid();
        let key = sharing.target_of(source.key());
        let mut bref = Blockref::new(BlockKind::Data, key, KeyBits(FILE_BLOCK_BITS), source.methods);
        bref.set_data_off(source.data_off());
        bref.set_modify_tid(change.tid);
        bref.set_mirror_tid(source.mirror_tid().min(committed));
        bref.check = source.check;
        self.change(change.manner, |topology, allocator, blocks| {
            if source.mirror_tid() > committed {
                let id = self.modify_open(topology, blocks, from)?;
                let (container, index) = topology.descend(blocks, Container::Chain(id), source.key())?;
                let gone = || Stop::Failed(ChainError::corrupt(source, Corruption::NoBlock));
                let index = index.ok_or_else(gone)?;
                topology.entries_mut(container)[index].set_mirror_tid(committed);
            }
            let old = self.put_block(topology, blocks, to, &bref, change.tid)?;
            // A block that the target shares already stays.
            let gone = old.filter(|old| old.data_off() != bref.data_off());
            gone.iter().for_each(|old| allocator.free_uncommitted(topology, old));
            Ok(())
        })?;
        Ok(())
    }
}
