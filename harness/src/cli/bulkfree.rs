//! `hammer2 bulkfree`: giving back what nobody refers to.

use clap::Args;
use hammer2_core::cluster::{BulkfreeOptions, Cluster};
use hammer2_core::media::geometry::CHUNK_BYTES;
use serde_json::json;

use super::output::Output;
use super::pfs::whole;
use super::session::{Session, Settings};
use super::target::Target;
use super::{Failure, Outcome};
use crate::device::Access;

/// A chunk is staged by one pass and freed by the next.
const PASSES: usize = 2;

/// Give back the space of what was removed
#[derive(Args)]
pub(super) struct Bulkfree {
    /// Leave what was freed on the device; otherwise it is told, and an image becomes smaller
    #[arg(long)]
    no_discard: bool,
    /// Print a JSON object
    #[arg(long)]
    json: bool,
    /// NODE
    #[arg(value_parser = Target::parser())]
    target: Target,
}

impl Bulkfree {
    pub(super) fn run(&self, settings: &Settings, output: &mut Output) -> Result<Outcome, Failure> {
        let session = Session::new(settings);
        session.run(async {
            let cluster = session.open_cluster(whole(&self.target)?, Access::Write).await?;
            let (freed, repaired, discarded) = session.administer(&cluster, self.free(&cluster)).await?;
            let free = cluster.header().allocator_free();
            if self.json {
                output.line(json!({
                    "freed_bytes": freed,
                    "discarded_bytes": discarded,
                    "repaired_bytes": repaired,
                    "free_bytes": free,
                }))?;
            } else {
                output.line(format_args!("freed {freed} bytes, discarded {discarded} of them, {free} are free"))?;
                if repaired > 0 {
                    output.line(format_args!("{repaired} bytes in use were marked as free, and no longer are"))?;
                }
            }
            Ok(Outcome::Good)
        })
    }

    /// The bytes that were freed, marked as used again, and discarded.
    async fn free(&self, cluster: &Cluster) -> Result<(u64, u64, u64), Failure> {
        let options = BulkfreeOptions { discard: !self.no_discard };
        let (mut freed, mut repaired, mut discarded) = (0, 0, 0);
        for _ in 0..PASSES {
            let failed = |error| Failure::failed(format_args!("{error}; nothing was freed by this pass"));
            let counts = cluster.bulkfree_with(options).await.map_err(failed)?;
            freed += counts.freed * CHUNK_BYTES;
            repaired += counts.repaired * CHUNK_BYTES;
            discarded += counts.discarded * CHUNK_BYTES;
        }
        Ok((freed, repaired, discarded))
    }
}
