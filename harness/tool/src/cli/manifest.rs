//! `hammer2 manifest`: a line for every file.

use std::fmt::{self, Write};

use clap::Args;
use hammer2_core::fs::Error;
use hammer2_core::manifest::{self, Hex, ManifestDigest, ManifestError};
use hammer2_core::media::FileKind;
use indicatif::ProgressBar;
use serde_json::json;

use super::output::Output;
use super::session::{Session, Settings, TOOL_HEAP, path_failure};
use super::target::Target;
use super::told::object_beside;
use super::{Failure, Outcome, progress};

/// Print a line of JSON for every file, in the order of paths
///
/// A file that can't be read whole has an "error", and then the exit status is 1.
#[derive(Args)]
pub(super) struct Manifest {
    /// Print the result as a JSON object as well, with the digest; without --digest on standard error, as its last line
    #[arg(long)]
    json: bool,
    /// Print only the SHA-256 of all lines
    #[arg(long)]
    digest: bool,
    /// NODE[@LABEL][:/PATH], a directory
    #[arg(value_parser = Target::parser())]
    target: Target,
}

impl Manifest {
    pub(super) fn run(&self, settings: &Settings, output: &mut Output) -> Result<Outcome, Failure> {
        let session = Session::new(settings);
        session.run(async {
            let (fs, inum) = session.mount_path(&self.target).await?;
            if fs.attributes(inum).await.is_ok_and(|file| file.kind != FileKind::Directory) {
                return Err(path_failure(&self.target.path, Error::NotADirectory));
            }
            let bar = progress::bar("files", fs.statistics().inodes);
            let bar = if self.digest { bar } else { progress::beside_output(bar) };
            let mut digest = ManifestDigest::default();
            let mut lines = Lines { digest: &mut digest, output: (!self.digest).then_some(&mut *output), bar: &bar };
            let result = manifest::write(TOOL_HEAP, &fs, inum, &mut lines).await;
            bar.finish_and_clear();
            let summary = match result {
                Ok(summary) => summary,
                Err(ManifestError::Output) => return Err(output.failure()),
                Err(error) => return Err(Failure::failed(error)),
            };
            let digest = Hex(&digest.finish()).to_string();
            let object = json!({ "files": summary.entries, "bad_files": summary.bad_entries, "digest": digest });
            match (self.digest, self.json) {
                (true, true) => output.line(object)?,
                (true, false) => output.line(digest)?,
                (false, true) => object_beside(&object),
                (false, false) => {}
            }
            Ok(if summary.bad_entries == 0 { Outcome::Good } else { Outcome::Bad })
        })
    }
}

/// Lines on their way to the output, with their digest.
struct Lines<'a> {
    digest: &'a mut ManifestDigest,
    output: Option<&'a mut Output>,
    bar: &'a ProgressBar,
}

impl Write for Lines<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        if text.ends_with('\n') {
            self.bar.inc(1);
        }
        self.digest.write_str(text)?;
        self.output.as_mut().map_or(Ok(()), |output| output.write_str(text))
    }
}
