//! How a member is named: by its image, its node number, or its fsid.

use std::cell::RefCell;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use hammer2_core::cluster::NodeIndex;
use hammer2_core::media::Uuid;
use serde::{Deserialize, Serialize};

use super::{Refused, Site, whole_path};

/// What the user calls a member.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Name {
    text: String,
    image: PathBuf,
}

impl Name {
    /// A name as it was given.
    pub fn new(name: &OsStr) -> Self {
        Self { text: name.to_string_lossy().into_owned(), image: whole_path(Path::new(name)) }
    }

    /// True if the name is this fsid.
    pub(super) fn is_fsid(&self, fsid: Uuid) -> bool {
        self.text == fsid.to_string()
    }

    fn unknown(&self) -> Refused {
        Refused::unusable(format_args!("{} is no node here: name one by its image, number or fsid", self.text))
    }
}

/// A node that was named and couldn't be opened.
#[derive(Clone, Debug)]
pub struct LeftOut {
    /// Its images.
    pub images: Vec<PathBuf>,
    /// Why the last attempt to open it failed.
    pub why: String,
}

/// The images of nodes.
#[derive(Clone, Default)]
pub struct Images {
    /// Of each node.
    opened: RefCell<Vec<Vec<PathBuf>>>,
    /// Nodes that couldn't be opened so far.
    left_out: RefCell<Vec<LeftOut>>,
    /// All of them, as the argument of a command.
    place: String,
    /// `place` is the directory that they are mounted on.
    is_mounted: bool,
}

impl Images {
    /// The images of nodes, each with its node's number, or why it couldn't be opened.
    pub fn new<'n>(nodes: impl IntoIterator<Item = (&'n Vec<PathBuf>, Result<NodeIndex, String>)>) -> Self {
        let images = Self::default();
        for (volumes, node) in nodes {
            let volumes = volumes.iter().map(|image| whole_path(image)).collect();
            match node {
                Ok(node) => images.note(node, volumes),
                Err(why) => images.left_out.borrow_mut().push(LeftOut { images: volumes, why }),
            }
        }
        images
    }

    /// The same, for a cluster that commands call `place`: its nodes, or the directory it is mounted on.
    pub fn at(self, place: impl Into<String>) -> Self {
        Self { place: place.into(), ..self }
    }

    /// The same, for a cluster that is mounted on a directory.
    pub(crate) fn mounted_on(self, directory: impl Into<String>) -> Self {
        Self { is_mounted: true, ..self.at(directory) }
    }

    /// True for those of a mount.
    pub(super) fn are_mounted(&self) -> bool {
        self.is_mounted
    }

    /// The whole cluster as the argument of a command.
    pub(crate) fn place(&self) -> &str {
        &self.place
    }

    /// The command that brings nodes back, as a phrase to append to why they left.
    pub fn resync_advice(&self) -> String {
        format!("; once its disk is back, `hammer2 cluster resync {}` brings it in step", self.place)
    }

    /// A node as the argument of a command.
    pub(super) fn member(&self, node: NodeIndex) -> String {
        self.of(node).into_iter().next().unwrap_or_else(|| node.to_string())
    }

    /// The nodes that were opened.
    pub(super) fn nodes(&self) -> impl Iterator<Item = NodeIndex> {
        (0..self.opened.borrow().len() as u8).map(NodeIndex)
    }

    /// The nodes that couldn't be opened so far.
    pub(crate) fn left_out(&self) -> Vec<LeftOut> {
        self.left_out.borrow().clone()
    }

    /// Notes that another attempt to open a node failed.
    pub(crate) fn note_left_out(&self, volumes: &[PathBuf], why: &str) {
        for known in self.left_out.borrow_mut().iter_mut().filter(|known| known.images == volumes) {
            why.clone_into(&mut known.why);
        }
    }

    /// Notes that a node was opened from these volumes.
    pub(crate) fn note(&self, node: NodeIndex, volumes: Vec<PathBuf>) {
        self.left_out.borrow_mut().retain(|known| known.images != volumes);
        let mut opened = self.opened.borrow_mut();
        let count = opened.len().max(usize::from(node.0) + 1);
        opened.resize(count, Vec::new());
        opened[usize::from(node.0)] = volumes;
    }

    /// The images of a node.
    pub fn of(&self, node: NodeIndex) -> Vec<String> {
        let opened = self.opened.borrow();
        let volumes = opened.get(usize::from(node.0)).into_iter().flatten();
        volumes.map(|image| image.to_string_lossy().into_owned()).collect()
    }

    /// What a node is called: by its images, and its number.
    pub fn called(&self, node: NodeIndex) -> String {
        format!("{} (node {})", self.of(node).join(":"), node.0)
    }

    /// The last node with one of these images, if there is one: a disk may have got the name of one that is gone.
    pub(super) fn node_with(&self, images: &[PathBuf]) -> Option<NodeIndex> {
        let has_one = |volumes: &Vec<PathBuf>| volumes.iter().any(|image| images.contains(image));
        self.opened.borrow().iter().rposition(has_one).map(|place| NodeIndex(place as u8))
    }

    /// The node that the user names.
    pub fn node(&self, name: &Name) -> Result<NodeIndex, Refused> {
        let count = self.opened.borrow().len();
        let by_number = || name.text.parse().ok().filter(|number| usize::from(*number) < count).map(NodeIndex);
        self.node_with(std::slice::from_ref(&name.image)).or_else(by_number).ok_or_else(|| name.unknown())
    }

    fn is_left_out(&self, name: &Name) -> bool {
        self.left_out.borrow().iter().flat_map(|node| &node.images).any(|image| *image == name.image)
    }
}

impl Site<'_> {
    /// The fsid of a member that the user names. A member that can't be opened, or has no record, is the missing member, if only
    /// one is missing.
    pub(super) fn member(&self, name: &Name) -> Result<Uuid, Refused> {
        let missing: Vec<Uuid> = self.fs.missing_members().iter().map(|member| member.fsid).collect();
        let by_fsid = self.fs.member_statuses().map(|member| member.fsid).chain(missing.iter().copied());
        if let Some(fsid) = { by_fsid }.find(|fsid| name.is_fsid(*fsid)) {
            return Ok(fsid);
        }
        let found = self.images.node(name);
        let of_node = |node| {
            let member = self.fs.member_statuses().find(|member| member.node == node);
            member.filter(|member| member.unreadable.is_none()).map(|member| member.fsid)
        };
        match (found.map(of_node), &missing[..]) {
            (Ok(Some(fsid)), _) => Ok(fsid),
            (_, [only]) => Ok(*only),
            _ if self.images.is_left_out(name) => Err(Refused::unusable(format_args!(
                "{} isn't there, and {} members are missing: name it by its fsid, which `hammer2 cluster status {}` shows",
                name.text,
                missing.len(),
                self.images.place()
            ))),
            _ => Err(name.unknown()),
        }
    }
}
