//! The filesystem as maps and vectors: the state that must be found after the operations so far.

use std::collections::BTreeMap;
use std::fmt;
use std::rc::Rc;

use hammer2_core::media::{FileKind, Inum};

pub(crate) type Entries = BTreeMap<Vec<u8>, Inum>;

/// An inode.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Node {
    Directory(Rc<Entries>),
    File(Rc<Vec<u8>>),
}

/// A filesystem. Copies share their common parts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Model {
    nodes: BTreeMap<Inum, Node>,
}

/// An operation that changes something.
#[derive(Clone)]
pub(crate) enum Edit {
    Create { directory: Inum, name: Vec<u8>, kind: FileKind },
    Write { file: Inum, offset: u64, data: Vec<u8> },
    Truncate { file: Inum, size: u64 },
    Punch { file: Inum, offset: u64, bytes: u64 },
    Link { file: Inum, directory: Inum, name: Vec<u8> },
    Unlink { directory: Inum, name: Vec<u8> },
    RemoveDirectory { directory: Inum, name: Vec<u8> },
    Rename { from: Inum, name: Vec<u8>, to: Inum, new_name: Vec<u8> },
}

impl fmt::Debug for Edit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = |name: &[u8]| String::from_utf8_lossy(name).into_owned();
        match self {
            Self::Create { directory, name, kind } => write!(f, "create {kind:?} {} in {directory}", text(name)),
            Self::Write { file, offset, data } => write!(f, "write {} bytes to {file} at {offset}", data.len()),
            Self::Truncate { file, size } => write!(f, "truncate {file} to {size}"),
            Self::Punch { file, offset, bytes } => write!(f, "punch {bytes} bytes of {file} at {offset}"),
            Self::Link { file, directory, name } => write!(f, "link {file} as {} in {directory}", text(name)),
            Self::Unlink { directory, name } => write!(f, "unlink {} in {directory}", text(name)),
            Self::RemoveDirectory { directory, name } => write!(f, "rmdir {} in {directory}", text(name)),
            Self::Rename { from, name, to, new_name } => {
                write!(f, "rename {} in {from} to {} in {to}", text(name), text(new_name))
            }
        }
    }
}

impl Model {
    pub(crate) fn new() -> Self {
        Self { nodes: BTreeMap::from([(Inum::PFS_ROOT, Node::Directory(Rc::default()))]) }
    }

    pub(crate) fn insert(&mut self, inum: Inum, node: Node) {
        self.nodes.insert(inum, node);
    }

    pub(crate) fn len(&self) -> usize {
        self.nodes.len()
    }

    pub(crate) fn get(&self, inum: Inum) -> Option<&Node> {
        self.nodes.get(&inum)
    }

    pub(crate) fn directories(&self) -> Vec<Inum> {
        let is_directory = |(inum, node): (&Inum, &Node)| matches!(node, Node::Directory(_)).then_some(*inum);
        self.nodes.iter().filter_map(is_directory).collect()
    }

    pub(crate) fn files(&self) -> Vec<Inum> {
        self.nodes.iter().filter_map(|(inum, node)| matches!(node, Node::File(_)).then_some(*inum)).collect()
    }

    pub(crate) fn entries(&self, directory: Inum) -> Option<&Entries> {
        match self.nodes.get(&directory) {
            Some(Node::Directory(entries)) => Some(entries),
            _ => None,
        }
    }

    pub(crate) fn content(&self, file: Inum) -> Option<&Rc<Vec<u8>>> {
        match self.nodes.get(&file) {
            Some(Node::File(content)) => Some(content),
            _ => None,
        }
    }

    fn entries_mut(&mut self, directory: Inum) -> Option<&mut Entries> {
        match self.nodes.get_mut(&directory) {
            Some(Node::Directory(entries)) => Some(Rc::make_mut(entries)),
            _ => None,
        }
    }

    fn content_mut(&mut self, file: Inum) -> Option<&mut Vec<u8>> {
        match self.nodes.get_mut(&file) {
            Some(Node::File(content)) => Some(Rc::make_mut(content)),
            _ => None,
        }
    }

    fn is_directory(&self, inum: Inum) -> bool {
        self.entries(inum).is_some()
    }

    /// The names a file has.
    pub(crate) fn links(&self, file: Inum) -> usize {
        let names = |node: &Node| match node {
            Node::Directory(entries) => entries.values().filter(|inum| **inum == file).count(),
            Node::File(_) => 0,
        };
        self.nodes.values().map(names).sum()
    }

    fn is_below(&self, inum: Inum, above: Inum) -> bool {
        inum == above || self.entries(above).is_some_and(|entries| entries.values().any(|c| self.is_below(inum, *c)))
    }

    fn drop_name(&mut self, directory: Inum, name: &[u8]) {
        let Some(inum) = self.entries_mut(directory).and_then(|entries| entries.remove(name)) else { return };
        if self.links(inum) == 0 {
            self.nodes.remove(&inum);
        }
    }

    /// True when the change is possible.
    pub(crate) fn allows(&self, edit: &Edit) -> bool {
        let free = |directory: Inum, name: &[u8]| self.entries(directory).is_some_and(|e| !e.contains_key(name));
        let find = |directory: Inum, name: &[u8]| self.entries(directory).and_then(|e| e.get(name)).copied();
        match edit {
            Edit::Create { directory, name, .. } => free(*directory, name),
            Edit::Write { file, .. } | Edit::Truncate { file, .. } | Edit::Punch { file, .. } => {
                self.content(*file).is_some()
            }
            Edit::Link { file, directory, name } => self.content(*file).is_some() && free(*directory, name),
            Edit::Unlink { directory, name } => find(*directory, name).is_some_and(|inum| !self.is_directory(inum)),
            Edit::RemoveDirectory { directory, name } => {
                find(*directory, name).and_then(|inum| self.entries(inum)).is_some_and(Entries::is_empty)
            }
            Edit::Rename { from, name, to, new_name } => {
                let Some(inum) = find(*from, name) else { return false };
                if self.entries(*to).is_none() || self.is_directory(inum) && self.is_below(*to, inum) {
                    return false;
                }
                match find(*to, new_name) {
                    Some(other) if other != inum => match (self.is_directory(inum), self.entries(other)) {
                        (true, Some(entries)) => entries.is_empty(),
                        (is_directory, other) => !is_directory && other.is_none(),
                    },
                    _ => true,
                }
            }
        }
    }

    /// Makes an allowed change; `made` is the number of the new inode, if it makes one.
    pub(crate) fn apply(&mut self, edit: Edit, made: Option<Inum>) {
        match edit {
            Edit::Create { directory, name, kind } => {
                let Some(made) = made else { return };
                let is_directory = kind == FileKind::Directory;
                let node = if is_directory { Node::Directory(Rc::default()) } else { Node::File(Rc::default()) };
                self.nodes.insert(made, node);
                self.entries_mut(directory).map(|entries| entries.insert(name, made));
            }
            Edit::Write { file, offset, data } => {
                let Some(content) = self.content_mut(file) else { return };
                if !data.is_empty() {
                    let (start, end) = (offset as usize, offset as usize + data.len());
                    content.resize(content.len().max(end), 0);
                    content[start..end].copy_from_slice(&data);
                }
            }
            Edit::Truncate { file, size } => {
                if let Some(content) = self.content_mut(file) {
                    content.resize(size as usize, 0);
                }
            }
            Edit::Punch { file, offset, bytes } => {
                if let Some(content) = self.content_mut(file) {
                    let start = (offset as usize).min(content.len());
                    let end = ((offset + bytes) as usize).min(content.len());
                    content[start..end].fill(0);
                }
            }
            Edit::Link { file, directory, name } => {
                self.entries_mut(directory).map(|entries| entries.insert(name, file));
            }
            Edit::Unlink { directory, name } | Edit::RemoveDirectory { directory, name } => {
                self.drop_name(directory, &name);
            }
            Edit::Rename { from, name, to, new_name } => {
                let find = |model: &Self, at: Inum, name: &[u8]| model.entries(at).and_then(|e| e.get(name)).copied();
                let Some(inum) = find(self, from, &name) else { return };
                if find(self, to, &new_name) == Some(inum) {
                    return;
                }
                self.drop_name(to, &new_name);
                self.entries_mut(from).map(|entries| entries.remove(&name));
                self.entries_mut(to).map(|entries| entries.insert(new_name, inum));
            }
        }
    }
}
