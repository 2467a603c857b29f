//! `hammer2 fsck`: checks a filesystem.

use clap::Args;
use hammer2_core::fsck::{self, Finding, FsckError, FsckOptions, Observer, Place, Progress, Summary};
use indicatif::ProgressBar;
use serde_json::{Map, Value, json};

use super::output::{Output, insert_bytes};
use super::progress::bar;
use super::session::{Session, Settings};
use super::target::Target;
use super::{Failure, Outcome};
use crate::device::Access;

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
    /// Take what other implementations are known to leave behind for problems
    #[arg(long)]
    strict: bool,
    /// Mend the headers before: if the newest is lost, what was written since the one before it is given up
    #[arg(long)]
    repair: bool,
    /// NODE
    #[arg(value_parser = Target::parser())]
    target: Target,
}

impl Fsck {
    pub(super) fn run(&self, settings: &Settings, output: &mut Output) -> Result<Outcome, Failure> {
        if self.target.label.is_some() || self.target.path != b"/" {
            return Err(Failure::unusable("fsck is about a whole filesystem: name it without label and path"));
        }
        let session = Session::new(settings);
        let Some(images) = self.target.only_node() else {
            return Err(Failure::unusable(
                "fsck checks one node at a time: name one; `cluster scrub` compares several",
            ));
        };
        if self.repair {
            session.run(self.mend(&session))?;
        }
        let disks = session.open_disks(images, Access::Read)?;
        let options = FsckOptions { cache_bytes: session.node_options().cache_bytes, strict: self.strict };
        session.run(async {
            let mut printer = Printer { output, json: self.json, bar: bar("KiB", 0), failure: None };
            let checked = fsck::check(session.heap(), disks, options, &mut printer).await;
            printer.bar.finish_and_clear();
            if let Some(failure) = printer.failure {
                return Err(failure);
            }
            let summary = checked.map_err(|error| match error {
                FsckError::Open(error) => Failure::unusable(error),
                FsckError::NoMemory => Failure::unusable(format_args!("{error}; give more with --memory")),
            })?;
            self.conclude(&summary, output)?;
            Ok(if summary.is_clean() { Outcome::Good } else { Outcome::Bad })
        })
    }

    async fn mend(&self, session: &Session) -> Result<(), Failure> {
        let cluster = session.open_cluster(&self.target, Access::Write).await?;
        session.administer(&cluster, async { cluster.mend_headers().await.map_err(Failure::failed) }).await
    }

    fn conclude(&self, summary: &Summary, output: &mut Output) -> Result<(), Failure> {
        let Summary { problems, remarks, header_copies, pfss, inodes, entries, data_blocks, leaked_bytes } = *summary;
        if self.json {
            return output.line(json!({ "summary": {
                "clean": summary.is_clean(), "problems": problems, "remarks": remarks, "header_copies": header_copies,
                "pfss": pfss, "inodes": inodes, "entries": entries, "data_blocks": data_blocks,
                "leaked_bytes": leaked_bytes,
            }}));
        }
        let verdict = if summary.is_clean() { "clean" } else { "damaged" };
        output.line(format_args!(
            "{verdict}: {problems} problems, {remarks} remarks; checked {header_copies} header copies, {pfss} PFSs, {inodes} \
             inodes, {entries} names, {data_blocks} data blocks"
        ))
    }
}

/// Prints findings as they come.
struct Printer<'a> {
    output: &'a mut Output,
    json: bool,
    bar: ProgressBar,
    /// Why printing stopped.
    failure: Option<Failure>,
}

impl Observer for Printer<'_> {
    fn finding(&mut self, finding: &Finding<'_>) {
        if self.failure.is_some() {
            return;
        }
        let (output, json) = (&mut *self.output, self.json);
        let printed = self.bar.suspend(|| match json {
            true => output.line(json_of(finding)),
            false => output.line(finding),
        });
        self.failure = printed.err();
    }

    fn progress(&mut self, progress: Progress) {
        self.bar.set_length(progress.allocated_bytes >> 10);
        self.bar.set_position(progress.checked_bytes >> 10);
    }
}

fn json_of(finding: &Finding<'_>) -> Value {
    let mut object = Map::new();
    object.insert("severity".into(), finding.severity.to_string().into());
    let Place { header, freemap, pfs, inode, path, name, block } = finding.place;
    if let Some((device, copy)) = header {
        object.insert("device".into(), device.into());
        object.insert("header_copy".into(), copy.into());
    }
    if freemap {
        object.insert("freemap".into(), true.into());
    }
    for (key, bytes) in [("pfs", pfs), ("path", path), ("name", name)] {
        if let Some(bytes) = bytes {
            insert_bytes(&mut object, key, bytes);
        }
    }
    if let Some(inode) = inode {
        object.insert("inum".into(), inode.0.into());
    }
    if let Some(block) = block {
        let place = json!({ "type": block.kind, "key": block.key.0, "data_off": block.data_off.0 });
        object.insert("block".into(), place);
    }
    object.insert("what".into(), finding.trouble.to_string().into());
    object.insert("cost".into(), finding.cost.to_string().into());
    Value::Object(object)
}
