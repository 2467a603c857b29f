//! A writer without a heartbeat: another implementation, which knows nothing of ours. Its last write must stay.

use hammer2_core::media::geometry::{HEADER_TWINS, header_copies, header_offset, twin_offset};
use hammer2_core::media::heartbeat::{HEARTBEAT_BYTES, HEARTBEAT_OFFSET};
use hammer2_core::media::volume_header::VOLUME_HEADER_BYTES;
use hammer2_core::media::{Heartbeat, MirrorTid, MountNonce, VolumeHeader};
use zerocopy::{FromBytes as _, IntoBytes as _};

use crate::medium::Medium;
use crate::nodes::Drive;

/// How many headers it wrote before the last one.
const FLUSHES: u64 = 100;

/// The state of a disk after it has written.
pub(crate) struct Silent {
    drive: Drive,
    headers: Vec<Vec<u8>>,
    /// The mount that had the disk at that time.
    holder: Option<MountNonce>,
}

impl Silent {
    /// Writes a header of its own to a disk, even if it is mounted, but not to a disk without a filesystem.
    pub(crate) fn write(drive: &Drive) -> Option<Self> {
        let mut medium = drive.disk.medium.borrow_mut();
        medium.settle();
        // It ignores twins, and goes on from the newest copy.
        let valid = (0..header_copies(medium.size_bytes())).filter_map(|copy| {
            let bytes = read(&medium, header_offset(copy), VOLUME_HEADER_BYTES);
            let header = VolumeHeader::read_from_bytes(&bytes).ok()?;
            header.check_identity().is_ok().then_some((header.mirror_tid(), copy, header))
        });
        let (newest, last, mut header) = valid.max_by_key(|(tid, ..)| *tid)?;
        header.set_tids(MirrorTid(newest.0 + FLUSHES));
        header.seal();
        medium.write(header_offset(header.next_copy(last)), header.as_bytes(), 0);
        medium.settle();
        let headers = places(&medium).map(|offset| read(&medium, offset, VOLUME_HEADER_BYTES)).collect();
        Some(Self { drive: drive.clone(), headers, holder: holder(&medium) })
    }

    /// True when the mount that had the disk has written a header since.
    pub(crate) fn is_overwritten(&self) -> bool {
        let medium = self.drive.disk.medium.borrow();
        let is_same = |(offset, before): (u64, &Vec<u8>)| read(&medium, offset, VOLUME_HEADER_BYTES) == *before;
        holder(&medium) == self.holder && !places(&medium).zip(&self.headers).all(is_same)
    }
}

/// The places of headers and their twins.
fn places(medium: &Medium) -> impl Iterator<Item = u64> + use<> {
    let copies = header_copies(medium.size_bytes());
    (0..copies).map(header_offset).chain((0..HEADER_TWINS).map(twin_offset))
}

fn holder(medium: &Medium) -> Option<MountNonce> {
    Heartbeat::read(&read(medium, HEARTBEAT_OFFSET, HEARTBEAT_BYTES)).map(|heartbeat| heartbeat.nonce)
}

fn read(medium: &Medium, offset: u64, bytes: usize) -> Vec<u8> {
    let mut read = vec![0; bytes];
    medium.read(offset, &mut read);
    read
}
