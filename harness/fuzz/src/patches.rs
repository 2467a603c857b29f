//! Inputs that are changes to a whole image.

use hammer2_core::io::MemoryDisk;
use hammer2_core::media::volume_header::VOLUME_HEADER_BYTES;
use hammer2_core::media::{CheckMethod, Compression, MediaOffset};
use hammer2_core::newfs::NewfsOptions;
use hammer2_core::selftest::image::population::{Scale, populate};
use hammer2_core::selftest::image::{BlockMap, Changes, Content, FileRecipe, Image, ImageError, Spread, Written};
use zerocopy::little_endian::{U16, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::medium::HEAP;
use crate::run::clock;

const VOLUME_BYTES: u64 = 64 << 20;
/// The most changes of one input; more would hide the effect of each.
const MOST_PATCHES: usize = 8;

/// One change of an image.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct Patch {
    /// Which block, by its number in the map; beyond the last, the volume header.
    pub block: U16,
    /// Where in the block, modulo its size.
    pub offset: U16,
    /// How: bit 0 renews the check codes, bit 1 sets instead of flipping, bits 2 and 3 are the width as a power of two.
    pub how: u8,
    /// With what.
    pub value: U64,
}

/// A small image with something of everything, and its map.
pub struct Base {
    /// The image.
    pub written: Written,
    /// Where everything is.
    pub map: BlockMap,
}

impl Base {
    /// Makes the image.
    pub fn new() -> Result<Self, ImageError> {
        let written = hammer2_host::executor::Executor::new(clock()).block_on(async {
            let options = NewfsOptions::default();
            let mut image = Image::format(HEAP, clock(), &[VOLUME_BYTES], &options, Spread::Packed, 1).await?;
            let mut editor = image.edit(b"DATA")?;
            populate(&mut editor, HEAP, Scale { entries: 40, collisions: 4, file_bytes: 70_000, depth: 2 })?;
            let bare = FileRecipe {
                check: CheckMethod::None,
                compression: Compression::Zlib,
                ..FileRecipe::new(200_000, Content::Text(5))
            };
            editor.file(hammer2_core::media::Inum::PFS_ROOT, b"bare", &bare)?;
            image.commit()?;
            Written::new(&image)
        })?;
        Ok(Self { map: BlockMap::new(&written)?, written })
    }

    /// The disk of the image.
    pub fn disk(&self) -> &std::rc::Rc<MemoryDisk> {
        &self.written.disks()[0]
    }

    /// Changes the image as the input says, until the result is dropped.
    pub fn apply(&self, input: &[u8]) -> Result<Changes<'_>, ImageError> {
        let mut changes = Changes::new(&self.written, &self.map);
        for bytes in input.chunks_exact(size_of::<Patch>()).take(MOST_PATCHES) {
            let Ok(patch) = Patch::read_from_bytes(bytes) else { continue };
            self.apply_one(&mut changes, &patch)?;
        }
        Ok(changes)
    }

    fn apply_one(&self, changes: &mut Changes<'_>, patch: &Patch) -> Result<(), ImageError> {
        let index = usize::from(patch.block.get());
        let mapped = self.map.entries().get(index);
        let (start, size) = match mapped {
            Some(mapped) => (mapped.entry.data_off().offset(), mapped.block_bytes()),
            None => (MediaOffset(0), VOLUME_HEADER_BYTES),
        };
        let width = 1usize << (patch.how >> 2 & 3);
        if size < width {
            return Ok(());
        }
        // The offset counts in widths, so that whole fields are hit.
        let offset = usize::from(patch.offset.get()) * width % size;
        let at = MediaOffset(start.0 + offset as u64);
        let mut bytes = [0; 8];
        changes.read(at, &mut bytes[..width])?;
        for (byte, new) in bytes.iter_mut().zip(patch.value.as_bytes()) {
            *byte = if patch.how & 2 == 0 { *byte ^ new } else { *new };
        }
        changes.write(at, &bytes[..width])?;
        if patch.how & 1 != 0 { changes.renew_checks(mapped.map(|_| index)) } else { Ok(()) }
    }
}
