//! Putting disks together to an address space, with whatever headers are left (format 1.2 and 1.4).

use core::cmp::Reverse;

use super::State;
use super::absent::Absent;
use crate::io::{DeviceName, Disk, DiskOptions, Volume, Volumes, boxed_device};
use crate::media::geometry::{
    HEADER_COPIES, HEADER_TWINS, INNER_VOLUME_ALIGN_BYTES, MAX_VOLUMES, SLOT_BYTES, VOLUME_ALIGN_BYTES, twin_offset,
};
use crate::memory::{self, Heap, NoMemory, Vec};
use crate::node::{HeaderImage, OpenError, copy_fits};

/// The volumes in order, and what is known of them.
pub(super) struct Arranged {
    pub(super) volumes: Volumes,
    pub(super) states: Vec<State>,
    pub(super) absent: Vec<usize>,
    pub(super) headerless: Vec<DeviceName>,
}

/// All whole headers of a disk, the newest first.
async fn headers(heap: Heap, disk: &Disk) -> Result<Vec<HeaderImage>, NoMemory> {
    let mut found = Vec::new_in(heap);
    for copy in (0..HEADER_COPIES).filter(|copy| copy_fits(disk, *copy)) {
        if let Ok(image) = HeaderImage::read(heap, disk, copy).await? {
            memory::push(&mut found, image)?;
        }
    }
    let twin_fits = |twin: &usize| twin_offset(*twin).saturating_add(SLOT_BYTES) <= disk.info().size_bytes;
    for twin in (0..HEADER_TWINS).filter(twin_fits) {
        if let Ok(image) = HeaderImage::read_twin(heap, disk, twin).await? {
            memory::push(&mut found, image)?;
        }
    }
    found.retain(|image| image.get().check_identity().is_ok());
    found.sort_unstable_by_key(|image| Reverse(image.get().mirror_tid()));
    Ok(found)
}

/// Brings disks into the order of their volumes.
pub(super) async fn arrange(heap: Heap, disks: Vec<Disk>) -> Result<Arranged, OpenError> {
    let mut given: Vec<(Disk, Vec<HeaderImage>)> = Vec::new_in(heap);
    let mut headerless = Vec::new_in(heap);
    for disk in disks {
        let headers = headers(heap, &disk).await?;
        if headers.is_empty() {
            memory::push(&mut headerless, disk.info().name)?;
        }
        memory::push(&mut given, (disk, headers))?;
    }
    let sizes = sizes(heap, &given)?;
    let mut seats: Vec<Option<(Disk, Vec<HeaderImage>)>> = memory::filled(heap, sizes.len(), || None)?;
    let mut unnamed = Vec::new_in(heap);
    let mut first: Option<(crate::media::Uuid, DeviceName)> = None;
    for (disk, headers) in given {
        let device = disk.info().name;
        let Some(header) = headers.first().map(HeaderImage::get) else {
            memory::push(&mut unnamed, (disk, headers))?;
            continue;
        };
        let (fsid, first) = first.get_or_insert((header.fsid, device));
        if header.fsid != *fsid {
            return Err(OpenError::Foreign { device, first: *first });
        }
        let id = header.volu_id;
        match seats.get_mut(usize::from(id)) {
            Some(seat @ None) => *seat = Some((disk, headers)),
            Some(Some(_)) => return Err(OpenError::Duplicate { device, id }),
            None => return Err(OpenError::Foreign { device, first: *first }),
        }
    }
    for (disk, headers) in unnamed {
        match (seats.iter_mut().find(|seat| seat.is_none()), &first) {
            (Some(seat), _) => *seat = Some((disk, headers)),
            (None, Some((_, first))) => {
                return Err(OpenError::Foreign { device: disk.info().name, first: *first });
            }
            // Without a header there are as many seats as disks.
            (None, None) => {}
        }
    }
    let states = states(heap, seats.first().and_then(|seat| seat.as_ref().map(|(_, headers)| headers)))?;
    let Some(clock) = seats.iter().flatten().next().map(|(disk, _)| disk.clock()) else {
        return Err(OpenError::NoVolumes);
    };
    let (mut volumes, mut absent) = (Vec::new_in(heap), Vec::new_in(heap));
    for (index, (seat, bytes)) in seats.into_iter().zip(sizes).enumerate() {
        let disk = match seat {
            Some((disk, _)) => disk,
            None => {
                memory::push(&mut absent, index)?;
                let device = boxed_device(heap, Absent::new(bytes))?;
                Disk::new(heap, device, clock, DiskOptions::default())?
            }
        };
        memory::push(&mut volumes, Volume::new(disk, bytes))?;
    }
    Ok(Arranged { volumes: Volumes::new(volumes), states, absent, headerless })
}

/// The states that the headers of the first volume lead to, each once, the newest first.
fn states(heap: Heap, headers: Option<&Vec<HeaderImage>>) -> Result<Vec<State>, NoMemory> {
    let mut states: Vec<State> = Vec::new_in(heap);
    for header in headers.into_iter().flatten().map(HeaderImage::get) {
        let state = State { tid: header.mirror_tid(), super_root: header.sroot_blockset };
        if states.iter().all(|known| known.super_root != state.super_root) {
            memory::push(&mut states, state)?;
        }
    }
    Ok(states)
}

/// The sizes of all volumes: by the newest header, or, if there is none, those of the disks as given.
fn sizes(heap: Heap, given: &[(Disk, Vec<HeaderImage>)]) -> Result<Vec<u64>, NoMemory> {
    let mut sizes = Vec::new_in(heap);
    let newest = given.iter().filter_map(|(_, headers)| headers.first());
    let Some(header) = newest.map(HeaderImage::get).max_by_key(|header| (header.volu_id == 0, header.mirror_tid()))
    else {
        for (index, (disk, _)) in given.iter().enumerate() {
            let align = if index + 1 < given.len() { INNER_VOLUME_ALIGN_BYTES } else { VOLUME_ALIGN_BYTES };
            memory::push(&mut sizes, disk.info().size_bytes / align * align)?;
        }
        return Ok(sizes);
    };
    let count = header.volume_count().min(MAX_VOLUMES);
    let total = header.filesystem_bytes();
    let base = |index: usize| header.volume_base(index).map_or(total, |base| base.0).min(total);
    for index in 0..count {
        let (start, end) = if count == 1 { (0, total) } else { (base(index), base(index + 1).max(base(index))) };
        memory::push(&mut sizes, end - start)?;
    }
    // A newer header that is lost may have made the last volume larger.
    let is_last = |headers: &[HeaderImage]| match headers.first() {
        Some(header) => usize::from(header.get().volu_id) + 1 == count,
        None => count == 1,
    };
    let last_disk = given.iter().find(|(_, headers)| is_last(headers));
    if let (Some(last), Some((disk, _))) = (sizes.last_mut(), last_disk) {
        *last = (*last).max(disk.info().size_bytes / VOLUME_ALIGN_BYTES * VOLUME_ALIGN_BYTES);
    }
    Ok(sizes)
}
