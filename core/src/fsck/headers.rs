//! Checking volume headers: each copy by itself, and against the newest one (format 1.3 and 1.4).

use super::report::Place;
use super::reporter::Reporter;
use super::{Cost, Trouble};
use crate::io::Disk;
use crate::media::geometry::{HEADER_COPIES, HEADER_TWINS, SLOT_BYTES, header_copies, twin_offset};
use crate::media::{Blockref, Corruption, VolumeHeader, is_zero};
use crate::memory::{Heap, NoMemory};
use crate::node::{HeaderImage, copy_fits};
use zerocopy::IntoBytes;

/// Checks all header copies of a device.
pub(super) async fn check_copies(heap: Heap, disk: &Disk, reports: &mut Reporter<'_>) -> Result<(), NoMemory> {
    let Newest { image: newest, torn } = newest_header(heap, disk).await?;
    let newest = newest.as_ref().map(HeaderImage::get);
    let copies_on_volume = newest.map_or(HEADER_COPIES, |header| header_copies(header.volu_size()));
    for copy in (0..HEADER_COPIES).filter(|copy| copy_fits(disk, *copy)) {
        let place = Place { header: Some((disk.info().name, copy)), ..Place::default() };
        let lost = if newest.is_some() { Cost::HeaderCopy } else { Cost::FileSystem };
        reports.summary.header_copies += 1;
        let image = match HeaderImage::read(heap, disk, copy).await? {
            Ok(image) => image,
            Err(error) => {
                reports.problem(place, Trouble::HeaderUnreadable(error), lost);
                continue;
            }
        };
        let header = image.get();
        let identity = header.check_identity();
        if copy >= copies_on_volume {
            if identity.is_ok() {
                reports.remark(place, Trouble::StrayHeader, Cost::Nothing);
            }
            continue;
        }
        match (identity, newest) {
            (Ok(()), Some(newest)) => {
                // The newest copy is the one that counts, even when its content is impossible.
                let in_force = header.mirror_tid() == newest.mirror_tid();
                for trouble in contradictions(header, newest, disk.info().size_bytes) {
                    reports.problem(place, trouble, if in_force { Cost::FileSystem } else { lost });
                }
            }
            (Err(corruption), Some(newest))
                if VolumeHeader::lost_flush(header.newest_trace(), newest.mirror_tid()).is_some() =>
            {
                // If there is a twin in its place, another system, which has no twins, wrote this copy, or its own twin was lost,
                // too.
                let trouble = if torn.is_some() { Trouble::NewestHeaderLost } else { corruption.into() };
                reports.problem(place, trouble, Cost::NewestState);
            }
            // The next mount for writing mends this.
            (Err(_), Some(_)) if torn == Some(copy) => reports.remark(place, Trouble::HeaderTorn, Cost::Nothing),
            (Err(corruption @ Corruption::HeaderCheck(_)), Some(newest))
                if header.mirror_tid() > newest.mirror_tid() =>
            {
                reports.problem(place, corruption.into(), Cost::NewestState);
            }
            // Copies for which growfs makes room are blank until they are first written (format 9.4).
            (Err(Corruption::NoHeader), Some(_)) if is_blank(header) => {
                reports.deviation(place, Trouble::BlankHeader, Cost::HeaderCopy);
            }
            (Err(corruption), _) => reports.problem(place, corruption.into(), lost),
            (Ok(()), None) => {}
        }
    }
    Ok(())
}

/// The valid header with the greatest mirror_tid.
struct Newest {
    image: Option<HeaderImage>,
    /// The copy to which it belongs, if it was found only in its twin.
    torn: Option<usize>,
}

/// Chooses the header as opening a volume does.
async fn newest_header(heap: Heap, disk: &Disk) -> Result<Newest, NoMemory> {
    let mut newest = Newest { image: None, torn: None };
    let mut last = None;
    let is_newer = |image: &HeaderImage, known: &Newest| {
        let tid = image.get().mirror_tid();
        image.get().check_identity().is_ok() && known.image.as_ref().is_none_or(|known| tid > known.get().mirror_tid())
    };
    for copy in (0..HEADER_COPIES).filter(|copy| copy_fits(disk, *copy)) {
        let Ok(image) = HeaderImage::read(heap, disk, copy).await? else { continue };
        if is_newer(&image, &newest) {
            newest.image = Some(image);
            last = Some(copy);
        }
    }
    for twin in (0..HEADER_TWINS).filter(|twin| twin_fits(disk, *twin)) {
        let Ok(image) = HeaderImage::read_twin(heap, disk, twin).await? else { continue };
        if is_newer(&image, &newest) {
            newest.torn = Some(last.map_or(0, |last| image.get().next_copy(last)));
            newest.image = Some(image);
        }
    }
    Ok(newest)
}

fn twin_fits(disk: &Disk, twin: usize) -> bool {
    twin_offset(twin).saturating_add(SLOT_BYTES) <= disk.info().size_bytes
}

fn is_blank(header: &VolumeHeader) -> bool {
    is_zero(header.as_bytes())
}

/// The faults of a copy by itself, and its contradictions with the newest copy of its volume.
fn contradictions(header: &VolumeHeader, newest: &VolumeHeader, device_bytes: u64) -> impl Iterator<Item = Trouble> {
    let fields = header.check_fields(device_bytes).err().map(Trouble::Corrupt);
    let empty = |set: &[Blockref], with: Blockref| set.iter().all(|entry| *entry == with);
    let placeholders = empty(&header.sroot_blockset, Blockref::INVALID);
    let differences = [
        (header.fsid != newest.fsid, Trouble::HeaderDiffers("fsid")),
        (header.version() != newest.version(), Trouble::HeaderDiffers("version")),
        (header.volu_id != newest.volu_id, Trouble::HeaderDiffers("volu_id")),
        (header.nvolumes != newest.nvolumes, Trouble::HeaderDiffers("nvolumes")),
        (header.freemap_tid() > header.mirror_tid(), Trouble::HeaderField("freemap_tid is newer than mirror_tid")),
        (
            header.volu_id != 0 && !placeholders,
            Trouble::HeaderField("blocks in the header of a volume that isn't the root"),
        ),
        (
            header.volu_id != 0 && !empty(&header.freemap_blockset, Blockref::EMPTY),
            Trouble::HeaderField("a freemap in the header of a volume that isn't the root"),
        ),
    ];
    fields.into_iter().chain(differences.into_iter().filter(|(wrong, _)| *wrong).map(|(_, trouble)| trouble))
}

/// Checks the figures of the header in force.
pub(super) fn check_root(header: &VolumeHeader, reports: &mut Reporter<'_>) {
    let mut say = |wrong: bool, what| {
        if wrong {
            reports.deviation(Place::default(), Trouble::HeaderField(what), Cost::Figures);
        }
    };
    say(
        header.capacity() != Some(header.allocator_size()),
        "allocator_size is not what the sizes of the volumes make it",
    );
    say(header.allocator_free() > header.allocator_size(), "allocator_free is more than allocator_size");
}
