//! Finding a block of an image, and changing it with or without the check codes above.

use zerocopy::{FromBytes, IntoBytes};

use super::{ImageError, Seal, Written};
use crate::io::Buffer;
use crate::media::blockref::BLOCKREF_BYTES;
use crate::media::inode::{INODE_BYTES, INODE_META_BYTES};
use crate::media::volume_header::SET_ENTRIES;
use crate::media::{BlockKind, Blockref, Inode, Inum};
use crate::memory::{self, Vec};

/// A blockref, as a search sees it.
#[derive(Clone, Copy, Debug)]
pub struct Candidate<'p> {
    /// The PFS that contains it; none in the super-root.
    pub label: Option<&'p [u8]>,
    /// The inode whose tree contains it: the super-root, a PFS root, or one of its inodes.
    pub owner: Inum,
    /// The number of indirect blocks between that inode and the entry.
    pub depth: usize,
    /// The entry.
    pub entry: &'p Blockref,
}

/// The way to a blockref: the blockrefs of the blocks that lead to it, and the place of each in the block before.
pub struct Trail {
    steps: Vec<Step>,
}

#[derive(Clone, Copy)]
struct Step {
    /// Byte offset in the block of the previous step; for the first step, in the header.
    at: usize,
    entry: Blockref,
}

/// The most blockrefs on a way.
const MOST_STEPS: usize = 40;

type Wanted<'w> = &'w mut dyn FnMut(&Candidate<'_>) -> bool;

impl Written {
    /// The first blockref that `wanted` accepts, in the order of the topology.
    pub fn find(&self, wanted: Wanted<'_>) -> Result<Trail, ImageError> {
        let mut trail = Trail { steps: Vec::new_in(self.heap) };
        let at = core::mem::offset_of!(crate::media::VolumeHeader, sroot_blockset);
        let step = Step { at, entry: self.header.sroot_blockset[0] };
        memory::push(&mut trail.steps, step)?;
        let super_root = Candidate { label: None, owner: Inum::SUPER_ROOT, depth: 0, entry: &step.entry };
        if wanted(&super_root) || self.descend(&mut trail, None, Inum::SUPER_ROOT, 0, wanted)? {
            return Ok(trail);
        }
        Err(ImageError::Missing("block"))
    }

    /// Continues below the last step; true when the trail has reached the wanted blockref.
    fn descend(
        &self,
        trail: &mut Trail,
        label: Option<&[u8]>,
        owner: Inum,
        depth: usize,
        wanted: Wanted<'_>,
    ) -> Result<bool, ImageError> {
        let Some(last) = trail.steps.last().copied() else { return Ok(false) };
        // Earlier damage may have made a loop.
        if trail.steps.len() > MOST_STEPS {
            return Err(ImageError::Missing("end of the topology"));
        }
        let block = self.read_block(&last.entry)?;
        let (start, count) = match last.entry.kind()? {
            BlockKind::Inode if Inode::in_block(block.bytes())?.block_array().is_some() => {
                (INODE_META_BYTES, SET_ENTRIES)
            }
            BlockKind::Indirect => (0, block.len() / BLOCKREF_BYTES),
            _ => return Ok(false),
        };
        for at in (0..count).map(|index| start + index * BLOCKREF_BYTES) {
            let entry = Blockref::read_from_bytes(&block.bytes()[at..at + BLOCKREF_BYTES]).unwrap_or(Blockref::EMPTY);
            if entry.is_empty() {
                continue;
            }
            memory::push(&mut trail.steps, Step { at, entry })?;
            if wanted(&Candidate { label, owner, depth, entry: &entry }) {
                return Ok(true);
            }
            let found = match entry.kind()? {
                BlockKind::Inode => {
                    let inode = self.read_block(&entry)?;
                    let meta = &Inode::in_block(inode.bytes())?.meta;
                    let label = if label.is_none() { Some(meta.label()?) } else { label };
                    self.descend(trail, label, meta.inum(), 0, wanted)?
                }
                BlockKind::Indirect => self.descend(trail, label, owner, depth + 1, wanted)?,
                _ => false,
            };
            if found {
                return Ok(true);
            }
            trail.steps.pop();
        }
        Ok(false)
    }

    fn read_block(&self, entry: &Blockref) -> Result<Buffer, ImageError> {
        let bytes = entry.data_off().radix()?.map_or(0, |radix| radix.bytes());
        let mut block = Buffer::new(self.heap, bytes)?;
        self.medium.read(entry.data_off().offset(), block.bytes_mut())?;
        Ok(block)
    }

    /// Changes the block at the trail's end.
    pub fn change_block(
        &mut self,
        trail: &Trail,
        seal: Seal,
        change: impl FnOnce(&mut [u8]),
    ) -> Result<(), ImageError> {
        let mut block = self.read_block(&trail.last()?.entry)?;
        change(block.bytes_mut());
        self.medium.write(trail.last()?.entry.data_off().offset(), block.bytes())?;
        match seal {
            Seal::Keep => Ok(()),
            Seal::Renew => {
                let mut entry = trail.last()?.entry;
                entry.check = entry.methods.check()?.compute(block.bytes());
                self.replace_entry(trail, entry)
            }
        }
    }

    /// Changes the blockref at the trail's end, and renews the check codes above it.
    pub fn change_entry(&mut self, trail: &Trail, change: impl FnOnce(&mut Blockref)) -> Result<(), ImageError> {
        let mut entry = trail.last()?.entry;
        change(&mut entry);
        self.replace_entry(trail, entry)
    }

    /// Puts `entry` at the end of the trail and renews everything above.
    fn replace_entry(&mut self, trail: &Trail, entry: Blockref) -> Result<(), ImageError> {
        let mut new = entry;
        for index in (1..trail.steps.len()).rev() {
            let (at, mut container) = (trail.steps[index].at, trail.steps[index - 1].entry);
            let mut block = self.read_block(&container)?;
            block.bytes_mut()[at..at + BLOCKREF_BYTES].copy_from_slice(new.as_bytes());
            self.medium.write(container.data_off().offset(), block.bytes())?;
            container.check = container.methods.check()?.compute(block.bytes());
            new = container;
        }
        self.header.sroot_blockset[0] = new;
        self.write_header()
    }
}

impl Trail {
    fn last(&self) -> Result<&Step, ImageError> {
        self.steps.last().ok_or(ImageError::Missing("block"))
    }

    /// The blockref at the end.
    pub fn entry(&self) -> Result<Blockref, ImageError> {
        Ok(self.last()?.entry)
    }

    /// The blockref of the block that contains the last one; none for the super-root's.
    pub fn container(&self) -> Option<Blockref> {
        self.steps.len().checked_sub(2).map(|index| self.steps[index].entry)
    }
}

const _: () = assert!(INODE_BYTES == INODE_META_BYTES + SET_ENTRIES * BLOCKREF_BYTES);
