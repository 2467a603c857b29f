//! A PFS under construction: its inodes and what they lead to, to be written by the next commit.

use zerocopy::IntoBytes;

use super::ImageError;
use super::content::Content;
use super::store::{Store, set_sums};
use super::tree::{IndirectSizes, pack};
use crate::media::blockref::BlockFlags;
use crate::media::dirent::EMBEDDED_NAME_BYTES;
use crate::media::geometry::FILE_BLOCK_BYTES;
use crate::media::inode::{EMBEDDED_BYTES, InodeFlags, hidden_name};
use crate::media::volume_header::SET_ENTRIES;
use crate::media::{
    BlockKind, Blockref, CheckMethod, Compression, Dirent, FileKind, Inode, Inum, Key, KeyBits, Methods, Radix,
    Timestamp, directory_hash,
};
use crate::memory::{self, Box, Heap, NoMemory, Vec};

/// A regular file to be made.
#[derive(Clone, Copy, Debug)]
pub struct FileRecipe {
    /// Length in bytes.
    pub size: u64,
    /// Its content.
    pub content: Content,
    /// How its data is protected.
    pub check: CheckMethod,
    /// How its data is compressed.
    pub compression: Compression,
    /// True to put content of up to 512 bytes into the inode.
    pub embed: bool,
    /// Sizes of its indirect blocks.
    pub indirects: IndirectSizes,
}

impl FileRecipe {
    /// A file stored as usual.
    pub fn new(size: u64, content: Content) -> Self {
        Self {
            size,
            content,
            check: CheckMethod::XxHash64,
            compression: Compression::Lz4,
            embed: true,
            indirects: IndirectSizes::FILE,
        }
    }
}

/// An inode and what it leads to.
struct Node {
    inode: Inode,
    /// Directory entries or data blocks, in the order of their keys.
    entries: Vec<Blockref>,
    indirects: IndirectSizes,
    /// Methods of the inode's own entry.
    methods: Methods,
    /// The entry, once the inode is written.
    placed: Option<Blockref>,
}

/// A PFS. Inodes are numbered in the order in which they are made; the first is the root.
pub(super) struct Pfs {
    nodes: Vec<Node>,
    /// The root's entry in the super-root.
    pub(super) root: Blockref,
    /// True when nothing can be added, because only the root is known.
    sealed: bool,
    heap: Heap,
}

impl Pfs {
    /// The PFS of a root on media. Unless `sealed`, it must be empty.
    pub(super) fn new(heap: Heap, root: Blockref, inode: Inode, sealed: bool) -> Result<Self, NoMemory> {
        let mut nodes = Vec::new_in(heap);
        let node = Node {
            inode,
            entries: Vec::new_in(heap),
            indirects: IndirectSizes::DIRECTORY,
            methods: root.methods,
            placed: Some(root),
        };
        memory::push(&mut nodes, node)?;
        Ok(Self { nodes, root, sealed, heap })
    }

    pub(super) fn label(&self) -> &[u8] {
        self.nodes.first().and_then(|root| root.inode.meta.label().ok()).unwrap_or_default()
    }

    pub(super) fn root_inode(&self) -> Result<&Inode, ImageError> {
        self.nodes.first().map(|root| &root.inode).ok_or(ImageError::Missing("root"))
    }

    fn node(&mut self, inum: Inum) -> Result<&mut Node, ImageError> {
        let index = if inum == Inum::PFS_ROOT { 0 } else { inum.0.wrapping_sub(Inum::FIRST_DYNAMIC.0 - 1) };
        let index = usize::try_from(index).map_err(|_| ImageError::Missing("inode"))?;
        self.nodes.get_mut(index).ok_or(ImageError::Missing("inode"))
    }

    /// Writes what isn't written yet; returns the root's entry.
    pub(super) fn commit(&mut self, store: &mut Store) -> Result<(), ImageError> {
        if self.sealed || self.nodes.iter().all(|node| node.placed.is_some()) {
            return Ok(());
        }
        let mut entries = Vec::new_in(self.heap);
        for node in self.nodes.iter_mut().skip(1) {
            let entry = match node.placed {
                Some(entry) => entry,
                None => node.place(store, None)?,
            };
            memory::push(&mut entries, entry)?;
        }
        let last = Inum(Inum::FIRST_DYNAMIC.0 + entries.len() as u64);
        let root = self.nodes.first_mut().ok_or(ImageError::Missing("root"))?;
        root.inode.meta.set_pfs_inum(last);
        for entry in &root.entries {
            memory::push(&mut entries, *entry)?;
        }
        self.root = root.place(store, Some(&entries))?;
        Ok(())
    }
}

impl Node {
    /// Writes the inode, leading to `entries`, or otherwise to its own.
    fn place(&mut self, store: &mut Store, entries: Option<&[Blockref]>) -> Result<Blockref, ImageError> {
        let mut entry = Blockref::new(BlockKind::Inode, self.inode.meta.name_key(), KeyBits(0), self.methods);
        entry.set_modify_tid(store.next_modify_tid());
        if self.inode.meta.flags().contains(InodeFlags::PFSROOT) {
            entry.set_flags(BlockFlags::PFSROOT);
        }
        if self.inode.block_array().is_some() {
            let entries = entries.unwrap_or(&self.entries);
            let packed = pack(store, entries, SET_ENTRIES, self.methods, self.indirects)?;
            self.inode.body.fill(0);
            self.inode.body[..size_of_val(&*packed)].copy_from_slice(packed.as_bytes());
            set_sums(&mut entry, &packed)?;
        }
        let entry = store.put(entry, self.inode.as_bytes())?;
        self.placed = Some(entry);
        Ok(entry)
    }
}

/// Adds to a PFS.
pub struct Editor<'i> {
    pub(super) store: &'i mut Store,
    pub(super) pfs: &'i mut Pfs,
    pub(super) now: Timestamp,
}

impl Editor<'_> {
    /// Adds a directory.
    pub fn directory(&mut self, parent: Inum, name: &[u8]) -> Result<Inum, ImageError> {
        self.create(parent, name, Inode::new(FileKind::Directory), IndirectSizes::DIRECTORY)
    }

    /// Adds a directory whose indirect blocks are as small as they get.
    pub fn deep_directory(&mut self, parent: Inum, name: &[u8]) -> Result<Inum, ImageError> {
        self.create(parent, name, Inode::new(FileKind::Directory), IndirectSizes::DEEP)
    }

    /// Adds a regular file.
    pub fn file(&mut self, parent: Inum, name: &[u8], recipe: &FileRecipe) -> Result<Inum, ImageError> {
        let mut inode = Inode::new(FileKind::Regular);
        inode.meta.set_size(recipe.size);
        let embed = recipe.embed && recipe.size <= EMBEDDED_BYTES as u64;
        let mut block = new_block(self.pfs.heap)?;
        if embed {
            recipe.content.fill(0, recipe.size, &mut block);
            inode.meta.set_flags(InodeFlags::DIRECTDATA);
            inode.body.copy_from_slice(&block[..EMBEDDED_BYTES]);
        }
        let inum = self.create(parent, name, inode, recipe.indirects)?;
        let node = self.pfs.node(inum)?;
        node.inode.meta.check_algo = recipe.check as u8;
        node.inode.meta.comp_algo = recipe.compression as u8;
        if !embed {
            let methods = Methods::new(recipe.check, recipe.compression);
            let omit_zeros = recipe.check != CheckMethod::None && recipe.compression != Compression::None;
            for index in recipe.content.written_blocks(recipe.size) {
                recipe.content.fill(index, recipe.size, &mut block);
                if omit_zeros && block.iter().all(|byte| *byte == 0) {
                    continue;
                }
                let key = Key(index * FILE_BLOCK_BYTES as u64);
                let physical = physical_bytes(recipe.size - key.0);
                let entry = self.store.put_data(key, methods, &block[..physical])?;
                memory::push(&mut self.pfs.node(inum)?.entries, entry)?;
            }
        }
        Ok(inum)
    }

    /// Adds a symbolic link.
    pub fn symlink(&mut self, parent: Inum, name: &[u8], target: &[u8]) -> Result<Inum, ImageError> {
        let mut inode = Inode::new(FileKind::Symlink);
        inode.meta.set_size(target.len() as u64);
        if let Some(body) = inode.body.get_mut(..target.len()) {
            body.copy_from_slice(target);
            inode.meta.set_flags(InodeFlags::DIRECTDATA);
            return self.create(parent, name, inode, IndirectSizes::FILE);
        }
        let inum = self.create(parent, name, inode, IndirectSizes::FILE)?;
        let mut block = new_block(self.pfs.heap)?;
        block.get_mut(..target.len()).ok_or(ImageError::NoSpace)?.copy_from_slice(target);
        let methods = Methods::new(CheckMethod::XxHash64, Compression::None);
        let entry = self.store.put_data(Key(0), methods, &block[..physical_bytes(target.len() as u64)])?;
        memory::push(&mut self.pfs.node(inum)?.entries, entry)?;
        Ok(inum)
    }

    /// Adds a device, pipe or socket.
    pub fn special(
        &mut self,
        parent: Inum,
        name: &[u8],
        kind: FileKind,
        device: (u32, u32),
    ) -> Result<Inum, ImageError> {
        let mut inode = Inode::new(kind);
        inode.meta.rmajor = device.0.into();
        inode.meta.rminor = device.1.into();
        self.create(parent, name, inode, IndirectSizes::FILE)
    }

    /// Gives a file one more name.
    pub fn link(&mut self, parent: Inum, name: &[u8], inum: Inum) -> Result<(), ImageError> {
        let node = self.pfs.node(inum)?;
        let kind = node.inode.meta.kind()?;
        node.inode.meta.set_nlinks(node.inode.meta.nlinks() + 1);
        node.placed = None;
        self.enter(parent, name, inum, kind)
    }

    /// Adds a name without checking that the inode exists.
    pub fn enter(&mut self, parent: Inum, name: &[u8], inum: Inum, kind: FileKind) -> Result<(), ImageError> {
        let modify_tid = self.store.next_modify_tid();
        let tid = self.store.tid;
        let directory = self.pfs.node(parent)?;
        let hash = directory_hash(name);
        let mut key = hash.first;
        let start = directory.entries.partition_point(|entry| entry.key() < key);
        let mut at = start;
        while directory.entries.get(at).is_some_and(|entry| entry.key() == key) {
            key.0 += 1;
            at += 1;
        }
        if key > hash.last {
            return Err(ImageError::HashFull);
        }
        let dirent = Dirent { inum, name_len: name.len(), kind };
        let methods = directory.methods;
        let mut entry = dirent.blockref(key, name, methods);
        if name.len() > EMBEDDED_NAME_BYTES {
            let mut block = [0; Radix::MIN.bytes()];
            block.get_mut(..name.len()).ok_or(ImageError::NoSpace)?.copy_from_slice(name);
            entry = self.store.put(entry, &block)?;
        }
        entry.set_mirror_tid(tid);
        entry.set_modify_tid(modify_tid);
        let directory = self.pfs.node(parent)?;
        directory.placed = None;
        directory.entries.try_reserve(1).map_err(|_| NoMemory)?;
        directory.entries.insert(at, entry);
        self.touch_root()
    }

    /// Removes a name and leaves the inode as it is.
    pub fn forget_name(&mut self, parent: Inum, name: &[u8], inum: Inum) -> Result<(), ImageError> {
        let directory = self.pfs.node(parent)?;
        let hash = directory_hash(name);
        let is_meant = |entry: &Blockref| {
            let is_alike = (hash.first..=hash.last).contains(&entry.key());
            is_alike && Dirent::read(entry).is_ok_and(|dirent| dirent.inum == inum && dirent.name_len == name.len())
        };
        let at = directory.entries.iter().position(is_meant).ok_or(ImageError::Missing("name"))?;
        directory.entries.remove(at);
        directory.placed = None;
        self.touch_root()
    }

    /// Changes the inode of a file with `change`, before it is written.
    pub fn alter(&mut self, inum: Inum, change: impl FnOnce(&mut Inode)) -> Result<(), ImageError> {
        let node = self.pfs.node(inum)?;
        change(&mut node.inode);
        node.placed = None;
        self.touch_root()
    }

    /// Notes a change of the root, which leads to every inode.
    fn touch_root(&mut self) -> Result<(), ImageError> {
        self.pfs.node(Inum::PFS_ROOT)?.placed = None;
        Ok(())
    }

    fn create(
        &mut self,
        parent: Inum,
        name: &[u8],
        mut inode: Inode,
        indirects: IndirectSizes,
    ) -> Result<Inum, ImageError> {
        if self.pfs.sealed {
            return Err(ImageError::Missing("PFS to add to"));
        }
        let inum = Inum(Inum::FIRST_DYNAMIC.0 + self.pfs.nodes.len() as u64 - 1);
        let above = &self.pfs.node(parent)?.inode.meta;
        let (check_algo, comp_algo) = (above.check_algo, above.comp_algo);
        let check = match CheckMethod::from_code(check_algo)? {
            CheckMethod::None => CheckMethod::XxHash64,
            check => check,
        };
        let methods = Methods::new(check, Compression::from_code(comp_algo & 0xf)?);
        let kind = inode.meta.kind()?;
        let meta = &mut inode.meta;
        meta.set_ctime(self.now);
        meta.set_mtime(self.now);
        meta.set_atime(self.now);
        meta.set_btime(self.now);
        meta.set_mode(if kind == FileKind::Directory { 0o755 } else { 0o644 });
        meta.set_inum(inum);
        meta.set_name_key(inum.key());
        meta.set_name(&hidden_name(inum));
        meta.set_nlinks(1);
        meta.set_iparent(parent);
        (meta.check_algo, meta.comp_algo) = (check_algo, comp_algo);
        let entries = Vec::new_in(self.pfs.heap);
        memory::push(&mut self.pfs.nodes, Node { inode, entries, indirects, methods, placed: None })?;
        self.enter(parent, name, inum, kind)?;
        Ok(inum)
    }
}

fn new_block(heap: Heap) -> Result<Box<[u8; FILE_BLOCK_BYTES]>, NoMemory> {
    memory::boxed(heap, [0; FILE_BLOCK_BYTES])
}

/// Bytes of the block that holds the last `left` bytes of a file, before compression (format 4.3).
fn physical_bytes(left: u64) -> usize {
    usize::try_from(left)
        .map_or(FILE_BLOCK_BYTES, |left| left.min(FILE_BLOCK_BYTES).next_power_of_two().max(Radix::MIN.bytes()))
}
