//! Holding a mounted filesystem against a model.

use std::sync::Arc;

use allocator_api2::alloc::Global;
use hammer2_core::cluster::EntryBatch;
use hammer2_core::fs::{Cookie, Error, FileSystem};
use hammer2_core::media::{FileKind, Inum};
use hammer2_model::{Entries, Model, Node, Number, Numbers};

/// More than a file should have: what is behind its end must not be read.
const BEHIND_END_BYTES: usize = 10;
const BATCH_BYTES: usize = 16384;

/// Says how a mounted filesystem differs from a state; nothing when it doesn't. Snapshots are PFSs of their own, to be mounted
/// and compared by themselves.
pub(crate) async fn difference(fs: &FileSystem, model: &Model) -> Option<String> {
    difference_below(fs, model, "").await
}

/// The same of what is below a directory.
pub(crate) async fn difference_below(fs: &FileSystem, model: &Model, path: &str) -> Option<String> {
    let Some(wanted) = model.below(path) else { return Some(format!("/{path}: no directory of the model")) };
    let what = match read(fs, path).await {
        Ok(found) => hammer2_model::difference(&found, &wanted, Numbers::Any)?,
        Err(what) => what,
    };
    Some(if path.is_empty() { what } else { format!("below /{path}: {what}") })
}

/// Reads what is below a directory.
async fn read(fs: &FileSystem, path: &str) -> Result<Model, String> {
    let mut model = Model::new();
    let top = fs.resolve(path.as_bytes()).await.map_err(|error| error.to_string())?;
    let mut pending = vec![(top, Number::ROOT)];
    while let Some((inum, number)) = pending.pop() {
        let node = read_node(fs, inum).await.map_err(|what| format!("inode {inum}: {what}"))?;
        if let Node::Directory(entries) = &node {
            let unknown = entries.values().filter(|number| model.get(**number).is_none());
            pending.extend(unknown.map(|number| (Inum(number.0), *number)));
        }
        model.insert(number, node);
    }
    Ok(model)
}

async fn read_node(fs: &FileSystem, inum: Inum) -> Result<Node, String> {
    let told = |error: Error| error.to_string();
    let attributes = fs.attributes(inum).await.map_err(told)?;
    let size = attributes.size as usize;
    let mut bytes = vec![0xee; size + BEHIND_END_BYTES];
    let length = match attributes.kind {
        FileKind::Directory => return entries(fs, inum).await.map(|entries| Node::Directory(Arc::new(entries))),
        FileKind::Regular => fs.read(inum, 0, &mut bytes).await.map_err(told)?,
        FileKind::Symlink => fs.read_link(inum, &mut bytes).await.map_err(told)?,
        kind => return Err(format!("a {kind:?}, which models have none of")),
    };
    if length != size {
        return Err(format!("it has {size} bytes, and {length} were read"));
    }
    bytes.truncate(length);
    let links = attributes.links;
    if attributes.kind == FileKind::Regular {
        return Ok(Node::File { content: Arc::new(bytes), links });
    }
    let target = String::from_utf8(bytes).map_err(|error| error.to_string())?;
    Ok(Node::Symlink { target: target.into(), links })
}

async fn entries(fs: &FileSystem, directory: Inum) -> Result<Entries, String> {
    let mut found = Entries::new();
    let mut batch = EntryBatch::new(&Global, BATCH_BYTES).map_err(|error| error.to_string())?;
    let mut from = Some(Cookie::START);
    while let Some(cookie) = from {
        let listing = fs.read_directory(directory, cookie, &mut batch).await.map_err(|error| error.to_string())?;
        if let Some(fault) = listing.damaged {
            return Err(fault.to_string());
        }
        for entry in batch.iter() {
            let name = String::from_utf8_lossy(entry.name).into_owned();
            if found.insert(name, Number(entry.inum.0)).is_some() {
                return Err(format!("{:?} twice", entry.name.escape_ascii().to_string()));
            }
        }
        from = listing.next;
    }
    Ok(found)
}
