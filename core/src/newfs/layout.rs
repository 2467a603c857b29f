//! Where everything goes: sizes and places, computed before anything is written (format 1.5 and 8.1).

use super::error::NewfsError;
use super::options::NewfsOptions;
use crate::io::DeviceInfo;
use crate::media::MediaOffset;
use crate::media::geometry::{
    INNER_VOLUME_ALIGN_BYTES, LEAF_SPAN_BYTES, MAX_TOTAL_BYTES, MAX_VOLUMES, SEGMENT_BYTES, VOLUME_ALIGN_BYTES,
    allocator_size,
};
use crate::media::inode::INODE_BYTES;
use crate::media::volume_header::VolumeVersion;

const MIN_AREA_BYTES: u64 = 8 << 20;
/// An area whose size isn't given takes at most one part in this many of the filesystem.
const AREA_SHARE: u64 = 20;

/// One of the two areas kept free behind the first reserved segment.
struct Area {
    name: &'static str,
    /// The size in a large filesystem.
    usual_bytes: u64,
    most_bytes: u64,
}

const BOOT: Area = Area { name: "boot", usual_bytes: 64 << 20, most_bytes: 256 << 20 };
const AUX: Area = Area { name: "aux", usual_bytes: 256 << 20, most_bytes: 1024 << 20 };

impl Area {
    fn size(&self, given: Option<u64>, total_bytes: u64) -> Result<u64, NewfsError> {
        let bytes = match given {
            Some(bytes) if (MIN_AREA_BYTES..=self.most_bytes).contains(&bytes) => bytes,
            Some(bytes) => {
                let (least, most) = (MIN_AREA_BYTES, self.most_bytes);
                return Err(NewfsError::Area { area: self.name, bytes, least, most });
            }
            None => {
                let mut bytes = self.usual_bytes;
                while bytes > total_bytes / AREA_SHARE {
                    bytes /= 2;
                }
                bytes.max(MIN_AREA_BYTES)
            }
        };
        Ok(bytes.next_multiple_of(VOLUME_ALIGN_BYTES))
    }
}

/// A volume of the filesystem to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Volume {
    pub(super) base: MediaOffset,
    pub(super) bytes: u64,
}

/// The places of everything newfs writes.
#[derive(Debug)]
pub(super) struct Layout {
    pub(super) version: VolumeVersion,
    pub(super) volumes: heapless::Vec<Volume, MAX_VOLUMES>,
    pub(super) total_bytes: u64,
    pub(super) boot_bytes: u64,
    pub(super) aux_bytes: u64,
    pub(super) allocator_bytes: u64,
}

impl Layout {
    /// The layout on these devices.
    pub(super) fn new<'i>(
        devices: impl ExactSizeIterator<Item = &'i DeviceInfo>,
        options: &NewfsOptions<'_>,
    ) -> Result<Self, NewfsError> {
        let count = devices.len();
        if count == 0 {
            return Err(NewfsError::NoVolumes);
        }
        if count > 1 && options.version == VolumeVersion::V1 {
            return Err(NewfsError::VersionOneSet(count));
        }
        if count > 1 && options.size_bytes.is_some() {
            return Err(NewfsError::SizeOfSet);
        }
        let mut volumes = heapless::Vec::new();
        let mut total_bytes: u64 = 0;
        for (index, info) in devices.enumerate() {
            let bytes = volume_bytes(info, index + 1 == count, options)?;
            let volume = Volume { base: MediaOffset(total_bytes), bytes };
            volumes.push(volume).map_err(|_| NewfsError::TooManyVolumes(count))?;
            total_bytes =
                total_bytes.checked_add(bytes).filter(|sum| *sum <= MAX_TOTAL_BYTES).ok_or(NewfsError::TooLarge)?;
        }
        let boot_bytes = BOOT.size(options.boot_bytes, total_bytes)?;
        let aux_bytes = AUX.size(options.aux_bytes, total_bytes)?;
        let areas_end = SEGMENT_BYTES + boot_bytes + aux_bytes;
        if areas_end >= LEAF_SPAN_BYTES {
            return Err(NewfsError::AreasTooLarge(boot_bytes + aux_bytes));
        }
        // Nothing is ever allocated from the segment with the first inodes, so there must be one more.
        let least = (areas_end + 2 * SEGMENT_BYTES).next_multiple_of(VOLUME_ALIGN_BYTES);
        let allocator_bytes = allocator_size(total_bytes, boot_bytes, aux_bytes).filter(|_| total_bytes >= least);
        let allocator_bytes = allocator_bytes.ok_or(NewfsError::too_small(total_bytes, least))?;
        Ok(Self { version: options.version, volumes, total_bytes, boot_bytes, aux_bytes, allocator_bytes })
    }

    pub(super) fn boot_beg(&self) -> MediaOffset {
        MediaOffset(SEGMENT_BYTES)
    }

    pub(super) fn aux_beg(&self) -> MediaOffset {
        MediaOffset(SEGMENT_BYTES + self.boot_bytes)
    }

    /// Where the aux area ends and the first inode, the super-root's, lies.
    pub(super) fn inodes_beg(&self) -> MediaOffset {
        MediaOffset(SEGMENT_BYTES + self.boot_bytes + self.aux_bytes)
    }

    /// The first byte behind the super-root and `labels` PFS roots.
    pub(super) fn allocator_beg(&self, labels: usize) -> MediaOffset {
        MediaOffset(self.inodes_beg().0 + ((1 + labels) * INODE_BYTES) as u64)
    }
}

/// The number of bytes of a device that its volume takes.
fn volume_bytes(info: &DeviceInfo, is_last: bool, options: &NewfsOptions<'_>) -> Result<u64, NewfsError> {
    let available = info.size_bytes;
    if let Some(wanted) = options.size_bytes
        && !(INNER_VOLUME_ALIGN_BYTES..=available).contains(&wanted)
    {
        let is_small = available < INNER_VOLUME_ALIGN_BYTES;
        return Err(if is_small { NewfsError::SizeOfSmall } else { NewfsError::Size { wanted, available } });
    }
    let bytes = options.size_bytes.unwrap_or(available);
    let align = if is_last { VOLUME_ALIGN_BYTES } else { INNER_VOLUME_ALIGN_BYTES };
    let device = info.name;
    match bytes - bytes % align {
        0 if is_last => Err(NewfsError::VolumeTooSmall { device, bytes }),
        0 => Err(NewfsError::InnerVolumeTooSmall { device, bytes }),
        whole => Ok(whole),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::io::DeviceName;

    const MIB: u64 = 1 << 20;
    const GIB: u64 = 1 << 30;

    fn device(size_bytes: u64) -> DeviceInfo {
        DeviceInfo { name: DeviceName::new(&"d"), size_bytes, queue_depth: 1, read_only: false, is_shared: false }
    }

    fn layout(sizes: &[u64], options: &NewfsOptions<'_>) -> Result<Layout, NewfsError> {
        let devices: heapless::Vec<DeviceInfo, 65> = sizes.iter().map(|bytes| device(*bytes)).collect();
        Layout::new(devices.iter(), options)
    }

    #[test]
    fn areas_of_known_volumes() {
        // Total, boot and aux bytes: from the example of format 8.2 and the golden images' headers.
        for (sizes, boot, aux) in [
            (&[GIB][..], 32 * MIB, 32 * MIB),
            (&[512 * MIB], 16 * MIB, 16 * MIB),
            (&[2 * GIB, GIB], 64 * MIB, 128 * MIB),
            (&[32 * MIB], 8 * MIB, 8 * MIB),
            (&[1 << 40], 64 * MIB, 256 * MIB),
        ] {
            let layout = layout(sizes, &NewfsOptions::default()).unwrap();
            assert_eq!((layout.boot_bytes, layout.aux_bytes), (boot, aux), "{sizes:x?}");
        }
        let example = layout(&[GIB], &NewfsOptions::default()).unwrap();
        assert_eq!(example.inodes_beg(), MediaOffset(0x0440_0000));
        assert_eq!(example.allocator_beg(2), MediaOffset(0x0440_0c00));
        assert_eq!(example.allocator_bytes, 0x3bc0_0000);
    }

    #[test]
    fn volumes_are_cut_to_what_the_format_allows() {
        let cut = layout(&[GIB + 700 * MIB, 2 * GIB, 45 * MIB], &NewfsOptions::default()).unwrap();
        let bytes: heapless::Vec<u64, 3> = cut.volumes.iter().map(|volume| volume.bytes).collect();
        let bases: heapless::Vec<u64, 3> = cut.volumes.iter().map(|volume| volume.base.0).collect();
        assert_eq!(bytes, [GIB, 2 * GIB, 40 * MIB]);
        assert_eq!(bases, [0, GIB, 3 * GIB]);
        let given = NewfsOptions { size_bytes: Some(GIB + MIB), ..Default::default() };
        assert_eq!(layout(&[2 * GIB], &given).unwrap().total_bytes, GIB);
        let given = NewfsOptions { boot_bytes: Some(9 * MIB), aux_bytes: Some(8 * MIB), ..Default::default() };
        let areas = layout(&[GIB], &given).unwrap();
        assert_eq!((areas.boot_bytes, areas.aux_bytes), (16 * MIB, 8 * MIB));
    }

    #[test]
    fn what_is_refused() {
        type Check = fn(&NewfsError) -> bool;
        let default = NewfsOptions::default();
        let one = NewfsOptions { version: VolumeVersion::V1, ..default };
        let sized = NewfsOptions { size_bytes: Some(GIB - 1), ..default };
        let boot = NewfsOptions { boot_bytes: Some(257 * MIB), ..default };
        let aux = NewfsOptions { aux_bytes: Some(MIB), ..default };
        let both = NewfsOptions { boot_bytes: Some(256 * MIB), aux_bytes: Some(800 * MIB), ..default };
        let cases: [(&[u64], &NewfsOptions<'_>, Check); 15] = [
            (&[], &default, |error| *error == NewfsError::NoVolumes),
            (&[GIB; 65], &default, |error| *error == NewfsError::TooManyVolumes(65)),
            (&[GIB; 2], &one, |error| *error == NewfsError::VersionOneSet(2)),
            (&[MIB], &default, |error| matches!(error, NewfsError::VolumeTooSmall { .. })),
            (&[0], &default, |error| matches!(error, NewfsError::VolumeTooSmall { .. })),
            (&[24 * MIB], &default, |error| matches!(error, NewfsError::TooSmall { .. })),
            (&[GIB - 1, GIB], &default, |error| matches!(error, NewfsError::InnerVolumeTooSmall { .. })),
            (&[u64::MAX], &default, |error| *error == NewfsError::TooLarge),
            (&[i64::MAX as u64, i64::MAX as u64], &default, |error| *error == NewfsError::TooLarge),
            (&[GIB; 2], &sized, |error| *error == NewfsError::SizeOfSet),
            (&[2 * GIB], &sized, |error| matches!(error, NewfsError::Size { .. })),
            (&[GIB - 1], &sized, |error| *error == NewfsError::SizeOfSmall),
            (&[GIB], &boot, |error| matches!(error, NewfsError::Area { area: "boot", .. })),
            (&[GIB], &aux, |error| matches!(error, NewfsError::Area { area: "aux", .. })),
            (&[2 * GIB], &both, |error| *error == NewfsError::AreasTooLarge(1056 * MIB)),
        ];
        for (sizes, options, expected) in cases {
            let error = layout(sizes, options).err();
            assert!(error.as_ref().is_some_and(expected), "{sizes:x?} {options:?}: {error:?}");
        }
    }
}
