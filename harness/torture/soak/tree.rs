//! The content of a directory of the host, to be compared with models.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use hammer2_model::{Model, Node};

enum Found {
    Directory(Vec<String>),
    File { content: Vec<u8>, links: u64, inode: u64 },
    Symlink { target: String, links: u64, inode: u64 },
}

/// Everything below a directory, by path.
pub(crate) struct Tree(BTreeMap<String, Found>);

impl Tree {
    /// Reads `home`, an entry of `root`, with everything below it.
    pub(crate) fn read(root: &Path, home: &str) -> io::Result<Self> {
        let mut tree = BTreeMap::new();
        let is_there = root.join(home).try_exists()?;
        let top = if is_there { vec![home.to_owned()] } else { Vec::new() };
        tree.insert(String::new(), Found::Directory(top.clone()));
        let mut pending = top;
        while let Some(path) = pending.pop() {
            let at = root.join(&path);
            let facts = fs::symlink_metadata(&at)?;
            let (links, inode) = (facts.nlink(), facts.ino());
            let found = if facts.is_dir() {
                let mut names = names(&at)?;
                names.sort();
                pending.extend(names.iter().map(|name| format!("{path}/{name}")));
                Found::Directory(names)
            } else if facts.is_symlink() {
                let target = fs::read_link(&at)?.to_string_lossy().into_owned();
                Found::Symlink { target, links, inode }
            } else {
                let content = fs::read(&at)?;
                if content.len() as u64 != facts.len() {
                    return Err(io::Error::other(format!("{path}: {} bytes read of {}", content.len(), facts.len())));
                }
                Found::File { content, links, inode }
            };
            tree.insert(path, found);
        }
        Ok(Self(tree))
    }

    /// The content of a regular file.
    pub(crate) fn content(&self, path: &str) -> Option<&[u8]> {
        match self.0.get(path)? {
            Found::File { content, .. } => Some(content),
            _ => None,
        }
    }

    /// Says how it differs from a model; nothing when it doesn't.
    pub(crate) fn difference(&self, model: &Model) -> Option<String> {
        let mut pending = vec![(String::new(), 0)];
        let mut inodes = BTreeMap::new();
        while let Some((path, node)) = pending.pop() {
            let Some(found) = self.0.get(&path) else { return Some(format!("/{path} isn't there")) };
            let inode = match found {
                Found::File { inode, .. } | Found::Symlink { inode, .. } => *inode,
                Found::Directory(_) => 0,
            };
            if inode != *inodes.entry(node).or_insert(inode) {
                return Some(format!("/{path}: not the file of its other name"));
            }
            let what = match (model.get(node), found) {
                (Node::Directory(entries), Found::Directory(names)) if names.iter().eq(entries.keys()) => {
                    let below = |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}/{name}") };
                    pending.extend(entries.iter().map(|(name, child)| (below(name), *child)));
                    continue;
                }
                (Node::Directory(entries), Found::Directory(names)) => {
                    let (more, less): (Vec<_>, Vec<_>) = (
                        names.iter().filter(|name| !entries.contains_key(*name)).collect(),
                        entries.keys().filter(|name| !names.contains(name)).collect(),
                    );
                    format!("{more:?} are there and shouldn't, {less:?} should")
                }
                (Node::File { content, links }, Found::File { content: found, links: found_links, .. }) => {
                    if content == found && links == found_links {
                        continue;
                    }
                    let first = content.iter().zip(found).position(|(expected, found)| expected != found);
                    format!(
                        "{} bytes and {found_links} links instead of {} and {links}; the first other byte is {first:?}",
                        found.len(),
                        content.len()
                    )
                }
                (Node::Symlink { target, links }, Found::Symlink { target: found, links: found_links, .. }) => {
                    if target == found && links == found_links {
                        continue;
                    }
                    "another symbolic link".to_owned()
                }
                _ => "of another kind".to_owned(),
            };
            return Some(format!("/{path}: {what}"));
        }
        None
    }
}

/// The names in a directory.
pub(crate) fn names(directory: &Path) -> io::Result<Vec<String>> {
    fs::read_dir(directory)?.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect()
}
