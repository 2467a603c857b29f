//! Errors as Linux's error numbers.

use fuser::Errno;
use hammer2_core::cluster::NodeFault;
use hammer2_core::fs::Error;

/// Why a request fails, and the message for the log if the fault is ours, not the caller's.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) errno: Errno,
    pub(super) trouble: Option<Error>,
}

impl From<Errno> for Refusal {
    fn from(errno: Errno) -> Self {
        Self { errno, trouble: None }
    }
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        // A take-over is reported once, not by every request that meets it.
        let is_fenced = matches!(error, Error::Io(NodeFault::Fenced { .. }));
        let is_trouble = error.is_trouble() && !is_fenced;
        Self { errno: Errno::from_i32(error.errno()), trouble: is_trouble.then_some(error) }
    }
}
