//! What a volume should hold: a filesystem of maps and vectors.

use std::collections::BTreeMap;
use std::rc::Rc;

use hammer2_core::cluster::EntryBatch;
use hammer2_core::fs::{Cookie, FileSystem};
use hammer2_core::media::{FileKind, Inum};

use crate::volume::HEAP;

/// A file of the model.
#[derive(Clone)]
pub(crate) enum Node {
    Directory(BTreeMap<String, usize>),
    File { content: Vec<u8>, links: u64 },
    Symlink { target: String, links: u64 },
}

/// A state of a volume. Copies are cheap: they share what doesn't change. Nodes are named by their place, which is never
/// used again; the root is the first.
#[derive(Clone)]
pub(crate) struct Model {
    nodes: Vec<Option<Rc<Node>>>,
    /// The volume uses all of its device.
    pub(crate) has_grown: bool,
}

impl Model {
    pub(crate) fn new() -> Self {
        Self { nodes: vec![Some(Rc::new(Node::Directory(BTreeMap::new())))], has_grown: false }
    }

    pub(crate) fn get(&self, node: usize) -> &Node {
        self.nodes[node].as_ref().expect("a node with a name")
    }

    fn get_mut(&mut self, node: usize) -> &mut Node {
        Rc::make_mut(self.nodes[node].as_mut().expect("a node with a name"))
    }

    fn entries(&self, node: usize) -> Option<&BTreeMap<String, usize>> {
        match self.get(node) {
            Node::Directory(entries) => Some(entries),
            _ => None,
        }
    }

    fn entries_mut(&mut self, node: usize) -> &mut BTreeMap<String, usize> {
        match self.get_mut(node) {
            Node::Directory(entries) => entries,
            _ => panic!("not a directory"),
        }
    }

    /// The node a path names.
    pub(crate) fn find(&self, path: &str) -> Option<usize> {
        path.split('/').filter(|name| !name.is_empty()).try_fold(0, |at, name| self.entries(at)?.get(name).copied())
    }

    fn is_directory(&self, node: usize) -> bool {
        self.entries(node).is_some()
    }

    /// All paths but the root's, what is in a directory before the directory.
    pub(crate) fn paths(&self) -> Vec<String> {
        let mut paths = Vec::new();
        let mut pending = vec![(String::new(), 0)];
        while let Some((path, node)) = pending.pop() {
            for (name, child) in self.entries(node).into_iter().flatten() {
                pending.push((if path.is_empty() { name.clone() } else { format!("{path}/{name}") }, *child));
            }
            paths.push(path);
        }
        paths.remove(0);
        paths.reverse();
        paths
    }

    /// The directory a path's last name is in, and that name.
    fn place<'p>(&self, path: &'p str) -> Option<(usize, &'p str)> {
        let (directory, name) = split(path);
        self.find(directory).filter(|directory| self.is_directory(*directory)).map(|directory| (directory, name))
    }

    /// The content of a regular file.
    pub(crate) fn content(&self, path: &str) -> Option<&Vec<u8>> {
        match self.get(self.find(path)?) {
            Node::File { content, .. } => Some(content),
            _ => None,
        }
    }

    /// The content of a regular file, to be changed.
    pub(crate) fn content_mut(&mut self, path: &str) -> Option<&mut Vec<u8>> {
        match self.get_mut(self.find(path)?) {
            Node::File { content, .. } => Some(content),
            _ => None,
        }
    }

    /// Makes a file; false when that isn't possible. So in all that follow.
    pub(crate) fn create(&mut self, path: &str, node: Node) -> bool {
        let Some((directory, name)) = self.place(path) else { return false };
        if self.find(path).is_some() {
            return false;
        }
        self.nodes.push(Some(Rc::new(node)));
        let index = self.nodes.len() - 1;
        self.entries_mut(directory).insert(name.to_owned(), index);
        true
    }

    pub(crate) fn link(&mut self, path: &str, new: &str) -> bool {
        let (Some(node), Some((directory, name))) = (self.find(path), self.place(new)) else { return false };
        if self.is_directory(node) || self.find(new).is_some() {
            return false;
        }
        if let Node::File { links, .. } | Node::Symlink { links, .. } = self.get_mut(node) {
            *links += 1;
        }
        self.entries_mut(directory).insert(name.to_owned(), node);
        true
    }

    pub(crate) fn unlink(&mut self, path: &str) -> bool {
        let (Some(node), Some((directory, name))) = (self.find(path), self.place(path)) else { return false };
        if self.is_directory(node) {
            return false;
        }
        self.entries_mut(directory).remove(name);
        self.drop_name(node);
        true
    }

    pub(crate) fn remove_directory(&mut self, path: &str) -> bool {
        let (Some(node), Some((directory, name))) = (self.find(path), self.place(path)) else { return false };
        if self.entries(node).is_none_or(|entries| !entries.is_empty()) {
            return false;
        }
        self.entries_mut(directory).remove(name);
        self.nodes[node] = None;
        true
    }

    pub(crate) fn rename(&mut self, path: &str, new: &str) -> bool {
        let (Some(node), Some((from, name))) = (self.find(path), self.place(path)) else { return false };
        let Some((to, new_name)) = self.place(new) else { return false };
        if self.is_below(to, node) {
            return false;
        }
        let replaced = self.find(new);
        match replaced {
            Some(other) if other == node => return true,
            Some(other) => {
                let fits = match self.entries(other) {
                    Some(entries) => self.is_directory(node) && entries.is_empty(),
                    None => !self.is_directory(node),
                };
                if !fits {
                    return false;
                }
            }
            None => {}
        }
        self.entries_mut(from).remove(name);
        self.entries_mut(to).insert(new_name.to_owned(), node);
        if let Some(other) = replaced {
            self.drop_name(other);
        }
        true
    }

    fn is_below(&self, node: usize, above: usize) -> bool {
        node == above
            || self.entries(above).is_some_and(|entries| entries.values().any(|child| self.is_below(node, *child)))
    }

    fn drop_name(&mut self, node: usize) {
        let left = match self.get_mut(node) {
            Node::File { links, .. } | Node::Symlink { links, .. } => {
                *links -= 1;
                *links
            }
            Node::Directory(_) => 0,
        };
        if left == 0 {
            self.nodes[node] = None;
        }
    }
}

/// A path's directory and last name.
pub(crate) fn split(path: &str) -> (&str, &str) {
    path.rsplit_once('/').unwrap_or(("", path))
}

/// Says how a mounted filesystem differs from a state; nothing when it doesn't.
pub(crate) async fn difference(fs: &FileSystem, model: &Model) -> Option<String> {
    let mut inums: BTreeMap<usize, Inum> = BTreeMap::new();
    let mut pending = vec![(String::new(), 0usize, Inum::PFS_ROOT)];
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
    pending: &mut Vec<(String, usize, Inum)>,
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
            pending.extend(entries.iter().map(|(name, child)| {
                let path = if path.is_empty() { name.clone() } else { format!("{path}/{name}") };
                (path, *child, found[name])
            }));
        }
        Node::File { content, links } => {
            expect(FileKind::Regular, content.len(), *links)?;
            let mut read = vec![0xee; content.len()];
            let length = fs.read(inum, 0, &mut read).await.map_err(|error| error.to_string())?;
            if length != content.len() || read != *content {
                let at = read.iter().zip(content).position(|(read, content)| read != content);
                return Err(format!("content differs, {length} bytes read, first at {at:?}"));
            }
        }
        Node::Symlink { target, links } => {
            expect(FileKind::Symlink, target.len(), *links)?;
            let mut read = vec![0; target.len()];
            fs.read_link(inum, &mut read).await.map_err(|error| error.to_string())?;
            if read != target.as_bytes() {
                return Err("the link leads elsewhere".to_owned());
            }
        }
    }
    Ok(())
}

async fn names(fs: &FileSystem, directory: Inum) -> Result<BTreeMap<String, Inum>, String> {
    let mut found = BTreeMap::new();
    let mut batch = EntryBatch::new(HEAP, 16384).unwrap();
    let mut from = Some(Cookie::START);
    while let Some(cookie) = from {
        let listing = fs.read_directory(directory, cookie, &mut batch).await.map_err(|error| error.to_string())?;
        if let Some(fault) = listing.damaged {
            return Err(fault.to_string());
        }
        found.extend(batch.iter().map(|entry| (String::from_utf8_lossy(entry.name).into_owned(), entry.inum)));
        from = listing.next;
    }
    Ok(found)
}
