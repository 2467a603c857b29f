//! A volume of a set that is missing: it fails every request.

use core::cell::RefCell;
use core::task::{Context, Poll};

use crate::io::{BlockDevice, Completion, DeviceError, DeviceInfo, DeviceName, Request, Ticket};

/// The device in its place.
pub(super) struct Absent {
    info: DeviceInfo,
    refused: RefCell<Option<Request>>,
}

impl Absent {
    pub(super) fn new(size_bytes: u64) -> Self {
        let name = DeviceName::new(&"a volume that is missing");
        let info = DeviceInfo { name, size_bytes, queue_depth: 1, read_only: true, is_shared: false };
        Self { info, refused: RefCell::new(None) }
    }
}

impl BlockDevice for Absent {
    fn info(&self) -> &DeviceInfo {
        &self.info
    }

    fn submit(&self, _: Ticket, request: Request) {
        self.refused.replace(Some(request));
    }

    fn poll(&self, _: Ticket, _: &mut Context<'_>) -> Poll<Completion> {
        match self.refused.take() {
            Some(Request { buffer, .. }) => Poll::Ready(Completion { buffer, result: Err(DeviceError::Gone) }),
            None => Poll::Pending,
        }
    }

    fn poll_reset(&self, _: &mut Context<'_>) -> Poll<Result<(), DeviceError>> {
        Poll::Ready(Ok(()))
    }
}
