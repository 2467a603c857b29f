//! Looking at a device: whether it holds a volume, which one, and who uses it.

use std::fmt::Display;
use std::path::{Path, PathBuf};

use allocator_api2::alloc::Global;
use hammer2_core::io::{Buffer, DeviceError, DeviceOffset, Disk, DiskOptions, boxed_device, read_heartbeat};
use hammer2_core::media::geometry::{HEADER_COPIES, HEADER_TWINS, header_offset, twin_offset};
use hammer2_core::media::volume_header::VOLUME_HEADER_BYTES;
use hammer2_core::media::{Heartbeat, MirrorTid, Uuid, VolumeHeader};
use hammer2_core::memory::Heap;
use hammer2_host::clock::HostClock;
use hammer2_host::device::{Access, ExportAddress, FileDevice, NbdDevice};
use zerocopy::FromBytes;

/// The memory for looking.
pub(super) const HEAP: Heap = &Global;

/// A device with a volume.
pub(super) struct Volume {
    pub(super) path: PathBuf,
    pub(super) disk: Disk,
    /// The id of its filesystem.
    pub(super) fsid: Uuid,
    /// Which one it is.
    pub(super) id: u8,
    /// How many there are.
    pub(super) count: usize,
    /// Its last commit.
    pub(super) mirror_tid: MirrorTid,
    /// The mount that writes to it, by the volume's own record.
    pub(super) heartbeat: Option<Heartbeat>,
    /// The program that uses it on this machine.
    pub(super) in_use: Option<String>,
}

/// The volume on a device, if there is one. The error names a device that can't be looked at.
pub(super) async fn look(
    path: &Path,
    clock: &'static HostClock,
    options: DiskOptions,
) -> Result<Option<Volume>, String> {
    let export = path.to_str().and_then(ExportAddress::parse).transpose().map_err(words)?;
    let (device, in_use) = match export {
        Some(address) => {
            let device = NbdDevice::look(address.clone()).map_err(words)?;
            (boxed_device(HEAP, device), NbdDevice::is_claimed(&address).then(|| "in use on this machine".to_owned()))
        }
        None => {
            let device = FileDevice::look(path).map_err(words)?;
            (boxed_device(HEAP, device), FileDevice::open(path, Access::Read).err().map(words))
        }
    };
    let named = |error: &dyn Display| format!("{}: {error}", path.display());
    let disk = Disk::new(HEAP, device.map_err(words)?, clock, options).map_err(words)?;
    let Some(header) = newest_header(&disk).await.map_err(|error| named(&error))? else { return Ok(None) };
    let header = VolumeHeader::ref_from_bytes(&header).expect("a header's length was read");
    let heartbeat = read_heartbeat(HEAP, &disk).await.map_err(words)?.ok().flatten();
    Ok(Some(Volume {
        path: path.to_owned(),
        fsid: header.fsid,
        id: header.volu_id,
        count: header.volume_count(),
        mirror_tid: header.mirror_tid(),
        heartbeat: heartbeat.filter(|heartbeat| !heartbeat.is_released),
        in_use,
        disk,
    }))
}

fn words(error: impl Display) -> String {
    error.to_string()
}

/// The newest whole header. Places that can't be read are skipped, unless the device doesn't answer at all.
async fn newest_header(disk: &Disk) -> Result<Option<Vec<u8>>, DeviceError> {
    let places = (0..HEADER_COPIES).map(header_offset).chain((0..HEADER_TWINS).map(twin_offset));
    let size_bytes = disk.info().size_bytes;
    let mut newest: Option<(MirrorTid, Vec<u8>)> = None;
    let mut refusal = None;
    for offset in places.filter(|offset| offset + VOLUME_HEADER_BYTES as u64 <= size_bytes) {
        let Ok(buffer) = Buffer::new(HEAP, VOLUME_HEADER_BYTES) else { continue };
        let buffer = match disk.read(DeviceOffset(offset), buffer).await {
            Ok(buffer) => buffer,
            Err(DeviceError::Timeout) => return Err(DeviceError::Timeout),
            Err(error) => {
                refusal = Some(error);
                continue;
            }
        };
        let Ok(header) = VolumeHeader::ref_from_bytes(buffer.bytes()) else { continue };
        let is_newer = newest.as_ref().is_none_or(|(tid, _)| header.mirror_tid() > *tid);
        if header.check_identity().is_ok() && is_newer {
            newest = Some((header.mirror_tid(), buffer.bytes().to_vec()));
        }
    }
    match (newest, refusal) {
        (Some((_, header)), _) => Ok(Some(header)),
        (None, Some(error)) => Err(error),
        (None, None) => Ok(None),
    }
}

/// The volumes of each filesystem, in order; the filesystems as they were found. A volume that is there twice, with the same
/// content or an older one, begins a set of its own.
pub(super) fn sets(volumes: Vec<Volume>) -> Vec<Vec<Volume>> {
    let mut sets: Vec<Vec<Volume>> = Vec::new();
    for volume in volumes {
        let lacks = |set: &&mut Vec<Volume>| {
            set[0].fsid == volume.fsid && set.iter().all(|other| other.id != volume.id) && volume.count > 1
        };
        match sets.iter_mut().find(lacks) {
            Some(set) => set.push(volume),
            None => sets.push(vec![volume]),
        }
    }
    sets.iter_mut().for_each(|set| set.sort_by_key(|volume| volume.id));
    sets
}
