//! `hammer2 growfs`: the filesystem takes the new space of its device.

use clap::Args;
use indicatif::HumanBytes;
use serde_json::json;

use super::output::Output;
use super::pfs::whole;
use super::session::{Session, Settings};
use super::size::parse_size;
use super::target::Target;
use super::{Failure, Outcome, mounted};
use crate::admin::Grown;

/// Make a filesystem as large as its device or image has become
#[derive(Args)]
pub(super) struct Growfs {
    /// Print a JSON object
    #[arg(long)]
    json: bool,
    /// NODE[+NODE...], or the directory on which it is mounted
    #[arg(value_parser = Target::parser())]
    target: Target,
    /// Bytes of each node's last volume; an image that is smaller is extended first. K, M, G or T behind the number are units
    /// [default: all of the device]
    #[arg(value_name = "SIZE", value_parser = parse_size)]
    size: Option<u64>,
}

impl Growfs {
    pub(super) fn run(&self, settings: &Settings, output: &mut Output) -> Result<Outcome, Failure> {
        let target = whole(&self.target)?;
        if let Some(directory) = target.directory() {
            return self.print(mounted::grow(directory, self.size)?, output);
        }
        let session = Session::new(settings);
        session.run(async {
            let cluster = session.open_growing_cluster(target, self.size).await?;
            let growth =
                session.administer(&cluster, async { cluster.grow(self.size).await.map_err(Failure::failed) }).await?;
            self.print(Grown::new(growth, cluster.header().allocator_free()), output)
        })
    }

    fn print(&self, grown: Grown, output: &mut Output) -> Result<Outcome, Failure> {
        let Grown { old_bytes, new_bytes, free_bytes: free } = grown;
        if self.json {
            output.line(json!({ "old_bytes": old_bytes, "new_bytes": new_bytes, "free_bytes": free }))?;
        } else if new_bytes > old_bytes {
            let [new, old, free] = [new_bytes, old_bytes, free].map(HumanBytes);
            output.line(format_args!("{new}, {old} before; {free} are free"))?;
        } else {
            let old = HumanBytes(old_bytes);
            output.line(format_args!("{old}, as before: no whole 8 MiB more on the last volume"))?;
        }
        Ok(Outcome::Good)
    }
}
