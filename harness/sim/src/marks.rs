//! Files made outside the work of clients, which show which of several histories a disk has.

use hammer2_core::fs::{FileSystem, NewFile};
use hammer2_core::media::{FileKind, Inum};

use crate::model;
use crate::watching::watching;
use crate::world::World;

/// Changes something and syncs it.
pub(crate) async fn leave(world: &World, fs: &FileSystem, name: &[u8], is_ours: bool) -> Result<(), String> {
    watching(world, fs, make(world, fs, name, is_ours)).await
}

async fn make(world: &World, fs: &FileSystem, name: &[u8], is_ours: bool) -> Result<(), String> {
    let number = world.marks.get() + 1;
    world.marks.set(number);
    let name = [name, number.to_string().as_bytes()].concat();
    let made = fs.create(Inum::PFS_ROOT, &name, &NewFile::new(FileKind::Regular, 0o644)).await;
    let made = made.map_err(|error| format!("I14: create: \"{error}\" though all is well"))?;
    fs.sync().await.map_err(|error| format!("I14: sync: \"{error}\" though all is well"))?;
    // The next steps rely on the content of each disk.
    fs.level().await.map_err(|error| format!("I14: sync: \"{error}\" though all is well"))?;
    if is_ours {
        let edit = model::Edit::Create { directory: Inum::PFS_ROOT, name, kind: FileKind::Regular };
        let group = world.group();
        group.model.borrow_mut().apply(edit, Some(made));
        let mut history = group.history.borrow_mut();
        history.changed(&group.model.borrow());
        let now = history.now();
        history.acked(now);
    }
    Ok(())
}
