//! `hammer2 bulkfree`: freeing blocks that nothing refers to.

use clap::Args;
use hammer2_core::cluster::{BulkfreeOptions, Cluster};
use hammer2_host::device::Access;
use indicatif::HumanBytes;

use super::output::Output;
use super::pfs::whole;
use super::session::{Session, Settings};
use super::several::each;
use super::target::Target;
use super::{Failure, Outcome, mounted, progress};
use crate::admin::{BULKFREE_PASSES, Freed, Freeing, while_working};

/// Free the space of removed files
#[derive(Args)]
pub(super) struct Bulkfree {
    /// Don't discard the freed space on the device; otherwise it is discarded, and an image becomes smaller
    #[arg(long)]
    no_discard: bool,
    /// Print a JSON object
    #[arg(long)]
    json: bool,
    /// NODE, or the directory on which it is mounted
    #[arg(value_name = "TARGET", required = true, value_parser = Target::parser())]
    targets: Vec<Target>,
}

impl Bulkfree {
    pub(super) fn run(&self, settings: &Settings, output: &mut Output) -> Result<Outcome, Failure> {
        each(&self.targets, |target| self.free_on(target, settings, output))
    }

    fn free_on(&self, target: &Target, settings: &Settings, output: &mut Output) -> Result<Outcome, Failure> {
        if let Some(directory) = target.directory() {
            let freed = mounted::bulkfree(directory, !self.no_discard)?;
            return self.print(&freed, output);
        }
        let session = Session::new(settings);
        session.run(async {
            let cluster = session.open_cluster(whole(target)?, Access::Write).await?;
            let freed = session.administer(&cluster, self.free(&cluster, &session)).await?;
            self.print(&freed, output)
        })
    }

    async fn free(&self, cluster: &Cluster, session: &Session) -> Result<Freed, Failure> {
        let options = BulkfreeOptions { discard: !self.no_discard };
        let mut freed = Freed::default();
        let bar = progress::share_bar();
        bar.tick();
        for pass in 1..=BULKFREE_PASSES {
            let show = || progress::show_freeing(&bar, Freeing::new(pass, cluster.bulkfree_progress()));
            let counts = while_working(session.clock(), cluster.bulkfree_with(options), show).await;
            show();
            let failed = |error| Failure::failed(format_args!("{error}; nothing was freed by this pass"));
            freed.add(&counts.map_err(failed)?);
        }
        bar.finish_and_clear();
        freed.free_bytes = cluster.header().allocator_free();
        Ok(freed)
    }

    fn print(&self, freed: &Freed, output: &mut Output) -> Result<Outcome, Failure> {
        if self.json {
            output.line(serde_json::to_value(freed).map_err(Failure::failed)?)?;
            return Ok(Outcome::Good);
        }
        let Freed { freed_bytes, discarded_bytes, repaired_bytes, free_bytes } = *freed;
        let [freed, discarded, free] = [freed_bytes, discarded_bytes, free_bytes].map(HumanBytes);
        output.line(format_args!("freed {freed}, discarded {discarded} of them, {free} are free"))?;
        if repaired_bytes > 0 {
            let repaired = HumanBytes(repaired_bytes);
            output.line(format_args!("{repaired} in use were marked as free, and no longer are"))?;
        }
        Ok(Outcome::Good)
    }
}
