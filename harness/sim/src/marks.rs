//! Files made outside the work of clients, which show which of several histories a disk has.

use hammer2_core::fs::{FileSystem, NewFile};
use hammer2_core::media::{FileKind, Inum};
use hammer2_model::{Change, New, Number};

use crate::reading::number;
use crate::watching::watching;
use crate::world::World;

/// Changes something and syncs it.
pub(crate) async fn leave(world: &World, fs: &FileSystem, name: &str, is_ours: bool) -> Result<(), String> {
    watching(world, fs, make(world, fs, name, is_ours)).await
}

async fn make(world: &World, fs: &FileSystem, name: &str, is_ours: bool) -> Result<(), String> {
    world.marks.set(world.marks.get() + 1);
    let name = format!("{name}{}", world.marks.get());
    let made = fs.create(Inum::PFS_ROOT, name.as_bytes(), &NewFile::new(FileKind::Regular, 0o644)).await;
    let made = made.map_err(|error| format!("I14: create: \"{error}\" though all is well"))?;
    fs.sync().await.map_err(|error| format!("I14: sync: \"{error}\" though all is well"))?;
    // The next steps rely on the content of each disk.
    fs.level().await.map_err(|error| format!("I14: sync: \"{error}\" though all is well"))?;
    if is_ours {
        let change = Change::Create { directory: Number::ROOT, name, new: New::Regular };
        let group = world.group();
        group.model.borrow_mut().make(change, Some(number(made)));
        let mut history = group.history.borrow_mut();
        history.changed(&group.model.borrow());
        let now = history.now();
        history.acked(now);
    }
    Ok(())
}
