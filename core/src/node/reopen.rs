//! Reopening: a node that left its cluster comes back with what its volumes hold.

use super::header;
use super::open_error::OpenError;
use super::{Allocator, Node};
use crate::chain::Topology;

impl Node {
    /// Throws away everything in memory, and reads the header again. When this returns, no earlier request is under way any more,
    /// because the devices are reset first.
    pub async fn reopen(&self) -> Result<(), OpenError> {
        self.writer.reset(self.volumes());
        self.blocks.forget();
        for volume in self.volumes().iter() {
            let device = volume.disk.info().name;
            volume.disk.reset().await.map_err(|error| OpenError::Device { device, error })?;
        }
        let root = self.volumes().root().ok_or(OpenError::NoVolumes)?;
        let committed = header::select(self.heap, &root.disk).await?;
        let limit_bytes = self.topology.borrow().arena.limit_bytes();
        {
            let header = committed.header.get();
            let known = self.header().fsid == header.fsid && self.header().volu_id == header.volu_id;
            if !known {
                let device = root.disk.info().name;
                return Err(OpenError::Foreign { device, first: device });
            }
            let (sroot, freemap, tid) = (header.sroot_blockset, header.freemap_blockset, header.mirror_tid());
            let total_bytes = self.volumes().total_bytes();
            let free_bytes = header.allocator_free();
            *self.allocator.borrow_mut() = Allocator::new(self.heap, header.allocator_beg(), total_bytes, free_bytes)?;
            *self.topology.borrow_mut() = Topology::new(self.heap, sroot, freemap, tid, limit_bytes);
        }
        *self.committed.borrow_mut() = committed;
        self.slots.clear();
        self.uncommitted.set(false);
        self.replaceable.set(false);
        self.broken.set(None);
        self.stalled.set(None);
        self.let_go();
        *self.landing.borrow_mut() = None;
        self.blocks.forget_written();
        Ok(())
    }
}
