//! `hammer2 fsck`: checks a filesystem.

mod check;
mod plan;

use std::path::Path;

use clap::Args;
use hammer2_host::device::Access;

use super::output::Output;
use super::session::{Session, Settings};
use super::target::Target;
use super::{Failure, Outcome, at_rest};
pub(super) use check::{Checked, Manner, check};

/// Check a filesystem: headers, check codes, structure, names, links, file data and freemap
///
/// Prints a line for each problem and remark, with what it costs, and last a summary. Problems are damage; remarks are not.
/// Nothing is written without --repair.
#[derive(Args)]
#[command(after_help = "Exit status:
  0  no problem (there may be remarks)
  1  problems were found
  2  it can't be checked: no such file, no HAMMER2 volume, volumes missing")]
pub(super) struct Fsck {
    /// Print a JSON object a line: each finding, then the summary
    #[arg(long)]
    json: bool,
    /// Count known leftovers of other implementations as problems
    #[arg(long)]
    strict: bool,
    /// Mend what can be mended from the disk itself, print the plan first, and check again: headers (if the newest is lost,
    /// everything written since the one before it is given up), the freemap (bulkfree counts anew what is in use of unreadable
    /// parts), link counts and parents, files that no name leads to, which get one below /lost+found, data behind the end of
    /// files, the use of quotas. No content is made up
    #[arg(long)]
    repair: bool,
    /// NODE, or the directory on which it is mounted; there, changes wait until everything is checked
    #[arg(value_parser = Target::parser())]
    target: Target,
}

impl Fsck {
    pub(super) fn run(&self, settings: &Settings, output: &mut Output) -> Result<Outcome, Failure> {
        if self.target.label.is_some() || self.target.path != b"/" {
            return Err(Failure::unusable("fsck is about a whole filesystem: name it without label and path"));
        }
        if let Some(directory) = self.target.directory() {
            return self.check_mounted(directory, settings, output);
        }
        let session = Session::new(settings);
        let Some(images) = self.target.only_node() else {
            let first = Target::of_node(&self.target.nodes[0]);
            return Err(Failure::unusable(format_args!(
                "fsck checks one node at a time, as `hammer2 fsck {first}`; a scrub compares those of a cluster"
            )));
        };
        let manner = self.manner(Access::Read);
        let checked = check(&session, images, manner, output)?;
        if !self.repair || checked.plan.is_empty() {
            return Ok(checked.outcome());
        }
        checked.plan.tell(self.json, output)?;
        checked.plan.carry_out(settings, images, self.json, output)?;
        Ok(check(&Session::new(settings), images, manner, output)?.outcome())
    }

    fn manner(&self, access: Access) -> Manner {
        Manner { json: self.json, strict: self.strict, headers_only: false, access }
    }

    /// Checks the filesystem mounted on a directory, as of one moment: changes wait meanwhile.
    fn check_mounted(&self, directory: &Path, settings: &Settings, output: &mut Output) -> Result<Outcome, Failure> {
        if self.repair {
            let directory = directory.display();
            return Err(Failure::unusable(format_args!(
                "{directory}: nothing is mended below a mount: `hammer2 cluster scrub {directory}` repairs what another member \
                 has; otherwise unmount it, and name its images"
            )));
        }
        at_rest::each_node(directory, self.json, output, |images, output| {
            Ok(check(&Session::new(settings), images, self.manner(Access::Look), output)?.outcome())
        })
    }
}
