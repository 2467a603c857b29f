//! Making snapshots of the mounted PFS: the image is locked, so programs ask the mount.
//! A program asks by setting an extended attribute of the mount's root to the label. The attribute is in the namespace that every
//! filesystem has to itself: other filesystems refuse it, and the kernel lets us decide who may set it. Root and the owner of the
//! mount's root may.

use fuser::{Errno, ReplyEmpty};
use hammer2_core::cluster::NewPfs;
use hammer2_core::fs::{Error, TimeSource as _};
use hammer2_core::media::{Inum, PfsKind};
use hammer2_host::random::new_uuid;
use hammer2_host::time_source::HostTime;

use super::refusal::Refusal;
use super::server::Server;
use crate::admin::{Done, Refused, fresh_uuid};
use crate::pfs_label;

/// The attribute whose value is the label of a snapshot to be made.
pub const SNAPSHOT_ATTRIBUTE: &str = "system.hammer2.snapshot";

impl Server {
    pub(super) async fn snapshot(&self, label: Vec<u8>, uid: u32, reply: ReplyEmpty) {
        match self.make_snapshot(&label, uid).await {
            Ok(()) => reply.ok(),
            Err(refusal) => reply.error(self.refuse(refusal)),
        }
    }

    /// The same for root and the user who mounted.
    pub(super) async fn snapshot_for_owner(&self, label: Option<Vec<u8>>) -> Result<Done, Refused> {
        let label = label.unwrap_or_else(|| pfs_label::dated(&self.fs.pfs().label, HostTime.now()));
        let time = HostTime.now();
        let new = NewPfs { label: &label, kind: PfsKind::Master, clid: fresh_uuid()?, fsid: fresh_uuid()?, time };
        match self.patience.keep_trying(async || self.fs.snapshot(&new).await).await {
            Ok(()) => Ok(Done::Made { label }),
            Err(Error::Exists) => {
                Err(Refused::unusable(format_args!("{}: there is a PFS of this label already", label.escape_ascii())))
            }
            Err(error) => Err(Refused::failed(format_args!("{}: {error}", label.escape_ascii()))),
        }
    }

    async fn make_snapshot(&self, label: &[u8], uid: u32) -> Result<(), Refusal> {
        if uid != 0 && uid != self.fs.attributes(Inum::PFS_ROOT).await?.uid {
            return Err(Errno::EPERM.into());
        }
        if !pfs_label::is_valid(label) {
            return Err(Errno::EINVAL.into());
        }
        let uuid = || new_uuid().map_err(|_| Errno::EIO);
        let new = NewPfs { label, kind: PfsKind::Master, clid: uuid()?, fsid: uuid()?, time: HostTime.now() };
        Ok(self.patience.keep_trying(async || self.fs.snapshot(&new).await).await?)
    }
}
