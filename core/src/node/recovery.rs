//! Recovery after a crash: torn headers, and a freemap that lags behind its topology (format 7.5). Ours never do; others' may.

use super::survey::Since;
use super::{Node, NodeError};
use crate::media::Blockref;
use crate::memory::{self, Vec};

impl Node {
    /// Mends headers, and marks as allocated what flushes after the freemap's last wrote. To be done before the first
    /// modification; a volume whose headers are whole and whose freemap doesn't lag costs nothing.
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
