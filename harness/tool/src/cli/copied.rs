//! Counts of copied files, for reports.

use serde_json::{Value, json};

use super::Outcome;

/// The counts so far.
#[derive(Default)]
pub(super) struct Copied {
    /// Files of all kinds; directories are among them.
    pub(super) files: u64,
    /// Bytes of content.
    pub(super) bytes: u64,
    /// Files that aren't copied as they should be; each was reported.
    pub(super) complaints: u64,
}

impl Copied {
    /// Good if there was no complaint.
    pub(super) fn outcome(&self) -> Outcome {
        if self.complaints == 0 { Outcome::Good } else { Outcome::Bad }
    }

    pub(super) fn json(&self) -> Value {
        let Self { files, bytes, complaints } = self;
        json!({ "files": files, "bytes": bytes, "complaints": complaints })
    }
}
