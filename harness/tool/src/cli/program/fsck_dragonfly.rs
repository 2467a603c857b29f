//! `fsck_hammer2`, with DragonFly's options.

use std::process::ExitCode;

use clap::Parser;
use hammer2_host::device::Access;
use log::LevelFilter;

use super::Program;
use crate::cli::failure::{self, ExitStatuses};
use crate::cli::fsck::{Manner, check};
use crate::cli::output::Output;
use crate::cli::pfs_facts::{list_pfss, show_pfs};
use crate::cli::session::{Session, Settings};
use crate::cli::target::Target;
use crate::cli::{Failure, Outcome, logging};

/// Check a HAMMER2 filesystem; nothing is written
///
/// Everything is always checked: all header copies, every PFS, every block once. `fsck.hammer2 -y` mends what can be mended.
#[derive(Parser)]
#[command(
    version,
    max_term_width = 120,
    after_help = "Exit status:
  0  nothing is wrong
  1  problems were found
  2  it can't be checked: no such file, no HAMMER2 volume, volumes missing"
)]
pub(super) struct Fsck {
    #[command(flatten)]
    settings: Settings,
    /// Print the PFSs, too
    #[arg(short = 'P')]
    print_pfss: bool,
    /// Print nothing but complaints
    #[arg(short)]
    quiet: bool,
    /// Means nothing here: a volume is always checked, whatever is on it
    #[arg(short)]
    force: bool,
    /// Means nothing here: findings name their blocks
    #[arg(short)]
    verbose: bool,
    /// Means nothing here: empty blockrefs are checked, and not counted
    #[arg(short)]
    empty: bool,
    /// Means nothing here: the newest state is checked first, then blocks that only older states have
    #[arg(short)]
    best_zone: bool,
    /// Means nothing here: each PFS is checked by itself
    #[arg(short)]
    pfs: bool,
    /// Means nothing here: --memory says how much is kept in memory
    #[arg(short = 'c', value_name = "COUNT")]
    cache_count: Option<u64>,
    /// The volumes, IMG[:IMG2...]
    #[arg(value_name = "SPECIAL", value_parser = Target::parser())]
    target: Target,
}

impl Program for Fsck {
    const USAGE_STATUS: u8 = ExitStatuses::HAMMER2.unusable;

    fn run(&self) -> ExitCode {
        logging::to_terminal(LevelFilter::Warn);
        let mut output = if self.quiet { Output::nowhere() } else { Output::new() };
        let checked = self.check(&mut output);
        failure::conclude(output.finish_with(checked), &ExitStatuses::HAMMER2)
    }
}

impl Fsck {
    fn check(&self, output: &mut Output) -> Result<Outcome, Failure> {
        let mut outcome = Outcome::Good;
        for images in &self.target.nodes {
            let session = Session::new(&self.settings);
            if self.print_pfss {
                let cluster = session.run(session.open_cluster(&Target::of_node(images), Access::Read))?;
                let (pfss, _) = session.run(async { Ok(list_pfss(&cluster).await) })?;
                pfss.iter().try_for_each(|pfs| show_pfs(&pfs.into(), output))?;
            }
            let manner = Manner { json: false, strict: false, headers_only: false, access: Access::Read };
            outcome = outcome.and(check(&session, images, manner, output)?.outcome());
        }
        Ok(outcome)
    }
}
