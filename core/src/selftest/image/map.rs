//! Every blockref of an image with its place: for damage that passes the check codes, and for telling what damage can reach.

use core::mem::offset_of;

use zerocopy::FromBytes;

use super::{ImageError, Written};
use crate::io::Buffer;
use crate::media::blockref::BLOCKREF_BYTES;
use crate::media::geometry::header_offset;
use crate::media::inode::INODE_META_BYTES;
use crate::media::volume_header::VOLUME_HEADER_BYTES;
use crate::media::{BlockKind, Blockref, Inode, Inum, MediaOffset, Radix, VolumeHeader};
use crate::memory::{self, NoMemory, Vec};

/// A blockref and its place.
#[derive(Clone, Copy, Debug)]
pub struct Mapped {
    /// The place of the blockref itself.
    pub at: MediaOffset,
    /// The blockref found there.
    pub entry: Blockref,
    /// The number of the blockref whose block contains this one; none in the volume header.
    pub container: Option<usize>,
    /// The inode whose tree contains it; the super-root's for blocks above all inodes.
    pub owner: Inum,
}

impl Mapped {
    /// Bytes of its block; 0 when it has none.
    pub fn block_bytes(&self) -> usize {
        self.entry.data_off().radix().ok().flatten().map_or(0, Radix::bytes)
    }
}

/// All blockrefs below the super-root and in the freemap, containers before their entries.
pub struct BlockMap {
    header_at: MediaOffset,
    entries: Vec<Mapped>,
}

impl BlockMap {
    /// Maps volumes in their present state. The image must be sound, since all of it is believed.
    pub fn new(written: &Written) -> Result<Self, ImageError> {
        let mut map = Self { header_at: MediaOffset(header_offset(written.copy)), entries: Vec::new_in(written.heap) };
        for (set, at) in [
            (&written.header.sroot_blockset, offset_of!(VolumeHeader, sroot_blockset)),
            (&written.header.freemap_blockset, offset_of!(VolumeHeader, freemap_blockset)),
        ] {
            map.add(set, MediaOffset(map.header_at.0 + at as u64), None, Inum::SUPER_ROOT)?;
        }
        let mut index = 0;
        while let Some(mapped) = map.entries.get(index).copied() {
            let mut block = Buffer::new(written.heap, mapped.block_bytes())?;
            let offset = mapped.entry.data_off().offset();
            written.medium.read(offset, block.bytes_mut())?;
            match mapped.entry.kind()? {
                BlockKind::Inode => {
                    let inode = Inode::in_block(block.bytes())?;
                    if let Some(array) = inode.block_array() {
                        let at = MediaOffset(offset.0 + INODE_META_BYTES as u64);
                        map.add(array.entries(), at, Some(index), inode.meta.inum())?;
                    }
                }
                BlockKind::Indirect | BlockKind::FreemapNode => {
                    let entries = <[Blockref]>::ref_from_bytes(block.bytes()).unwrap_or_default();
                    map.add(entries, offset, Some(index), mapped.owner)?;
                }
                BlockKind::Data | BlockKind::Dirent | BlockKind::FreemapLeaf => {}
            }
            index += 1;
        }
        Ok(map)
    }

    fn add(
        &mut self,
        entries: &[Blockref],
        start: MediaOffset,
        container: Option<usize>,
        owner: Inum,
    ) -> Result<(), NoMemory> {
        let places = (start.0..).step_by(BLOCKREF_BYTES).map(MediaOffset);
        for (entry, at) in entries.iter().zip(places).filter(|(entry, _)| !entry.is_empty()) {
            memory::push(&mut self.entries, Mapped { at, entry: *entry, container, owner })?;
        }
        Ok(())
    }

    /// All blockrefs.
    pub fn entries(&self) -> &[Mapped] {
        &self.entries
    }

    /// True when blockref `index` is `top`, or lies in its block or somewhere below.
    pub fn is_below(&self, index: usize, top: usize) -> bool {
        let mut at = Some(index);
        while let Some(index) = at.filter(|index| *index > top) {
            at = self.entries[index].container;
        }
        at == Some(top)
    }
}

/// Changes to the bytes of an image, which are undone when this is dropped.
pub struct Changes<'w> {
    written: &'w Written,
    map: &'w BlockMap,
    /// The former bytes, in the order of the changes.
    replaced: Vec<(MediaOffset, Vec<u8>)>,
}

impl<'w> Changes<'w> {
    /// No changes yet.
    pub fn new(written: &'w Written, map: &'w BlockMap) -> Self {
        Self { written, map, replaced: Vec::new_in(written.heap) }
    }

    /// The bytes as they are now.
    pub fn read(&self, at: MediaOffset, bytes: &mut [u8]) -> Result<(), ImageError> {
        self.written.medium.read(at, bytes)
    }

    /// Writes bytes.
    pub fn write(&mut self, at: MediaOffset, bytes: &[u8]) -> Result<(), ImageError> {
        let mut before = memory::filled(self.written.heap, bytes.len(), || 0)?;
        self.read(at, &mut before)?;
        memory::push(&mut self.replaced, (at, before))?;
        self.written.medium.write(at, bytes)
    }

    /// Renews the check codes from the block of blockref `from` up to the volume header, including those of the header.
    pub fn renew_checks(&mut self, from: Option<usize>) -> Result<(), ImageError> {
        let mut next = from;
        while let Some(mapped) = next.map(|index| self.map.entries[index]) {
            let mut block = Buffer::new(self.written.heap, mapped.block_bytes())?;
            self.read(mapped.entry.data_off().offset(), block.bytes_mut())?;
            let method = mapped.entry.methods.check()?;
            let code = method.compute(block.bytes());
            let at = MediaOffset(mapped.at.0 + offset_of!(Blockref, check) as u64);
            self.write(at, &code[..method.code_bytes()])?;
            next = mapped.container;
        }
        let mut header = Buffer::new(self.written.heap, VOLUME_HEADER_BYTES)?;
        self.read(self.map.header_at, header.bytes_mut())?;
        if let Ok(header) = VolumeHeader::mut_from_bytes(header.bytes_mut()) {
            header.seal();
        }
        self.write(self.map.header_at, header.bytes())
    }
}

impl Drop for Changes<'_> {
    fn drop(&mut self) {
        for (at, before) in self.replaced.iter().rev() {
            // It was read and written before, so its page is there and this can't fail.
            let _ = self.written.medium.write(*at, before);
        }
    }
}
