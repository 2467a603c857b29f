//! What a filesystem should hold: one model, of maps and vectors, that tests, the soak and the simulator hold the real one
//! against.
//!
//! A [`Model`] is plain data and does no I/O. A [`Change`] names what it is about by the numbers of inodes, a [`Step`] by paths;
//! a step is looked up in a model and becomes a change. [`Dice`] throws steps at random. Who reads a real filesystem makes a
//! model of what is found, and [`difference`] says how it differs from the one that was expected.
//!
//! Nothing of the core is here, neither types nor code: what a filesystem is held against shares nothing with it.
//!
//! ```
//! use hammer2_model::{Change, Model, New, Number, Numbers, Step, difference};
//!
//! let mut model = Model::new();
//! assert!(Step::Mkdir("directory".into()).apply(&mut model));
//! assert!(!Step::Create("elsewhere/file".into()).apply(&mut model), "there is no such directory");
//!
//! // The same by numbers, as a filesystem gives them to what it makes.
//! let mut found = Model::new();
//! let create = Change::Create { directory: Number::ROOT, name: "directory".into(), new: New::Directory };
//! assert!(found.make(create, Some(Number(0x400))));
//! assert_eq!(difference(&found, &model, Numbers::Any), None);
//! ```
#![forbid(unsafe_code)]

mod change;
mod dice;
mod difference;
mod step;

pub use change::{Change, New};
pub use dice::Dice;
pub use difference::{Numbers, difference};
pub use step::{Bytes, Step, bytes};

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

/// What a file, directory or symbolic link is known by, whatever its names: the number of its inode, or any other.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Number(pub u64);

impl Number {
    /// The root directory.
    pub const ROOT: Self = Self(1);
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}", self.0)
    }
}

impl fmt::Debug for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// What is in a directory: names, and the numbers of what they name.
pub type Entries = BTreeMap<String, Number>;

/// A file, directory or symbolic link. Copies share its content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Node {
    /// A directory.
    Directory(Arc<Entries>),
    /// A regular file.
    File {
        /// All its bytes.
        content: Arc<Vec<u8>>,
        /// Its names.
        links: u64,
    },
    /// A symbolic link.
    Symlink {
        /// Where it leads.
        target: Arc<str>,
        /// Its names.
        links: u64,
    },
}

impl Node {
    /// A directory with nothing in it.
    pub fn directory() -> Self {
        Self::Directory(Arc::default())
    }

    /// Its names; none for a directory, whose count nobody keeps.
    pub fn links(&self) -> Option<u64> {
        match self {
            Self::Directory(_) => None,
            Self::File { links, .. } | Self::Symlink { links, .. } => Some(*links),
        }
    }

    fn links_mut(&mut self) -> Option<&mut u64> {
        match self {
            Self::Directory(_) => None,
            Self::File { links, .. } | Self::Symlink { links, .. } => Some(links),
        }
    }
}

/// A state of a PFS. Copies are cheap: they share what doesn't change. Two states are equal if all is the same in them, numbers
/// too.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Model {
    nodes: BTreeMap<Number, Node>,
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
            nodes: BTreeMap::from([(Number::ROOT, Node::directory())]),
            snapshots: BTreeMap::new(),
            has_grown: false,
        }
    }

    /// What has a number.
    pub fn get(&self, number: Number) -> Option<&Node> {
        self.nodes.get(&number)
    }

    /// Puts what was found under its number, in place of what was there, for a model of what was read.
    pub fn insert(&mut self, number: Number, node: Node) {
        self.nodes.insert(number, node);
    }

    /// Everything there is, by number.
    pub fn nodes(&self) -> impl ExactSizeIterator<Item = (Number, &Node)> {
        self.nodes.iter().map(|(number, node)| (*number, node))
    }

    /// The numbers of all directories, the root's too.
    pub fn directory_numbers(&self) -> Vec<Number> {
        self.nodes().filter_map(|(number, node)| matches!(node, Node::Directory(_)).then_some(number)).collect()
    }

    /// The numbers of all regular files.
    pub fn file_numbers(&self) -> Vec<Number> {
        self.nodes().filter_map(|(number, node)| matches!(node, Node::File { .. }).then_some(number)).collect()
    }

    /// What is in a directory; none for what is none.
    pub fn entries(&self, directory: Number) -> Option<&Entries> {
        match self.get(directory)? {
            Node::Directory(entries) => Some(entries),
            _ => None,
        }
    }

    fn entries_mut(&mut self, directory: Number) -> Option<&mut Entries> {
        match self.nodes.get_mut(&directory)? {
            Node::Directory(entries) => Some(Arc::make_mut(entries)),
            _ => None,
        }
    }

    /// What a name in a directory names.
    pub fn entry(&self, directory: Number, name: &str) -> Option<Number> {
        self.entries(directory)?.get(name).copied()
    }

    /// The content of a regular file.
    pub fn content_of(&self, file: Number) -> Option<&Vec<u8>> {
        match self.get(file)? {
            Node::File { content, .. } => Some(content),
            _ => None,
        }
    }

    fn content_of_mut(&mut self, file: Number) -> Option<&mut Vec<u8>> {
        match self.nodes.get_mut(&file)? {
            Node::File { content, .. } => Some(Arc::make_mut(content)),
            _ => None,
        }
    }

    /// The first that has another number of names than it says.
    pub fn miscounted(&self) -> Option<String> {
        let mut names: BTreeMap<Number, u64> = BTreeMap::new();
        let entries = self.nodes.values().filter_map(|node| match node {
            Node::Directory(entries) => Some(entries.values()),
            _ => None,
        });
        entries.flatten().for_each(|number| *names.entry(*number).or_default() += 1);
        self.nodes().find_map(|(number, node)| {
            let (links, names) = (node.links()?, names.get(&number).copied().unwrap_or(0));
            (links != names).then(|| format!("inode {number} has {names} names and says {links}"))
        })
    }

    /// What a path names.
    pub fn find(&self, path: &str) -> Option<Number> {
        path.split('/').filter(|name| !name.is_empty()).try_fold(Number::ROOT, |at, name| self.entry(at, name))
    }

    /// All paths except the root's, the content of each directory before the directory.
    pub fn paths(&self) -> Vec<String> {
        let mut paths = Vec::new();
        let mut pending = vec![(String::new(), Number::ROOT)];
        while let Some((path, number)) = pending.pop() {
            for (name, child) in self.entries(number).into_iter().flatten() {
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
        let mut found = vec![(String::new(), Number::ROOT)];
        let mut next = 0;
        while let Some((path, number)) = found.get(next).cloned() {
            for (name, child) in self.entries(number).into_iter().flatten() {
                if self.entries(*child).is_some() {
                    found.push((join(&path, name), *child));
                }
            }
            next += 1;
        }
        found.into_iter().map(|(path, _)| path).collect()
    }

    /// The content of the regular file that a path names.
    pub fn content(&self, path: &str) -> Option<&Vec<u8>> {
        self.content_of(self.find(path)?)
    }

    /// The same, to be changed.
    pub fn content_mut(&mut self, path: &str) -> Option<&mut Vec<u8>> {
        self.content_of_mut(self.find(path)?)
    }

    /// What is in a directory as a state of its own, of which the directory is the root; none if there is no such directory.
    pub fn below(&self, path: &str) -> Option<Self> {
        let top = self.find(path)?;
        self.entries(top)?;
        let mut below = self.clone();
        below.insert(Number::ROOT, self.get(top)?.clone());
        Some(below)
    }

    /// Takes a snapshot; false if there is one of that label.
    pub fn snapshot(&mut self, label: &str) -> bool {
        if self.snapshots.contains_key(label) {
            return false;
        }
        let copy = Self { snapshots: BTreeMap::new(), ..self.clone() };
        self.snapshots.insert(label.to_owned(), Arc::new(copy));
        true
    }

    /// The snapshots that were taken, by label.
    pub fn snapshots(&self) -> impl Iterator<Item = (&str, &Model)> {
        self.snapshots.iter().map(|(label, snapshot)| (&label[..], &**snapshot))
    }
}

/// A path's directory and last name.
pub fn split(path: &str) -> (&str, &str) {
    path.rsplit_once('/').unwrap_or(("", path))
}

/// The path of a name in a directory.
fn join(directory: &str, name: &str) -> String {
    if directory.is_empty() { name.to_owned() } else { format!("{directory}/{name}") }
}
