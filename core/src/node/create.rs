//! Making a file: its inode and its first name, in one modification.

use zerocopy::IntoBytes;

use super::locate::InodeName;
use super::modify::{Change, NewEntry};
use super::{Creation, Halt, Node, Outcome, Places};
use crate::chain::{Container, Inserted};

impl Node {
    /// Adds an inode and its name, unless a key of the name is taken, and opens the inode. If there is a place only for one of the
    /// two, it is removed again, and the reason is returned.
    #[inline(never)]
    pub(super) fn create(&self, change: Change, creation: &Creation<'_>) -> Result<Outcome, Halt> {
        let Places { pfs, methods, directory, keys, entry_methods, into } = creation.places;
        let (root, directory) = (self.opened(pfs)?, self.below(directory)?);
        let inum = creation.inode.meta.inum();
        if let Some(slot) = into {
            self.slots.open(slot, InodeName { pfs: root.name.pfs, inum })?;
        }
        let entry = creation.entry();
        let inode = NewEntry::inode(inum, creation.inode.as_bytes(), methods);
        let name = NewEntry::name(&entry, keys.first, creation.name, entry_methods);
        Ok(self.change(change.manner, |topology, _, blocks| {
            let index = Container::Chain(self.modify_open(topology, blocks, root)?);
            let names = Container::Chain(self.modify_below(topology, blocks, directory)?);
            let Some(vacant) = topology.vacant(blocks, names, keys)? else { return Ok(Outcome::Exists) };
            let Inserted::New(chain) = inode.insert(topology, blocks, index, change.tid)? else {
                return Ok(Outcome::Exists);
            };
            // Where the two trees are one, or there is no room, the way down is another by now.
            let start = if index != names && topology.has_room(vacant) { vacant } else { names };
            if let Err(stop) = name.insert(topology, blocks, start, change.tid) {
                // It is in memory, with all that is above it.
                let removed = topology.remove(blocks, index, inode.key(), change.tid, &mut |_| {});
                debug_assert!(matches!(removed, Ok(Some(_))), "what was just put in can be taken out");
                return Err(stop);
            }
            if let (Some(slot), Some(chain)) = (into, chain) {
                self.slots.remember(slot, inode.place(chain), topology);
            }
            Ok(Outcome::Done)
        })?)
    }
}
