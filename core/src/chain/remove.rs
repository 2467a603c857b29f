//! Removing entries, and giving up indirect blocks that hold little (spec 4.5).

use super::{ChainId, Container, Stop, Topology};
use crate::io::BlockCache;
use crate::media::{BlockKind, Blockref, Key, ModifyTid};

impl Topology {
    /// Removes the entry whose span holds `key`, with everything modified below it; what it was, if there was one.
    /// `dropped` is shown every blockref that thereby goes and is in memory.
    pub fn remove(
        &mut self,
        blocks: &BlockCache,
        root: Container,
        key: Key,
        tid: ModifyTid,
        dropped: &mut dyn FnMut(&Blockref),
    ) -> Result<Option<Blockref>, Stop> {
        let (container, index) = self.descend(blocks, root, key)?;
        let Some(index) = index else { return Ok(None) };
        let entry = core::mem::take(&mut self.entries_mut(container)[index]);
        dropped(&entry);
        if let Some(id) = ChainId::of(&entry) {
            self.discard(id, dropped);
        }
        self.touch(container, tid);
        self.collapse(container, dropped);
        Ok(Some(entry))
    }

    /// Gives up an indirect block that is empty, or whose entries fit into its container with room to spare; then its
    /// container, if that follows from it. The stamp of a block that goes stays with its container.
    fn collapse(&mut self, mut container: Container, dropped: &mut dyn FnMut(&Blockref)) {
        while let Container::Chain(id) = container {
            let chain = self.chain(id);
            if !matches!(chain.bref.kind(), Ok(BlockKind::Indirect)) {
                return;
            }
            let above = chain.container;
            let live = live(chain.entries());
            let room = self.array(above).entries();
            let fits = live == 0 || (live <= room.len() / 4 && live + self::live(room) - 1 <= room.len() * 3 / 4);
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
        let entry = core::mem::take(&mut self.entries_mut(above)[index]);
        dropped(&entry);
        self.touch(above, chain.bref.modify_tid());
        for entry in chain.entries().iter().filter(|entry| !entry.is_empty()) {
            if let Some(child) = ChainId::of(entry) {
                self.chain_mut(child).container = above;
            }
            super::insert::insert_sorted(self.entries_mut(above), *entry);
        }
    }
}

fn live(entries: &[Blockref]) -> usize {
    entries.iter().filter(|entry| !entry.is_empty()).count()
}
