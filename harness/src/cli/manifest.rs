//! `hammer2 manifest`: a line for every file.

use std::fmt::{self, Write};

use clap::Args;
use hammer2_core::manifest::{self, Hex, ManifestDigest, ManifestError};
use indicatif::ProgressBar;

use super::output::Output;
use super::session::{Session, Settings, TOOL_HEAP};
use super::target::Target;
use super::{Failure, Outcome, progress};

/// Print a line of JSON for every file, in the order of paths
///
/// A file that can't be read whole has an "error", and then the exit status is 1.
#[derive(Args)]
pub(super) struct Manifest {
    /// Print only the SHA-256 of all lines
    #[arg(long)]
    digest: bool,
    /// NODE[@LABEL][:/PATH]
    #[arg(value_parser = Target::parser())]
    target: Target,
}

impl Manifest {
    pub(super) fn run(&self, settings: &Settings, output: &mut Output) -> Result<Outcome, Failure> {
        let session = Session::new(settings);
        session.run(async {
            let (fs, inum) = session.mount_path(&self.target).await?;
            let bar = progress::bar("files", fs.statistics().inodes);
            let mut digest = ManifestDigest::default();
            let sink: &mut dyn Write = if self.digest { &mut digest } else { output };
            let result = manifest::write(TOOL_HEAP, &fs, inum, &mut Counting { sink, bar: &bar }).await;
            bar.finish_and_clear();
            let summary = match result {
                Ok(summary) => summary,
                Err(ManifestError::Output) => return Err(output.failure()),
                Err(error) => return Err(Failure::failed(error)),
            };
            if self.digest {
                output.line(Hex(&digest.finish()))?;
            }
            Ok(if summary.bad_entries == 0 { Outcome::Good } else { Outcome::Bad })
        })
    }
}

/// Counts lines as they pass.
struct Counting<'a> {
    sink: &'a mut dyn Write,
    bar: &'a ProgressBar,
}

impl Write for Counting<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        if text.ends_with('\n') {
            self.bar.inc(1);
        }
        self.sink.write_str(text)
    }
}
