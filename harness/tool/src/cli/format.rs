//! Formatting disks, and refusing to overwrite their content unasked.

use std::path::PathBuf;

use hammer2_core::fs::TimeSource as _;
use hammer2_core::io::Disk;
use hammer2_core::newfs::{self, NewfsError, NewfsOptions, NewfsReport};
use hammer2_host::device::{ContentUnknown, Signature, signatures};
use hammer2_host::random::fill_random;
use hammer2_host::time_source::HostTime;

use super::Failure;
use super::session::TOOL_HEAP;

/// What programs that recognize a filesystem like ours call it.
const OWN_KIND: &str = "hammer2";

/// True when one of the disks holds a HAMMER2 filesystem, or the remains of one.
pub(super) async fn holds_hammer2(disks: &[Disk]) -> Result<bool, Failure> {
    for disk in disks {
        if newfs::has_filesystem(disk, TOOL_HEAP).await.map_err(failure)? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// An error if one of the disks, which were opened from these images, holds something that somebody may miss.
pub(super) async fn refuse_content(images: &[PathBuf], disks: &[Disk]) -> Result<(), Failure> {
    for (image, disk) in images.iter().zip(disks) {
        let is_own = newfs::has_filesystem(disk, TOOL_HEAP).await.map_err(failure)?;
        let found = match signatures(disk, TOOL_HEAP).await {
            Ok(found) => found,
            Err(error @ (ContentUnknown::Device { .. } | ContentUnknown::NoMemory(_))) => {
                return Err(Failure::failed(format_args!("{}: {error}", image.display())));
            }
            Err(_) if is_own => Vec::new(),
            Err(error) => {
                return Err(Failure::unusable(format_args!(
                    "{}: {error}; install util-linux, or overwrite whatever is there with -f",
                    image.display()
                )));
            }
        };
        let missed = is_own && found.iter().all(|signature| signature.kind != OWN_KIND);
        let own = missed.then(|| OWN_KIND.to_owned());
        let names: Vec<String> = own.into_iter().chain(found.iter().map(Signature::to_string)).collect();
        if !names.is_empty() {
            return Err(Failure::unusable(format_args!(
                "{}: holds {}; -f overwrites it",
                image.display(),
                names.join(", ")
            )));
        }
    }
    Ok(())
}

/// Formats disks. Their old content is lost.
pub(super) async fn format(disks: &[Disk], options: &NewfsOptions<'_>) -> Result<NewfsReport, Failure> {
    let disks: Vec<_> = disks.iter().collect();
    let no_random = |error| Failure::failed(format_args!("no random numbers: {error}"));
    // The source of random numbers is tried before anything is written.
    fill_random(&mut [0; 1]).map_err(no_random)?;
    let mut failed = None;
    let mut random = |bytes: &mut [u8]| failed = fill_random(bytes).err().or(failed);
    let made = newfs::newfs(&disks, options, TOOL_HEAP, &mut random, HostTime.now()).await.map_err(failure)?;
    failed.map_or(Ok(made), |error| Err(no_random(error)))
}

/// An error of a device is a failure of the operation; all other errors are about the arguments.
fn failure(error: NewfsError) -> Failure {
    match error {
        NewfsError::Device { .. } | NewfsError::NoMemory(_) => Failure::failed(error),
        _ => Failure::unusable(error),
    }
}
