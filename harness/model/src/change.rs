//! Changes by the numbers of inodes: when each is possible, and what it does.

use std::fmt;
use std::sync::Arc;

use crate::{Entries, Model, Node, Number};

/// What is made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum New {
    /// An empty directory.
    Directory,
    /// An empty regular file.
    Regular,
    /// A symbolic link that leads there.
    Symlink(String),
}

/// A change of a filesystem.
#[derive(Clone, PartialEq, Eq)]
pub enum Change {
    /// Makes something under a new name.
    Create {
        /// Where.
        directory: Number,
        /// Its name.
        name: String,
        /// What.
        new: New,
    },
    /// Writes bytes; writing none changes nothing, wherever.
    Write {
        /// Where.
        file: Number,
        /// The place of the first byte.
        offset: u64,
        /// What is written.
        data: Vec<u8>,
    },
    /// Cuts or extends to a size in bytes.
    Truncate {
        /// What.
        file: Number,
        /// The new size.
        size: u64,
    },
    /// Makes a range a hole, as far as the file goes.
    Punch {
        /// Where.
        file: Number,
        /// The first byte.
        offset: u64,
        /// How many.
        bytes: u64,
    },
    /// Gives a file a range of another, as far as that goes, or another range of its own: the two must not overlap.
    Clone {
        /// What is read.
        from: Number,
        /// Its first byte.
        offset: u64,
        /// What is written.
        to: Number,
        /// Its first byte.
        to_offset: u64,
        /// How many.
        bytes: u64,
    },
    /// Gives what isn't a directory another name.
    Link {
        /// What.
        file: Number,
        /// Where the name is to be.
        directory: Number,
        /// The name.
        name: String,
    },
    /// Takes a name away from what isn't a directory.
    Unlink {
        /// Where the name is.
        directory: Number,
        /// The name.
        name: String,
    },
    /// Removes an empty directory.
    RemoveDirectory {
        /// Where the name is.
        directory: Number,
        /// The name.
        name: String,
    },
    /// Moves a name, in place of what bears the new one. Nothing is done if both name the same.
    Rename {
        /// Where the name is.
        from: Number,
        /// The name.
        name: String,
        /// Where it is to be.
        to: Number,
        /// The name there.
        new_name: String,
    },
    /// Has two names change places.
    Exchange {
        /// Where the one name is.
        first: Number,
        /// The one name.
        name: String,
        /// Where the other name is.
        second: Number,
        /// The other name.
        other: String,
    },
}

impl fmt::Debug for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Create { directory, name, new } => write!(f, "create {new:?} {name} in {directory}"),
            Self::Write { file, offset, data } => write!(f, "write {} bytes to {file} at {offset}", data.len()),
            Self::Truncate { file, size } => write!(f, "truncate {file} to {size}"),
            Self::Punch { file, offset, bytes } => write!(f, "punch {bytes} bytes of {file} at {offset}"),
            Self::Clone { from, offset, to, to_offset, bytes } => {
                write!(f, "clone {bytes} bytes of {from} at {offset} to {to} at {to_offset}")
            }
            Self::Link { file, directory, name } => write!(f, "link {file} as {name} in {directory}"),
            Self::Unlink { directory, name } => write!(f, "unlink {name} in {directory}"),
            Self::RemoveDirectory { directory, name } => write!(f, "rmdir {name} in {directory}"),
            Self::Rename { from, name, to, new_name } => write!(f, "rename {name} in {from} to {new_name} in {to}"),
            Self::Exchange { first, name, second, other } => {
                write!(f, "exchange {name} in {first} and {other} in {second}")
            }
        }
    }
}

impl Change {
    /// What may have been done of a write that failed: whole blocks of so many bytes from its beginning, none of them, or all of
    /// it. Other changes are done or not.
    pub fn parts(&self, block_bytes: u64) -> impl Iterator<Item = Self> {
        let write = match self {
            Self::Write { file, offset, data } => Some((*file, *offset, data)),
            _ => None,
        };
        write.into_iter().flat_map(move |(file, offset, data)| {
            let is_end = move |end: &usize| (offset + *end as u64).is_multiple_of(block_bytes) || *end == 0;
            let ends = (0..data.len()).filter(is_end).chain([data.len()]);
            ends.map(move |end| Self::Write { file, offset, data: data[..end].to_vec() })
        })
    }
}

impl Model {
    /// True for a change that can be made.
    pub fn allows(&self, change: &Change) -> bool {
        let is_free = |at: Number, name: &str| self.entries(at).is_some_and(|entries| !entries.contains_key(name));
        match change {
            Change::Create { directory, name, .. } => is_free(*directory, name),
            Change::Write { file, .. } | Change::Truncate { file, .. } | Change::Punch { file, .. } => {
                self.content_of(*file).is_some()
            }
            Change::Clone { from, offset, to, to_offset, bytes } => {
                let Some(source) = self.content_of(*from) else { return false };
                let bytes = (*bytes).min((source.len() as u64).saturating_sub(*offset));
                let overlaps = offset.abs_diff(*to_offset) < bytes;
                self.content_of(*to).is_some() && !(from == to && overlaps)
            }
            Change::Link { file, directory, name } => {
                self.get(*file).is_some_and(|node| node.links().is_some()) && is_free(*directory, name)
            }
            Change::Unlink { directory, name } => {
                self.entry(*directory, name).is_some_and(|number| self.entries(number).is_none())
            }
            Change::RemoveDirectory { directory, name } => {
                self.entry(*directory, name).and_then(|number| self.entries(number)).is_some_and(Entries::is_empty)
            }
            Change::Rename { from, name, to, new_name } => {
                let Some(moved) = self.entry(*from, name) else { return false };
                if self.entries(*to).is_none() || self.is_below(*to, moved) {
                    return false;
                }
                match self.entry(*to, new_name) {
                    Some(replaced) if replaced != moved => match (self.entries(moved), self.entries(replaced)) {
                        (Some(_), Some(entries)) => entries.is_empty(),
                        (moved, replaced) => moved.is_none() && replaced.is_none(),
                    },
                    _ => true,
                }
            }
            Change::Exchange { first, name, second, other } => {
                let (Some(one), Some(two)) = (self.entry(*first, name), self.entry(*second, other)) else {
                    return false;
                };
                one == two || !self.is_below(*second, one) && !self.is_below(*first, two)
            }
        }
    }

    /// What a clone writes, as the change that writes it; any other change as it is.
    pub fn as_write(&self, change: Change) -> Change {
        let Change::Clone { from, offset, to, to_offset, bytes } = change else { return change };
        let content = self.content_of(from).map_or(&[][..], Vec::as_slice);
        let start = (offset as usize).min(content.len());
        let data = content[start..start + (bytes as usize).min(content.len() - start)].to_vec();
        Change::Write { file: to, offset: to_offset, data }
    }

    /// Makes a change; false if it isn't possible, and then nothing was done. `made` is the number that what is created was
    /// given; without one it gets the next that is free.
    pub fn make(&mut self, change: Change, made: Option<Number>) -> bool {
        if !self.allows(&change) {
            return false;
        }
        match self.as_write(change) {
            // It was made a write.
            Change::Clone { .. } => {}
            Change::Create { directory, name, new } => {
                let made = made.unwrap_or_else(|| self.free_number());
                let node = match new {
                    New::Directory => Node::directory(),
                    New::Regular => Node::File { content: Arc::default(), links: 1 },
                    New::Symlink(target) => Node::Symlink { target: target.into(), links: 1 },
                };
                self.insert(made, node);
                self.set_entry(directory, name, made);
            }
            Change::Write { file, offset, data } => {
                if let Some(content) = self.content_of_mut(file)
                    && !data.is_empty()
                {
                    let (start, end) = (offset as usize, offset as usize + data.len());
                    content.resize(content.len().max(end), 0);
                    content[start..end].copy_from_slice(&data);
                }
            }
            Change::Truncate { file, size } => {
                if let Some(content) = self.content_of_mut(file) {
                    content.resize(size as usize, 0);
                }
            }
            Change::Punch { file, offset, bytes } => {
                if let Some(content) = self.content_of_mut(file) {
                    let start = (offset as usize).min(content.len());
                    let end = ((offset + bytes) as usize).min(content.len());
                    content[start..end].fill(0);
                }
            }
            Change::Link { file, directory, name } => {
                if let Some(links) = self.nodes.get_mut(&file).and_then(Node::links_mut) {
                    *links += 1;
                }
                self.set_entry(directory, name, file);
            }
            Change::Unlink { directory, name } | Change::RemoveDirectory { directory, name } => {
                self.drop_name(directory, &name);
            }
            Change::Rename { from, name, to, new_name } => {
                let moved = self.entry(from, &name);
                if let Some(moved) = moved.filter(|moved| self.entry(to, &new_name) != Some(*moved)) {
                    self.drop_name(to, &new_name);
                    self.entries_mut(from).map(|entries| entries.remove(&name));
                    self.set_entry(to, new_name, moved);
                }
            }
            Change::Exchange { first, name, second, other } => {
                if let (Some(one), Some(two)) = (self.entry(first, &name), self.entry(second, &other)) {
                    self.set_entry(first, name, two);
                    self.set_entry(second, other, one);
                }
            }
        }
        true
    }

    fn set_entry(&mut self, directory: Number, name: String, number: Number) {
        self.entries_mut(directory).map(|entries| entries.insert(name, number));
    }

    fn drop_name(&mut self, directory: Number, name: &str) {
        let Some(number) = self.entries_mut(directory).and_then(|entries| entries.remove(name)) else { return };
        let left = self.nodes.get_mut(&number).and_then(Node::links_mut).map_or(0, |links| {
            *links -= 1;
            *links
        });
        if left == 0 {
            self.nodes.remove(&number);
        }
    }

    fn free_number(&self) -> Number {
        Number(self.nodes.keys().next_back().map_or(Number::ROOT.0, |last| last.0 + 1))
    }

    /// True for a directory, and all that is in it, to any depth.
    fn is_below(&self, number: Number, above: Number) -> bool {
        number == above
            || self.entries(above).is_some_and(|entries| entries.values().any(|child| self.is_below(number, *child)))
    }
}
