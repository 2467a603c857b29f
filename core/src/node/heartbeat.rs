//! Who writes to a node's volumes: the heartbeat of a mount, and the checks before every header (protocol 8).
//!
//! A device that others can reach has no lock. A mount that writes keeps its heartbeat there. Before each write of a header, it
//! checks that the heartbeat is still its own, and that the newest header is still the one it wrote. If not, another mount has
//! taken over: the node is *fenced*, and writes nothing any more. What remains is the time between the check and the write, which
//! is one request: these devices have no compare-and-write.

use core::time::Duration;

use super::{Node, NodeError, NodeFault, Rule};
use crate::io::{Buffer, DeviceError, DeviceOffset, Disk, Instant, Permission, SECTOR_BYTES, Volume, read_heartbeat};
use crate::media::geometry::{header_copies, header_offset};
use crate::media::heartbeat::{HEARTBEAT_BYTES, HEARTBEAT_OFFSET};
use crate::media::{Heartbeat, HostName, MirrorTid, MountNonce, VolumeHeader};

/// The most time between reading a heartbeat and overwriting it while others may write.
const FRESH: Duration = Duration::from_millis(250);

/// How long a mount waits after overwriting a heartbeat before it checks that its own is still there, and changes anything. A
/// mount that looked before this heartbeat was written has begun its own write by then, or never does: of two mounts that do this
/// at once, one sees the other's heartbeat.
const SETTLING: Duration = Duration::from_millis(500);

impl Node {
    /// True when others may reach the volume that says who writes.
    pub fn is_shared(&self) -> bool {
        self.volumes().root().is_some_and(|root| root.disk.info().is_shared)
    }

    /// The heartbeat on the node's root volume, whichever mount it belongs to.
    pub async fn heartbeat(&self) -> Result<Option<Heartbeat>, NodeError> {
        let Some(Volume { disk, .. }) = self.volumes().root() else { return Ok(None) };
        read_heartbeat(self.heap, disk).await?.map_err(|error| self.device_failed(disk, error))
    }

    /// Writes a mount's first heartbeat, durably, over the `seen` one, if there was one. From here on the mount holds the node,
    /// until a heartbeat releases it. If another heartbeat is there by now, the node is fenced.
    pub async fn take(&self, heartbeat: &Heartbeat, seen: Option<Heartbeat>) -> Result<(), NodeError> {
        self.write_over(heartbeat, |found| found == seen).await
    }

    /// Writes the next heartbeat, durably, unless another mount's is there. The node's volumes may then be changed for the
    /// shortest time that others watch an old heartbeat, and no longer.
    pub async fn beat(&self, heartbeat: &Heartbeat) -> Result<(), NodeError> {
        let Some(own) = self.holder.get() else { return Ok(()) };
        self.write_over(heartbeat, |found| is_of(found, own)).await
    }

    async fn write_over(
        &self,
        heartbeat: &Heartbeat,
        is_expected: impl Fn(Option<Heartbeat>) -> bool,
    ) -> Result<(), NodeError> {
        let Some(Volume { disk, .. }) = self.volumes().root() else { return Ok(()) };
        let (since, has_lapsed) = self.write_heartbeat(disk, heartbeat, is_expected).await?;
        disk.flush().await.map_err(|error| self.device_failed(disk, error))?;
        if heartbeat.is_released {
            // The devices keep what they have held back since a lease ended.
            self.holder.set(None);
            return Ok(());
        }
        let was_held = self.is_held();
        if has_lapsed || !was_held {
            disk.sleep_until(disk.now().after(SETTLING)).await;
            self.check_that(|found| is_of(found, heartbeat.nonce)).await?;
            if was_held && !self.is_held() {
                // Meanwhile the node's headers have shown this.
                return Ok(());
            }
        }
        self.holder.set(Some(heartbeat.nonce));
        if has_lapsed && !self.has_newest_header().await? {
            return Err(self.fenced(HostName::UNKNOWN));
        }
        if self.protocol.get().has(Rule::Lease) {
            self.permit(Permission::Until(since.after(heartbeat.lease())));
        }
        Ok(())
    }

    /// Writes a heartbeat after checking the present one, if the device begins the write while nobody else may have written
    /// since. Returns from when on others may see it, and whether the permission to change anything had lapsed before.
    async fn write_heartbeat(
        &self,
        disk: &Disk,
        heartbeat: &Heartbeat,
        is_expected: impl Fn(Option<Heartbeat>) -> bool,
    ) -> Result<(Instant, bool), NodeError> {
        let mut sector = [0; HEARTBEAT_BYTES];
        heartbeat.write(&mut sector);
        let deadline = disk.deadline();
        loop {
            let looked = disk.now();
            self.check_that(&is_expected).await?;
            let mut buffer = Buffer::new(self.heap, HEARTBEAT_BYTES)?;
            buffer.bytes_mut().copy_from_slice(&sector);
            let since = disk.now();
            let has_lapsed = !disk.permits_changes();
            let is_own = self.is_held() && !has_lapsed;
            let end = if is_own { disk.lease_end().unwrap_or(deadline) } else { looked.after(FRESH) };
            match disk.write_before(end.min(deadline), DeviceOffset(HEARTBEAT_OFFSET), buffer).await {
                Ok(_) => return Ok((since, has_lapsed)),
                // It was too late after the check.
                Err(DeviceError::Timeout) if (end..deadline).contains(&disk.now()) => {}
                Err(error) => return Err(self.device_failed(disk, error)),
            }
        }
    }

    fn permit(&self, permission: Permission) {
        self.volumes().iter().for_each(|volume| volume.disk.set_permission(permission));
    }

    /// True while the mount holds the node.
    pub fn is_held(&self) -> bool {
        self.holder.get().is_some()
    }

    /// Forgets that the mount holds the node, because it no longer does or the node is reopened.
    pub(super) fn let_go(&self) {
        self.holder.set(None);
        self.permit(Permission::Always);
    }

    /// Checks that the node still belongs to this mount, and fences it otherwise.
    pub async fn check_heartbeat(&self) -> Result<(), NodeError> {
        let Some(own) = self.holder.get().filter(|_| self.protocol.get().has(Rule::Heartbeat)) else {
            return Ok(());
        };
        self.check_that(|found| is_of(found, own)).await
    }

    async fn check_that(&self, is_expected: impl Fn(Option<Heartbeat>) -> bool) -> Result<(), NodeError> {
        match self.heartbeat().await? {
            found if is_expected(found) => Ok(()),
            found => Err(self.fenced(found.map_or(HostName::UNKNOWN, |found| found.host))),
        }
    }

    /// Checks that nobody else has written a header. This is called right before a header is written to copy `next`.
    pub(super) async fn check_headers(&self, next: usize, tid: MirrorTid) -> Result<(), NodeError> {
        if !self.is_held() || !self.protocol.get().has(Rule::ReadBack) {
            return Ok(());
        }
        self.check_heartbeat().await?;
        let (newest, copy) = {
            let committed = self.committed.borrow();
            (committed.header.get().mirror_tid(), committed.copy)
        };
        let is_own = match self.header_tid(copy).await? {
            // If there is only one copy, the header to be written may have landed there before.
            Some(found) => found == newest || copy == next && found == tid,
            // A header that is torn now wasn't written by another mount.
            None => true,
        };
        let is_older = copy == next || self.header_tid(next).await?.is_none_or(|found| found <= tid);
        if is_own && is_older { Ok(()) } else { Err(self.fenced(HostName::UNKNOWN)) }
    }

    /// Checks that nobody has written a header since the node was opened, and fences it otherwise. This is called right after the
    /// node was taken.
    pub async fn check_as_opened(&self) -> Result<(), NodeError> {
        let (newest, copy, is_missing) = {
            let committed = self.committed.borrow();
            (committed.header.get().mirror_tid(), committed.copy, committed.is_missing())
        };
        let is_same = is_missing || self.header_tid(copy).await? == Some(newest);
        if is_same && self.has_newest_header().await? { Ok(()) } else { Err(self.fenced(HostName::UNKNOWN)) }
    }

    /// True when no header is newer than the one in force and the one on its way.
    async fn has_newest_header(&self) -> Result<bool, NodeError> {
        let newest = self.landing_tid().unwrap_or_else(|| self.committed.borrow().header.get().mirror_tid());
        for copy in 0..header_copies(self.volumes().root().map_or(0, Volume::bytes)) {
            // A copy that was torn when the node was opened may have a number, too.
            if !self.committed.borrow().is_torn(copy)
                && self.header_tid(copy).await?.is_some_and(|found| found > newest)
            {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// The number of the header in a copy; none if there is no header.
    async fn header_tid(&self, copy: usize) -> Result<Option<MirrorTid>, NodeError> {
        let Some(Volume { disk, .. }) = self.volumes().root() else { return Ok(None) };
        let buffer = Buffer::new(self.heap, SECTOR_BYTES as usize)?;
        let read = disk.read(DeviceOffset(header_offset(copy)), buffer).await;
        let buffer = read.map_err(|error| self.device_failed(disk, error))?;
        Ok(VolumeHeader::tid_of_first_sector(buffer.bytes()))
    }

    /// Notes that another mount has taken the node over: nothing is written any more.
    fn fenced(&self, by: HostName) -> NodeError {
        let fault = NodeFault::Fenced { by };
        self.broken.set(Some(fault));
        self.holder.set(None);
        self.permit(Permission::Never);
        NodeError::Fault(fault)
    }
}

/// True for a heartbeat of this mount.
fn is_of(found: Option<Heartbeat>, mount: MountNonce) -> bool {
    found.is_some_and(|found| found.nonce == mount)
}
