//! The expected content of a filesystem: a model of maps and vectors with which tests and simulations compare the real one.
//!
//! A [`Model`] is plain data and does no I/O. A [`Step`] is an operation that can be done in the model and on a mounted
//! filesystem alike; [`Dice`] throws them at random; [`difference`] says how a filesystem differs from a model of it.
#![forbid(unsafe_code)]

mod dice;
mod difference;
mod perform;
mod step;

pub use dice::Dice;
pub use difference::{difference, difference_below};
pub use step::{Bytes, Step, bytes};

use std::collections::BTreeMap;
use std::sync::Arc;

/// A file of the model.
#[derive(Clone, Debug)]
pub enum Node {
    /// Names, and the places of their nodes.
    Directory(BTreeMap<String, usize>),
    /// A regular file.
    File {
        /// All its bytes.
        content: Vec<u8>,
        /// Its names.
        links: u64,
    },
    /// A symbolic link.
    Symlink {
        /// Where it leads.
        target: String,
        /// Its names.
        links: u64,
    },
}

/// A state of a PFS. Copies are cheap, as they share unchanged parts. Nodes are identified by their place, which is never used
/// again; the root is the first.
///
/// Methods that change something return whether it was possible; if not, nothing was done.
#[derive(Clone, Debug)]
pub struct Model {
    nodes: Vec<Option<Arc<Node>>>,
    snapshots: BTreeMap<String, Arc<Model>>,
    /// The volume uses all of its device.
    pub has_grown: bool,
}

impl Default for Model {
    fn default() -> Self {
        Self::new()
    }
}

impl Model {
    /// An empty PFS.
    pub fn new() -> Self {
        Self {
            nodes: vec![Some(Arc::new(Node::Directory(BTreeMap::new())))],
            snapshots: BTreeMap::new(),
            has_grown: false,
        }
    }

    /// The node at a place.
    pub fn get(&self, node: usize) -> &Node {
        self.nodes[node].as_ref().expect("a node with a name")
    }

    fn get_mut(&mut self, node: usize) -> &mut Node {
        Arc::make_mut(self.nodes[node].as_mut().expect("a node with a name"))
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
    pub fn find(&self, path: &str) -> Option<usize> {
        path.split('/').filter(|name| !name.is_empty()).try_fold(0, |at, name| self.entries(at)?.get(name).copied())
    }

    fn is_directory(&self, node: usize) -> bool {
        self.entries(node).is_some()
    }

    /// All paths except the root's, the content of each directory before the directory.
    pub fn paths(&self) -> Vec<String> {
        let mut paths = Vec::new();
        let mut pending = vec![(String::new(), 0)];
        while let Some((path, node)) = pending.pop() {
            for (name, child) in self.entries(node).into_iter().flatten() {
                pending.push((join(&path, name), *child));
            }
            paths.push(path);
        }
        paths.remove(0);
        paths.reverse();
        paths
    }

    /// The paths of all directories, the root's too.
    pub fn directories(&self) -> Vec<String> {
        let mut paths = vec![String::new()];
        let mut next = 0;
        while let Some(path) = paths.get(next).cloned() {
            let entries = self.find(&path).and_then(|node| self.entries(node));
            for (name, child) in entries.into_iter().flatten() {
                if self.is_directory(*child) {
                    paths.push(join(&path, name));
                }
            }
            next += 1;
        }
        paths
    }

    /// The directory a path's last name is in, and that name.
    fn place<'p>(&self, path: &'p str) -> Option<(usize, &'p str)> {
        let (directory, name) = split(path);
        self.find(directory).filter(|directory| self.is_directory(*directory)).map(|directory| (directory, name))
    }

    /// The content of a regular file.
    pub fn content(&self, path: &str) -> Option<&Vec<u8>> {
        match self.get(self.find(path)?) {
            Node::File { content, .. } => Some(content),
            _ => None,
        }
    }

    /// The content of a regular file, to be changed.
    pub fn content_mut(&mut self, path: &str) -> Option<&mut Vec<u8>> {
        match self.get_mut(self.find(path)?) {
            Node::File { content, .. } => Some(content),
            _ => None,
        }
    }

    /// Makes a file.
    pub fn create(&mut self, path: &str, node: Node) -> bool {
        let Some((directory, name)) = self.place(path) else { return false };
        if self.find(path).is_some() {
            return false;
        }
        self.nodes.push(Some(Arc::new(node)));
        let index = self.nodes.len() - 1;
        self.entries_mut(directory).insert(name.to_owned(), index);
        true
    }

    /// Gives a file that isn't a directory another name.
    pub fn link(&mut self, path: &str, new: &str) -> bool {
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

    /// Removes a name of a file that isn't a directory.
    pub fn unlink(&mut self, path: &str) -> bool {
        let (Some(node), Some((directory, name))) = (self.find(path), self.place(path)) else { return false };
        if self.is_directory(node) {
            return false;
        }
        self.entries_mut(directory).remove(name);
        self.drop_name(node);
        true
    }

    /// Removes an empty directory.
    pub fn remove_directory(&mut self, path: &str) -> bool {
        let (Some(node), Some((directory, name))) = (self.find(path), self.place(path)) else { return false };
        if self.entries(node).is_none_or(|entries| !entries.is_empty()) {
            return false;
        }
        self.entries_mut(directory).remove(name);
        self.nodes[node] = None;
        true
    }

    /// Moves a name, replacing the file that bears the new one.
    pub fn rename(&mut self, path: &str, new: &str) -> bool {
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

    /// Exchanges two names.
    pub fn exchange(&mut self, path: &str, other: &str) -> bool {
        let (Some(node), Some((first, name))) = (self.find(path), self.place(path)) else { return false };
        let (Some(other_node), Some((second, other_name))) = (self.find(other), self.place(other)) else {
            return false;
        };
        if node != other_node && (self.is_below(second, node) || self.is_below(first, other_node)) {
            return false;
        }
        self.entries_mut(first).insert(name.to_owned(), other_node);
        self.entries_mut(second).insert(other_name.to_owned(), node);
        true
    }

    /// Takes a snapshot.
    pub fn snapshot(&mut self, label: &str) -> bool {
        if self.snapshots.contains_key(label) {
            return false;
        }
        let copy = Self { nodes: self.nodes.clone(), snapshots: BTreeMap::new(), has_grown: self.has_grown };
        self.snapshots.insert(label.to_owned(), Arc::new(copy));
        true
    }

    /// The snapshots that were taken, by label.
    pub fn snapshots(&self) -> impl Iterator<Item = (&str, &Model)> {
        self.snapshots.iter().map(|(label, snapshot)| (&label[..], &**snapshot))
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
fn split(path: &str) -> (&str, &str) {
    path.rsplit_once('/').unwrap_or(("", path))
}

/// The path of a name in a directory.
fn join(directory: &str, name: &str) -> String {
    if directory.is_empty() { name.to_owned() } else { format!("{directory}/{name}") }
}
