//! The volume header of a device: which of its copies counts, and writing the next (spec 1.3 and 7.4).

use zerocopy::FromBytes;

use super::open::OpenError;
use super::{Ingredient, Node, NodeError};
use crate::io::{Buffer, DeviceError, DeviceOffset, Disk};
use crate::media::geometry::{HEADER_COPIES, HEADER_TWINS, header_offset, twin_offset};
use crate::media::volume_header::VOLUME_HEADER_BYTES;
use crate::media::{Corruption, MirrorTid, VolumeHeader};
use crate::memory::{Heap, NoMemory};

/// A whole volume header in memory.
pub struct HeaderImage(Buffer);

impl HeaderImage {
    /// Zero bytes to read a header into.
    fn blank(heap: Heap) -> Result<Self, NoMemory> {
        Buffer::new(heap, VOLUME_HEADER_BYTES).map(Self)
    }

    /// Another image of the same header.
    pub(super) fn copy(&self, heap: Heap) -> Result<Self, NoMemory> {
        let mut copy = Self::blank(heap)?;
        copy.0.bytes_mut().copy_from_slice(self.0.bytes());
        Ok(copy)
    }

    fn get_mut(&mut self) -> &mut VolumeHeader {
        VolumeHeader::mut_from_bytes(self.0.bytes_mut()).expect("the buffer has a header's length")
    }

    /// Reads a copy from a device.
    pub(crate) async fn read(heap: Heap, disk: &Disk, copy: usize) -> Result<Result<Self, DeviceError>, NoMemory> {
        let Self(buffer) = Self::blank(heap)?;
        Ok(disk.read(DeviceOffset(header_offset(copy)), buffer).await.map(Self))
    }

    /// The header.
    pub fn get(&self) -> &VolumeHeader {
        VolumeHeader::ref_from_bytes(self.0.bytes()).expect("the buffer has a header's length")
    }
}

/// True when the device is large enough for header copy `copy`.
pub(crate) fn copy_fits(disk: &Disk, copy: usize) -> bool {
    header_offset(copy).saturating_add(VOLUME_HEADER_BYTES as u64) <= disk.info().size_bytes
}

/// How far the number of a torn header may be ahead of the committed one's; what is more isn't a header's.
const MAX_TIDS_AHEAD: u64 = 1 << 16;

/// The header a device is opened by, later the one committed last.
pub(super) struct Committed {
    pub(super) header: HeaderImage,
    /// Which copy it is.
    pub(super) copy: usize,
    /// It was found only in its twin: the copy itself must be written before the twin is written again.
    pub(super) copy_is_torn: bool,
    /// The greatest number that any header on the device has, torn ones included. The next must be greater: of two torn headers
    /// of the same number, one over the other, the sectors might make a whole one.
    pub(super) last_tid: MirrorTid,
}

/// A place a header may be at.
#[derive(Clone, Copy)]
enum Place {
    Copy(usize),
    /// Every header is written twice; the second time into a reserved slot nobody else uses, so that one torn write never
    /// leaves a volume without its newest header (spec/cluster.md 5.3).
    Twin(usize),
}

impl Place {
    fn all() -> impl Iterator<Item = Self> {
        (0..HEADER_COPIES).map(Self::Copy).chain((0..HEADER_TWINS).map(Self::Twin))
    }

    fn offset(self) -> u64 {
        match self {
            Self::Copy(copy) => header_offset(copy),
            Self::Twin(twin) => twin_offset(twin),
        }
    }
}

/// Reads all header copies of a device and chooses the newest valid one.
pub(super) async fn select(heap: Heap, disk: &Disk) -> Result<Committed, OpenError> {
    let device = || disk.info().name.clone();
    let mut best: Option<Committed> = None;
    let mut refusal = OpenError::Header { device: device(), corruption: Corruption::NoHeader };
    let mut spare = None;
    let mut last_tid = MirrorTid(0);
    for place in Place::all() {
        let offset = place.offset();
        if disk.info().size_bytes < offset.saturating_add(VOLUME_HEADER_BYTES as u64) {
            continue;
        }
        let HeaderImage(buffer) = match spare.take() {
            Some(image) => image,
            None => HeaderImage::blank(heap)?,
        };
        let header = match disk.read(DeviceOffset(offset), buffer).await {
            Ok(buffer) => HeaderImage(buffer),
            Err(error) => {
                refusal = OpenError::Device { device: device(), error };
                continue;
            }
        };
        if header.get().first_sector_is_whole() {
            last_tid = last_tid.max(header.get().mirror_tid());
        }
        let newest = best.as_ref().map(|best| best.header.get().mirror_tid());
        match (header.get().check_identity(), place) {
            (Ok(()), _) if newest.is_none_or(|newest| header.get().mirror_tid() > newest) => {
                // A twin that is newer than every copy is that of the copy that would have been written next.
                let after_best = |best: &Committed| header.get().next_copy(best.copy);
                let (copy, copy_is_torn) = match place {
                    Place::Copy(copy) => (copy, false),
                    Place::Twin(_) => (best.as_ref().map_or(0, after_best), true),
                };
                spare = best.replace(Committed { header, copy, copy_is_torn, last_tid }).map(|older| older.header);
            }
            (Err(corruption), Place::Copy(_)) => {
                // Of all reasons the one to report is the first that says more than that there is no header.
                if let OpenError::Header { corruption: Corruption::NoHeader, .. } = &refusal {
                    refusal = OpenError::Header { device: device(), corruption };
                }
                spare = Some(header);
            }
            _ => spare = Some(header),
        }
    }
    let mut best = best.ok_or(refusal)?;
    let newest = best.header.get().mirror_tid();
    best.last_tid = last_tid.min(MirrorTid(newest.0.saturating_add(MAX_TIDS_AHEAD)));
    let fields = best.header.get().check_fields(disk.info().size_bytes);
    fields.map_err(|corruption| OpenError::Header { device: device(), corruption })?;
    Ok(best)
}

impl Node {
    /// Writes a header that commits the topology as it is: all its blocks are durable. `edit` changes what else it says.
    pub(super) async fn write_header(&self, edit: &mut dyn FnMut(&mut VolumeHeader)) -> Result<(), NodeError> {
        let (mut next, last) = {
            let committed = self.committed.borrow();
            (committed.header.copy(self.heap)?, committed.copy)
        };
        if self.committed.borrow().copy_is_torn {
            let torn = self.committed.borrow().header.copy(self.heap)?;
            self.write_at(Place::Copy(last), torn).await?;
            self.flush_devices().await?;
            self.committed.borrow_mut().copy_is_torn = false;
        }
        let tid = self.topology.borrow().pending_tid;
        let header = next.get_mut();
        header.sroot_blockset = self.topology.borrow().super_root;
        header.freemap_blockset = self.topology.borrow().freemap;
        header.set_mirror_tid(tid);
        header.set_freemap_tid(tid);
        header.set_allocator_free(self.allocator.borrow().free_bytes());
        edit(header);
        header.seal();
        let copy = header.next_copy(last);
        let twin = Place::Twin(copy % HEADER_TWINS);
        if self.protocol.get().has(Ingredient::Twin) {
            self.write_at(twin, next.copy(self.heap)?).await?;
        }
        if copy == last {
            // The only copy: it may be torn only while its twin is whole.
            self.flush_devices().await?;
        }
        self.write_at(Place::Copy(copy), next.copy(self.heap)?).await?;
        self.flush_devices().await?;
        *self.committed.borrow_mut() = Committed { header: next, copy, copy_is_torn: false, last_tid: tid };
        self.topology.borrow_mut().pending_tid = MirrorTid(tid.0 + 1);
        Ok(())
    }

    async fn write_at(&self, place: Place, image: HeaderImage) -> Result<(), NodeError> {
        let Some(root) = self.blocks.volumes().root() else { return Ok(()) };
        let written = root.disk.write(DeviceOffset(place.offset()), image.0).await;
        written.map(drop).map_err(|error| self.broken(0, error))
    }
}
