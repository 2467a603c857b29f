//! The content of a directory of the host, to be compared with models.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;

use hammer2_model::{Entries, Model, Node, Number, Numbers};

/// Reads all of `root`, of whose entries only `home` counts.
pub(crate) fn read(root: &Path, home: &str) -> io::Result<Model> {
    let mut model = Model::new();
    let mut pending = Vec::new();
    if root.join(home).try_exists()? {
        let number = Number(fs::symlink_metadata(root.join(home))?.ino());
        model.insert(Number::ROOT, Node::Directory(Arc::new(Entries::from([(home.to_owned(), number)]))));
        pending.push((home.to_owned(), number));
    }
    while let Some((path, number)) = pending.pop() {
        let at = root.join(&path);
        let facts = fs::symlink_metadata(&at)?;
        let links = facts.nlink();
        let node = if facts.is_dir() {
            let named = |name: String| Ok((name.clone(), Number(fs::symlink_metadata(at.join(name))?.ino())));
            let entries = names(&at)?.into_iter().map(named).collect::<io::Result<Entries>>()?;
            pending.extend(entries.iter().map(|(name, number)| (format!("{path}/{name}"), *number)));
            Node::Directory(Arc::new(entries))
        } else if facts.is_symlink() {
            Node::Symlink { target: fs::read_link(&at)?.to_string_lossy().into(), links }
        } else {
            let content = fs::read(&at)?;
            if content.len() as u64 != facts.len() {
                return Err(io::Error::other(format!("{path}: {} bytes read of {}", content.len(), facts.len())));
            }
            Node::File { content: Arc::new(content), links }
        };
        if model.get(number).is_some_and(|known| *known != node) {
            return Err(io::Error::other(format!("{path}: another name of it reads otherwise")));
        }
        model.insert(number, node);
    }
    Ok(model)
}

/// Says how what was read differs from a state; nothing when it doesn't.
pub(crate) fn difference(found: &Model, state: &Model) -> Option<String> {
    hammer2_model::difference(found, state, Numbers::Any)
}

/// The names in a directory.
pub(crate) fn names(directory: &Path) -> io::Result<Vec<String>> {
    fs::read_dir(directory)?.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect()
}
