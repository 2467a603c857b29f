//! Comparing a mounted filesystem with a model.

use std::collections::BTreeMap;

use allocator_api2::alloc::Global;
use hammer2_core::cluster::EntryBatch;
use hammer2_core::fs::{Cookie, FileSystem};
use hammer2_core::media::{FileKind, Inum};

use super::{Model, Node, join};

/// Bytes to ask for behind a file's end, which must not be read.
const BEHIND_END_BYTES: usize = 10;
const BATCH_BYTES: usize = 16384;

/// A node to compare: its path, its place in the model, its inode.
type Pending = Vec<(String, usize, Inum)>;

/// Says how a mounted filesystem differs from a state; nothing when it doesn't. Snapshots are PFSs of their own, to be mounted
/// and compared by themselves.
pub async fn difference(fs: &FileSystem, model: &Model) -> Option<String> {
    difference_below(fs, model, "").await
}

/// The same for the file at a path, and everything below it.
pub async fn difference_below(fs: &FileSystem, model: &Model, path: &str) -> Option<String> {
    let Some(top) = model.find(path) else { return Some(format!("/{path}: not in the model")) };
    let inum = match fs.resolve(path.as_bytes()).await {
        Ok(inum) => inum,
        Err(error) => return Some(format!("/{path}: {error}")),
    };
    let mut inums: BTreeMap<usize, Inum> = BTreeMap::new();
    let mut pending: Pending = vec![(path.to_owned(), top, inum)];
    while let Some((path, node, inum)) = pending.pop() {
        if let Some(known) = inums.insert(node, inum) {
            if known != inum {
                return Some(format!("{path}: inode {inum:?}, of another name {known:?}"));
            }
            continue;
        }
        if let Err(what) = node_agrees(fs, model, &path, (node, inum), &mut pending).await {
            return Some(format!("/{path}: {what}"));
        }
    }
    None
}

async fn node_agrees(
    fs: &FileSystem,
    model: &Model,
    path: &str,
    (node, inum): (usize, Inum),
    pending: &mut Pending,
) -> Result<(), String> {
    let attributes = fs.attributes(inum).await.map_err(|error| error.to_string())?;
    let expect = |kind: FileKind, size: usize, links: u64| {
        let found = (attributes.kind, attributes.size, attributes.links);
        let wanted = (kind, size as u64, links);
        if found == wanted { Ok(()) } else { Err(format!("{found:?} instead of {wanted:?}")) }
    };
    match model.get(node) {
        Node::Directory(entries) => {
            let found = names(fs, inum).await?;
            if !found.keys().eq(entries.keys()) {
                return Err(format!("{:?} instead of {:?}", found.keys(), entries.keys()));
            }
            pending.extend(entries.iter().map(|(name, child)| (join(path, name), *child, found[name])));
        }
        Node::File { content, links } => {
            expect(FileKind::Regular, content.len(), *links)?;
            let mut read = vec![0xee; content.len() + BEHIND_END_BYTES];
            let length = fs.read(inum, 0, &mut read).await.map_err(|error| error.to_string())?;
            if length != content.len() || read[..length] != content[..] {
                let at = read.iter().zip(content).position(|(read, content)| read != content);
                return Err(format!("content differs, {length} bytes read, first at {at:?}"));
            }
        }
        Node::Symlink { target, links } => {
            expect(FileKind::Symlink, target.len(), *links)?;
            let mut read = vec![0; target.len() + BEHIND_END_BYTES];
            let length = fs.read_link(inum, &mut read).await.map_err(|error| error.to_string())?;
            if read[..length] != *target.as_bytes() {
                return Err("the link leads elsewhere".to_owned());
            }
        }
    }
    Ok(())
}

async fn names(fs: &FileSystem, directory: Inum) -> Result<BTreeMap<String, Inum>, String> {
    let mut found = BTreeMap::new();
    let mut batch = EntryBatch::new(&Global, BATCH_BYTES).map_err(|error| error.to_string())?;
    let mut from = Some(Cookie::START);
    while let Some(cookie) = from {
        let listing = fs.read_directory(directory, cookie, &mut batch).await.map_err(|error| error.to_string())?;
        if let Some(fault) = listing.damaged {
            return Err(fault.to_string());
        }
        for entry in batch.iter() {
            let name = String::from_utf8_lossy(entry.name).into_owned();
            if found.insert(name, entry.inum).is_some() {
                return Err(format!("{:?} twice", entry.name.escape_ascii().to_string()));
            }
        }
        from = listing.next;
    }
    Ok(found)
}
