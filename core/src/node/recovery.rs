//! Recovery of a volume whose freemap lags behind its topology (spec 7.5). Ours never do; others' may after a crash.

use super::survey::Since;
use super::{Node, NodeError};
use crate::media::Blockref;
use crate::memory::{self, Vec};

impl Node {
    /// Marks as allocated what flushes after the freemap's last wrote. To be done before the first modification; a volume whose
    /// freemap doesn't lag costs nothing.
    pub async fn recover(&self) -> Result<(), NodeError> {
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
            self.change(|topology, allocator, blocks| allocator.mark(topology, blocks, bref)).await?;
        }
        Ok(())
    }
}
