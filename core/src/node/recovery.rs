//! Recovery after a crash: torn headers, and a freemap that lags behind its topology (format 7.5). Our freemaps never lag, but
//! those of other systems may.

use super::survey::Since;
use super::{Node, NodeError};
use crate::media::Blockref;
use crate::memory::{self, Vec};

impl Node {
    /// Mends headers, and marks as allocated what was written by flushes later than the freemap's last. This must be done before
    /// the first modification; it costs nothing if the headers are whole and the freemap doesn't lag.
    pub async fn recover(&self) -> Result<(), NodeError> {
        self.mend_headers().await?;
        let (mirror, freemap) = (self.header().mirror_tid(), self.header().freemap_tid());
        if mirror <= freemap {
            return Ok(());
        }
        let mut newer: Vec<Blockref> = Vec::new_in(self.heap);
        let mut collected = Ok(());
        self.survey(Since::Flush(freemap), &mut |bref| {
            let noted = memory::push(&mut newer, *bref);
            collected = collected.and(noted);
        })
        .await?;
        collected?;
        for bref in &newer {
            self.drive_change(|topology, allocator, blocks| allocator.mark(topology, blocks, bref)).await?;
        }
        Ok(())
    }
}
