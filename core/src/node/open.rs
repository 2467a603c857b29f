//! Opening a set of disks as a node: volume sets (format 1.4).

use super::header::{self, Committed};
use super::open_error::OpenError;
use super::{Node, NodeOptions};
use crate::io::{Disk, Volume, Volumes};
use crate::media::MediaOffset;
use crate::media::volume_header::VolumeVersion;
use crate::memory::{self, Box, Heap, NoMemory, Vec};

/// Opens the node that consists of `disks`, in any order. All volumes of the set must be given, and no others.
pub async fn open(heap: Heap, disks: Vec<Disk>, options: NodeOptions) -> Result<Box<Node>, OpenError> {
    let mut selected: Vec<(Disk, Committed)> = Vec::new_in(heap);
    selected.try_reserve_exact(disks.len()).map_err(|_| NoMemory)?;
    for disk in disks {
        let header = header::select(heap, &disk).await?;
        check_member(&selected, &disk, &header)?;
        selected.push((disk, header));
    }
    let count = match selected.first() {
        Some((_, first)) => first.header.get().volume_count(),
        None => return Err(OpenError::NoVolumes),
    };
    selected.sort_unstable_by_key(|(_, header)| header.header.get().volu_id);
    if let Some(id) =
        (0..count).find(|id| selected.get(*id).is_none_or(|(_, h)| usize::from(h.header.get().volu_id) != *id))
    {
        return Err(OpenError::Missing { id, count });
    }
    let mut volumes = Vec::new_in(heap);
    let (mut root, mut base) = (None, MediaOffset(0));
    for (disk, header) in selected {
        let bytes = header.header.get().volu_size();
        base = MediaOffset(base.0.saturating_add(bytes));
        let root = root.get_or_insert(header);
        // The total size is in the root's header: the last volume may have been about to grow (see `grow`).
        let excess = base.0.saturating_sub(root.header.get().filesystem_bytes());
        memory::push(&mut volumes, Volume::new(disk, bytes.saturating_sub(excess)))?;
    }
    let root = root.ok_or(OpenError::NoVolumes)?;
    Ok(Node::new(heap, Volumes::new(volumes), root, options)?)
}

/// Checks that a disk's header belongs to the same set as those before it.
fn check_member(others: &[(Disk, Committed)], disk: &Disk, selected: &Committed) -> Result<(), OpenError> {
    let header = selected.header.get();
    let device = disk.info().name;
    if let Some((first_disk, first)) = others.first() {
        let first = first.header.get();
        let kin = header.fsid == first.fsid
            && header.version() == first.version()
            && header.nvolumes == first.nvolumes
            && header.version() != Ok(VolumeVersion::V1);
        let same_disk = header.fsid == first.fsid && header.volu_id == first.volu_id;
        if !kin && !same_disk {
            return Err(OpenError::Foreign { device, first: first_disk.info().name });
        }
    }
    if others.iter().any(|(_, other)| other.header.get().volu_id == header.volu_id) {
        return Err(OpenError::Duplicate { device, id: header.volu_id });
    }
    Ok(())
}
