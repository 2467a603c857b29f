//! The population that most cases use: one of everything, and enough of some things to need indirect blocks.

use super::collisions::colliding_names;
use super::{Content, Editor, FileRecipe, ImageError, IndirectSizes};
use crate::media::geometry::MAX_NAME_BYTES;
use crate::media::{CheckMethod, Compression, FileKind, Inum};
use crate::memory::{self, Heap, Vec};

/// The name of an object.
pub type ObjectName = heapless::Vec<u8, MAX_NAME_BYTES>;

/// What a name is expected to lead to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expected {
    /// A directory.
    Directory,
    /// A file with this content.
    File(FileContent),
    /// A symbolic link of this length; its target is [`symlink_target`].
    Symlink(usize),
    /// A device, pipe or socket.
    Special {
        /// Its type.
        kind: FileKind,
        /// Its device number.
        device: (u32, u32),
    },
}

/// Length and content of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileContent {
    /// Its length in bytes.
    pub size: u64,
    /// Its bytes.
    pub content: Content,
}

/// A name and what it must lead to.
#[derive(Clone, Debug)]
pub struct Object {
    /// The directory it is in.
    pub parent: Inum,
    /// The name.
    pub name: ObjectName,
    /// The inode.
    pub inum: Inum,
    /// The number of names of the inode.
    pub links: u64,
    /// What is expected of it.
    pub expected: Expected,
}

/// The size of a population.
#[derive(Clone, Copy, Debug)]
pub struct Scale {
    /// The number of entries in the large directories.
    pub entries: usize,
    /// The number of names with the same hash.
    pub collisions: usize,
    /// Bytes of the large files.
    pub file_bytes: u64,
    /// The number of directories nested in each other.
    pub depth: usize,
}

impl Scale {
    /// About a MiB, for cases that do something with every block.
    pub const SMALL: Self = Self { entries: 60, collisions: 6, file_bytes: 70_000, depth: 3 };
    /// For cases that mount once for every block, allocation or request.
    pub const TINY: Self = Self { entries: 12, collisions: 3, file_bytes: 1, depth: 1 };
    /// Several levels of everything.
    pub const LARGE: Self = Self { entries: 2500, collisions: 300, file_bytes: 4_000_000, depth: 40 };
}

const SIZES: [u64; 14] = [0, 1, 511, 512, 513, 1023, 1024, 1025, 16384, 32769, 65535, 65536, 65537, 3 * 65536 + 1000];
const CHECKS: [CheckMethod; 5] =
    [CheckMethod::XxHash64, CheckMethod::Iscsi32, CheckMethod::Sha192, CheckMethod::None, CheckMethod::Disabled];
const COMPRESSIONS: [Compression; 4] = [Compression::Lz4, Compression::Zlib, Compression::None, Compression::AutoZero];
/// Bytes of a target that doesn't fit into its inode.
const LONG_TARGET: usize = 600;
/// The length of the sparse file: 1 TiB and a bit.
const SPARSE_BYTES: u64 = (1 << 40) + 777;

/// The target of a symbolic link of `length` bytes.
pub fn symlink_target(length: usize) -> impl Iterator<Item = u8> {
    b"../over/there/".iter().copied().cycle().take(length)
}

/// Fills an empty PFS; returns the objects to be found in it.
pub fn populate(editor: &mut Editor<'_>, heap: Heap, scale: Scale) -> Result<Vec<Object>, ImageError> {
    let mut populator = Populator { editor, objects: Vec::new_in(heap), heap };
    populator.sizes()?;
    populator.large_files(scale)?;
    populator.names(scale)?;
    populator.directories(scale)?;
    populator.specials()?;
    Ok(populator.objects)
}

struct Populator<'p, 'i> {
    editor: &'p mut Editor<'i>,
    objects: Vec<Object>,
    heap: Heap,
}

impl Populator<'_, '_> {
    fn note(&mut self, parent: Inum, name: &[u8], inum: Inum, expected: Expected) -> Result<Inum, ImageError> {
        let name = ObjectName::from_slice(name).map_err(|_| ImageError::NoSpace)?;
        memory::push(&mut self.objects, Object { parent, name, inum, links: 1, expected })?;
        Ok(inum)
    }

    fn directory(&mut self, parent: Inum, name: &[u8]) -> Result<Inum, ImageError> {
        let inum = self.editor.directory(parent, name)?;
        self.note(parent, name, inum, Expected::Directory)
    }

    fn file(&mut self, parent: Inum, name: &[u8], recipe: &FileRecipe) -> Result<Inum, ImageError> {
        let inum = self.editor.file(parent, name, recipe)?;
        let content = FileContent { size: recipe.size, content: recipe.content };
        self.note(parent, name, inum, Expected::File(content))
    }

    fn small_file(&mut self, parent: Inum, name: &[u8], seed: u64) -> Result<Inum, ImageError> {
        self.file(parent, name, &FileRecipe::new(seed % 40, Content::Text(seed)))
    }

    /// Makes files of every size at which something changes, with all check methods and compressions in turn.
    fn sizes(&mut self) -> Result<(), ImageError> {
        let directory = self.directory(Inum::PFS_ROOT, b"sizes")?;
        for (index, size) in SIZES.into_iter().enumerate() {
            for embed in [true, false] {
                let turn = 2 * index + usize::from(embed);
                let recipe = FileRecipe {
                    check: CHECKS[turn % CHECKS.len()],
                    compression: COMPRESSIONS[turn % COMPRESSIONS.len()],
                    embed,
                    ..FileRecipe::new(size, Content::Mixed(turn as u64))
                };
                let name = numbered(if embed { b"e" } else { b"d" }, size as usize);
                self.file(directory, &name, &recipe)?;
            }
        }
        Ok(())
    }

    fn large_files(&mut self, scale: Scale) -> Result<(), ImageError> {
        let directory = self.directory(Inum::PFS_ROOT, b"large")?;
        let usual = FileRecipe::new(scale.file_bytes, Content::Text(1));
        let deep = IndirectSizes::DEEP;
        for (name, recipe) in [
            (&b"text-lz4"[..], usual),
            (b"text-zlib", FileRecipe { compression: Compression::Zlib, ..usual }),
            (b"text-none", FileRecipe { compression: Compression::None, indirects: deep, ..usual }),
            (b"noise-lz4", FileRecipe { content: Content::Noise(2), ..usual }),
            (b"mixed-zlib", FileRecipe { compression: Compression::Zlib, content: Content::Mixed(3), ..usual }),
            (b"zeros-lz4", FileRecipe { content: Content::Zeros, ..usual }),
            (b"zeros-none", FileRecipe { content: Content::Zeros, compression: Compression::None, ..usual }),
            (b"sparse", FileRecipe { size: SPARSE_BYTES, content: Content::Islands(4), indirects: deep, ..usual }),
        ] {
            self.file(directory, name, &recipe)?;
        }
        Ok(())
    }

    fn names(&mut self, scale: Scale) -> Result<(), ImageError> {
        let directory = self.directory(Inum::PFS_ROOT, b"names")?;
        for length in [1, 63, 64, 65, 128, MAX_NAME_BYTES] {
            let name = [b'n'; MAX_NAME_BYTES];
            self.small_file(directory, &name[..length], length as u64)?;
        }
        for name in ["...", "..hidden~", "-", " ", "\u{e9}\u{4e2d}.txt", "line\nbreak", "back\\slash"] {
            self.small_file(directory, name.as_bytes(), name.len() as u64)?;
        }
        self.small_file(directory, &[0xff, 0xfe, 0x80], 7)?;
        let collisions = self.directory(Inum::PFS_ROOT, b"collisions")?;
        for (seed, name) in colliding_names(self.heap, b'c', scale.collisions)?.iter().enumerate() {
            self.small_file(collisions, name, seed as u64)?;
        }
        Ok(())
    }

    fn directories(&mut self, scale: Scale) -> Result<(), ImageError> {
        let many = self.directory(Inum::PFS_ROOT, b"many")?;
        let deep = self.editor.deep_directory(Inum::PFS_ROOT, b"many-deep")?;
        self.note(Inum::PFS_ROOT, b"many-deep", deep, Expected::Directory)?;
        for index in 0..scale.entries {
            self.small_file(many, &numbered(b"file.", index), index as u64)?;
            let other = numbered(b"entry-", index);
            if index % 3 == 0 {
                self.directory(deep, &other)?;
            } else {
                self.small_file(deep, &other, index as u64)?;
            }
        }
        let mut parent = self.directory(Inum::PFS_ROOT, b"nested")?;
        for level in 0..scale.depth {
            self.small_file(parent, b"leaf", level as u64)?;
            parent = self.directory(parent, &numbered(b"level", level))?;
        }
        self.directory(Inum::PFS_ROOT, b"empty")?;
        Ok(())
    }

    fn specials(&mut self) -> Result<(), ImageError> {
        let directory = self.directory(Inum::PFS_ROOT, b"special")?;
        for length in [1, 100, 512, LONG_TARGET] {
            let mut target = [0; LONG_TARGET];
            target.iter_mut().zip(symlink_target(length)).for_each(|(byte, from)| *byte = from);
            let name = numbered(b"symlink", length);
            let inum = self.editor.symlink(directory, &name, &target[..length])?;
            self.note(directory, &name, inum, Expected::Symlink(length))?;
        }
        for (name, kind, device) in [
            (&b"fifo"[..], FileKind::Fifo, (0, 0)),
            (b"socket", FileKind::Socket, (0, 0)),
            (b"char", FileKind::CharDevice, (5, 1)),
            (b"block", FileKind::BlockDevice, (254, 0x00ff_00ff)),
        ] {
            let inum = self.editor.special(directory, name, kind, device)?;
            self.note(directory, name, inum, Expected::Special { kind, device })?;
        }
        let content = FileContent { size: 5000, content: Content::Text(9) };
        let inum = self.file(directory, b"linked", &FileRecipe::new(content.size, content.content))?;
        for (parent, name) in [(directory, &b"second"[..]), (Inum::PFS_ROOT, b"third")] {
            self.editor.link(parent, name, inum)?;
            self.note(parent, name, inum, Expected::File(content))?;
        }
        self.objects.iter_mut().filter(|object| object.inum == inum).for_each(|object| object.links = 3);
        Ok(())
    }
}

/// `prefix` and a number.
pub fn numbered(prefix: &[u8], number: usize) -> ObjectName {
    let mut digits = heapless::String::<20>::new();
    // Twenty digits hold any number.
    let _ = core::fmt::Write::write_fmt(&mut digits, format_args!("{number}"));
    prefix.iter().chain(digits.as_bytes()).copied().take(MAX_NAME_BYTES).collect()
}
