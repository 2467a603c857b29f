//! Removing entries, and giving up indirect blocks that hold little (format 4.5).

use super::{ChainId, Container, Stop, Topology};
use crate::io::BlockCache;
use crate::media::{BlockKind, BlockName, Blockref, Key, ModifyTid};

impl Topology {
    /// Removes the entry whose span holds `key`, with everything modified below it, and returns that entry, if there was one.
    /// `dropped` is called with every removed blockref that is in memory.
    pub(crate) fn remove(
        &mut self,
        blocks: &BlockCache,
        root: Container,
        key: Key,
        tid: ModifyTid,
        dropped: &mut dyn FnMut(&Blockref),
    ) -> Result<Option<Blockref>, Stop> {
        let (container, index) = self.descend(blocks, root, key)?;
        let Some(index) = index else { return Ok(None) };
        let entry = self.array(container).entries()[index];
        self.remove_entries(container, index..index + 1);
        self.note_moved(&entry);
        dropped(&entry);
        if let Some(id) = ChainId::of(&entry) {
            self.discard(id, dropped);
        }
        self.touch(container, tid);
        self.collapse(container, dropped);
        Ok(Some(entry))
    }

    /// Removes the entry that leads to an unusable block on media, whatever is below it; returns true if there was one. A block
    /// that is modified has been read since, and stays.
    pub(crate) fn cut(&mut self, blocks: &BlockCache, root: Container, name: BlockName) -> Result<bool, Stop> {
        let mut container = root;
        while let Some(index) = self.position(container, name.key) {
            let entry = self.array(container).entries()[index];
            if entry.name() == name {
                if ChainId::of(&entry).is_some() {
                    break;
                }
                self.remove_entries(container, index..index + 1);
                self.note_moved(&entry);
                // Nothing leads to what was below it any more: bulkfree will free its space.
                self.collapse(container, &mut |_| {});
                return Ok(true);
            }
            if !entry.is(BlockKind::Indirect) {
                break;
            }
            container = Container::Chain(self.modify(blocks, container, index)?);
        }
        Ok(false)
    }

    /// Gives up an indirect block that is empty, or whose few entries fit into its container with room to spare; then its
    /// container, if the same holds for that. The container keeps the stamp of a block that goes.
    fn collapse(&mut self, mut container: Container, dropped: &mut dyn FnMut(&Blockref)) {
        while let Container::Chain(id) = container {
            let chain = self.chain(id);
            if !chain.bref.is(BlockKind::Indirect) {
                return;
            }
            let above = chain.container;
            let live = chain.entries().len();
            let (room, taken) = (self.capacity(above), self.array(above).entries().len());
            let is_sparse = live <= chain.capacity().min(room) / 4;
            let fits = live == 0 || (is_sparse && live + taken - 1 <= room * 3 / 4);
            if !fits {
                return;
            }
            self.give_up(id, above, dropped);
            container = above;
        }
    }

    /// Moves the entries of an indirect block to its container and drops the block.
    fn give_up(&mut self, id: ChainId, above: Container, dropped: &mut dyn FnMut(&Blockref)) {
        let Some(index) = self.position(above, self.chain(id).bref.key()) else { return };
        let Some(chain) = self.arena.remove(id) else { return };
        let entry = self.array(above).entries()[index];
        self.remove_entries(above, index..index + 1);
        dropped(&entry);
        self.touch(above, chain.bref.modify_tid());
        for child in chain.entries().iter().filter_map(ChainId::of) {
            self.chain_mut(child).container = above;
        }
        self.insert_entries(above, chain.entries());
    }
}
