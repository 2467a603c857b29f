//! What was copied, as it is told.

use serde_json::{Value, json};

use super::Outcome;

/// What was copied so far.
#[derive(Default)]
pub(super) struct Copied {
    /// Files of all kinds; directories are among them.
    pub(super) files: u64,
    /// Bytes of content.
    pub(super) bytes: u64,
    /// What isn't there as it should be, each of which was told.
    pub(super) complaints: u64,
}

impl Copied {
    /// Good when there was nothing to complain of.
    pub(super) fn outcome(&self) -> Outcome {
        if self.complaints == 0 { Outcome::Good } else { Outcome::Bad }
    }

    pub(super) fn json(&self) -> Value {
        let Self { files, bytes, complaints } = self;
        json!({ "files": files, "bytes": bytes, "complaints": complaints })
    }
}
