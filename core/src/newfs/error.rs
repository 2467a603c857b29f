//! Why a filesystem can't be made.

use super::limits::{MAX_LABELS, MIN_TOTAL_BYTES};
use crate::io::{DeviceError, DeviceInfo, DeviceName, DeviceOffset};
use crate::media::geometry::{
    INNER_VOLUME_ALIGN_BYTES, MAX_NAME_BYTES, MAX_TOTAL_BYTES, MAX_VOLUMES, VOLUME_ALIGN_BYTES,
};
use crate::media::{HostName, Timestamp};
use crate::memory::NoMemory;

/// What is wrong with a label.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LabelError {
    /// No bytes.
    #[error("a label can't be empty")]
    Empty,
    /// Too many bytes.
    #[error("a label has at most {MAX_NAME_BYTES} bytes")]
    TooLong,
    /// A NUL or a slash.
    #[error("a label can't contain '/' or NUL")]
    Forbidden,
    /// The label was given twice, or is LOCAL, which is always made.
    #[error("the label is given twice, or is LOCAL, which is always made")]
    Duplicate,
}

/// Why nothing, or not all, was written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NewfsError {
    /// No device was given.
    #[error("no device given: name at least one")]
    NoVolumes,
    /// More devices than a filesystem can have.
    #[error("{0} devices given: a filesystem has at most {MAX_VOLUMES} volumes")]
    TooManyVolumes(usize),
    /// Several devices for a version that takes one.
    #[error("a version 1 filesystem has one volume, {0} given: use version 2")]
    VersionOneSet(usize),
    /// A device that can't be written.
    #[error("{0} is read-only")]
    ReadOnly(DeviceName),
    /// Every volume but the last is a multiple of 1 GiB.
    #[error("{device} has {bytes} bytes: every volume but the last takes at least {INNER_VOLUME_ALIGN_BYTES}")]
    InnerVolumeTooSmall {
        /// The device.
        device: DeviceName,
        /// Its size.
        bytes: u64,
    },
    /// The last device of a set has no room for a volume.
    #[error("{device} has {bytes} bytes: a volume takes at least {VOLUME_ALIGN_BYTES}")]
    VolumeTooSmall {
        /// The device.
        device: DeviceName,
        /// Its size.
        bytes: u64,
    },
    /// Nothing would be left to allocate.
    #[error("{bytes} bytes are too small: with these boot and aux areas a filesystem takes at least {least}")]
    TooSmall {
        /// The size of the filesystem in bytes.
        bytes: u64,
        /// The least size in bytes with these areas; at least [`MIN_TOTAL_BYTES`].
        least: u64,
    },
    /// Larger than the format allows.
    #[error("a filesystem has at most {MAX_TOTAL_BYTES} bytes")]
    TooLarge,
    /// A size was given for a set.
    #[error("a size can be given for one volume only")]
    SizeOfSet,
    /// A size for a device that is too small to be used in part.
    #[error("a device of less than {INNER_VOLUME_ALIGN_BYTES} bytes is used whole: give no size")]
    SizeOfSmall,
    /// A size that isn't from 1 GiB up to the device's.
    #[error("size {wanted}: give at least {INNER_VOLUME_ALIGN_BYTES} and at most the device's {available} bytes")]
    Size {
        /// The size given.
        wanted: u64,
        /// The device's size.
        available: u64,
    },
    /// A boot or aux area of a size out of bounds.
    #[error("{area} area of {bytes} bytes: give {least} to {most}")]
    Area {
        /// Which area.
        area: &'static str,
        /// The size given.
        bytes: u64,
        /// The least allowed.
        least: u64,
        /// The most allowed.
        most: u64,
    },
    /// The boot and aux areas don't end within the first GiB.
    #[error("boot and aux areas of {0} bytes together: they must end within the first {INNER_VOLUME_ALIGN_BYTES}")]
    AreasTooLarge(u64),
    /// More labels than newfs makes.
    #[error("{0} labels besides LOCAL: at most {most}", most = MAX_LABELS - 1)]
    TooManyLabels(usize),
    /// A label that can't be one.
    #[error("label {index}: {error}")]
    Label {
        /// Which of the given labels, counted from 1.
        index: usize,
        /// What is wrong with it.
        error: LabelError,
    },
    /// A device failed. What is on the devices now is not a filesystem, or not a whole one.
    #[error("{device}: {error} at {:#x}", offset.0)]
    Device {
        /// The device.
        device: DeviceName,
        /// Where.
        offset: DeviceOffset,
        /// How.
        error: DeviceError,
    },
    /// A mount writes to the device.
    #[error(
        "{device} is in use by a mount on {host}, which wrote to it at {time} UTC by its clock: unmount it there first"
    )]
    InUse {
        /// The device.
        device: DeviceName,
        /// The machine of the mount.
        host: HostName,
        /// When the mount wrote its heartbeat.
        time: Timestamp,
    },
    /// No memory for buffers.
    #[error(transparent)]
    NoMemory(#[from] NoMemory),
}

impl NewfsError {
    pub(super) fn at(info: &DeviceInfo, offset: u64) -> impl Fn(DeviceError) -> Self + '_ {
        move |error| Self::Device { device: info.name, offset: DeviceOffset(offset), error }
    }

    pub(super) fn too_small(bytes: u64, least: u64) -> Self {
        Self::TooSmall { bytes, least: least.max(MIN_TOTAL_BYTES) }
    }
}
