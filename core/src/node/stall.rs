//! Devices that fail for good, and devices that don't answer at the moment.
//!
//! A device that reports an error of a write or a flush has lost something, and it is unknown what: the node writes nothing more.
//! A device that is only late still has what it was given, so nothing is lost. As long as it has a change that nobody waits for
//! any more, the node refuses all changes, because a late write must never land on a place that holds something newer. When the
//! device has answered everything, the node goes on, and first completes a header that was on its way.

use super::{Halt, Node, NodeError, NodeFault};
use crate::io::{DeviceError, Disk, Volume};
use crate::media::BlockName;
use core::task::Poll;

impl Node {
    /// The fault that prevents changes, if there is one: for good, or until a device answers again.
    pub fn fault(&self) -> Option<NodeFault> {
        self.broken.get().or(self.writer.failure()).or_else(|| self.stall())
    }

    /// Makes sure that the node can be changed, and that no earlier change is half done.
    pub(super) async fn ready(&self) -> Result<(), NodeError> {
        if let Some(fault) = self.fault() {
            return Err(NodeError::Fault(fault));
        }
        for Volume { disk, .. } in self.volumes().iter() {
            // Mostly no request was given up, and there is nothing to wait for.
            if disk.poll_quiet() != Poll::Ready(Ok(())) {
                disk.quiet().await.map_err(|error| self.device_failed(disk, error))?;
            }
        }
        if self.has_half_written_header() { self.land().await.map(drop) } else { Ok(()) }
    }

    /// Does the same without waiting.
    pub(super) fn check_ready(&self) -> Result<(), Halt> {
        if let Some(fault) = self.fault() {
            return Err(NodeError::Fault(fault).into());
        }
        let is_quiet = |volume: &Volume| volume.disk.poll_quiet() == Poll::Ready(Ok(()));
        let may_go_on = self.volumes().iter().all(is_quiet) && !self.has_half_written_header();
        if may_go_on { Ok(()) } else { Err(Halt::Busy) }
    }

    /// Notes that a device failed a request.
    pub(super) fn device_failed(&self, disk: &Disk, error: DeviceError) -> NodeError {
        let fault = NodeFault::Device { block: BlockName::HEADER, device: disk.info().name, error };
        match error {
            DeviceError::Timeout => self.note_stall(fault),
            _ => self.broken.set(Some(fault)),
        }
        NodeError::Fault(fault)
    }

    /// Notes that a device is late.
    pub(super) fn note_stall(&self, fault: NodeFault) {
        if self.stalled.replace(Some(fault)).is_none()
            && let Some(device) = fault.device()
        {
            log::warn!("{device}: no answer in time; nothing is changed until it answers again");
        }
    }

    /// The fault of a device that doesn't answer at the moment, if there is one. This also notices that it answers again.
    fn stall(&self) -> Option<NodeFault> {
        let noted = self.stalled.get()?;
        for Volume { disk, .. } in self.volumes().iter() {
            disk.harvest();
            match disk.poll_quiet() {
                Poll::Pending => return Some(noted),
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(error)) => {
                    self.device_failed(disk, error);
                    return self.broken.get();
                }
            }
        }
        if let Some(late) = self.writer.lateness(self.volumes()) {
            return Some(late);
        }
        self.stalled.set(None);
        if let Some(device) = noted.device() {
            log::warn!("{device}: answers again");
        }
        self.writer.failure()
    }
}
