//! Growing: the last volume takes the new space of its device (format 9.4).
//!
//! It is a modification like others, made in memory and committed with a header: before that header the filesystem has its old
//! size, with it the new one. What must be on media earlier means nothing as long as no header says so:
//!
//! - places of header copies that come to lie inside the volume get the header in force, so that no copy is ever missing;
//! - in a set, the headers of the last volume, which only growing writes, get its new size, but what counts is the total size in
//!   the root's header.

use super::header::{self, HeaderPlace};
use super::{Node, NodeError, NodeFault, OpenError};
use crate::media::geometry::{HEADER_COPIES, HEADER_TWINS, MAX_TOTAL_BYTES, VOLUME_ALIGN_BYTES, header_copies};
use crate::media::{BlockName, MirrorTid, VolumeHeader};

/// The result of growing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Growth {
    /// Bytes of the filesystem before.
    pub old_bytes: u64,
    /// Bytes of the filesystem now.
    pub new_bytes: u64,
}

impl Node {
    /// Extends the last volume to `volume_bytes` of its device, or to all of it, if that makes it larger. It is durable when this
    /// returns.
    pub async fn grow(&self, volume_bytes: Option<u64>) -> Result<Growth, NodeError> {
        self.ready().await?;
        let volumes = self.volumes();
        let old_bytes = volumes.total_bytes();
        let unchanged = Growth { old_bytes, new_bytes: old_bytes };
        let Some(last) = volumes.last() else { return Ok(unchanged) };
        let wanted = last.disk.measure().min(volume_bytes.unwrap_or(u64::MAX)).min(MAX_TOTAL_BYTES - last.base.0);
        let (from, to) = (last.bytes(), wanted - wanted % VOLUME_ALIGN_BYTES);
        if to <= from {
            return Ok(unchanged);
        }
        let new_bytes = last.base.0 + to;
        if last.base.0 == 0 {
            self.fill_header_places(from, to).await?;
        } else {
            self.announce(to, new_bytes).await?;
        }
        self.allocator.borrow_mut().prepare_growth(new_bytes)?;
        self.drive_change(|topology, allocator, blocks| {
            allocator.grow(topology, blocks, new_bytes)?;
            volumes.grow_last(to);
            Ok(())
        })
        .await?;
        self.uncommitted.set(true);
        self.flush().await?;
        Ok(Growth { old_bytes, new_bytes })
    }

    /// Writes the sizes into a header that is being made.
    pub(super) fn note_size(&self, header: &mut VolumeHeader) {
        let (volumes, total_bytes) = (self.volumes(), self.volumes().total_bytes());
        if let Some(root) = volumes.root()
            && total_bytes > header.filesystem_bytes()
        {
            header.grow(root.bytes(), total_bytes);
        }
    }

    /// Writes the header in force to the places of copies between two sizes of the root volume.
    async fn fill_header_places(&self, from: u64, to: u64) -> Result<(), NodeError> {
        for copy in header_copies(from)..header_copies(to) {
            let image = self.header_image()?;
            self.write_at(0, HeaderPlace::Copy(copy), image).await?;
        }
        self.flush_devices().await
    }

    /// Writes the headers of a last volume that isn't the root, one copy at a time, so that one write can only tear one copy.
    async fn announce(&self, volume_bytes: u64, total_bytes: u64) -> Result<(), NodeError> {
        let volumes = self.volumes();
        let Some((index, last)) = volumes.iter().enumerate().last() else { return Ok(()) };
        let mut image = match header::select(self.heap, &last.disk).await {
            Ok(committed) => committed.header,
            Err(error) => return Err(unreadable(error)),
        };
        let header = image.get_mut();
        header.grow(volume_bytes, total_bytes);
        header.set_allocator_size(self.header().capacity_of(total_bytes).unwrap_or(header.allocator_size()));
        header.set_mirror_tid(MirrorTid(header.mirror_tid().0.saturating_add(1)));
        header.seal();
        for twin in 0..HEADER_TWINS {
            self.write_at(index, HeaderPlace::Twin(twin), image.copy(self.heap)?).await?;
        }
        self.flush_devices().await?;
        for copy in (0..header_copies(volume_bytes).min(HEADER_COPIES)).rev() {
            self.write_at(index, HeaderPlace::Copy(copy), image.copy(self.heap)?).await?;
        }
        self.flush_devices().await
    }
}

/// The error when a volume's header, by which it was opened, can't be read any more.
fn unreadable(error: OpenError) -> NodeError {
    let block = BlockName::HEADER;
    match error {
        OpenError::Device { device, error } => NodeError::Fault(NodeFault::Device { block, device, error }),
        OpenError::Header { corruption, .. } => NodeError::Fault(NodeFault::Corrupt { block, corruption }),
        _ => NodeError::NoMemory,
    }
}
