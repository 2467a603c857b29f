//! `hammer2 fsck`: checks a filesystem.

use std::path::{Path, PathBuf};

use clap::Args;
use hammer2_core::cluster::{Cluster, OpError};
use hammer2_core::fsck::{self, Cost, Finding, FsckError, FsckOptions, Observer, Place, Progress, Severity, Summary};
use indicatif::ProgressBar;
use serde_json::{Map, Value, json};

use super::output::{Output, insert_bytes};
use super::progress::bar;
use super::quota;
use super::session::{Session, Settings};
use super::target::Target;
use super::{Failure, Outcome, at_rest};
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
    /// Mend headers and freemap before: if the newest header is lost, what was written since the one before it is given up; of
    /// what can't be read of the freemap, bulkfree finds out what is in use. After, count anew what is used of quotas, if that is
    /// wrong
    #[arg(long)]
    repair: bool,
    /// NODE, or the directory on which it is mounted, where changes wait until all is checked
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
        if self.repair {
            let replaced = opened(&session, &self.target, async |cluster| {
                cluster.mend_headers().await?;
                cluster.mend_freemap().await
            })?;
            if replaced > 0 && !self.json {
                output.line(format_args!("{replaced} blocks of the freemap couldn't be read, and were made anew"))?;
            }
        }
        let manner = self.manner(Access::Read);
        let checked = check(&session, images, manner, output)?;
        if !self.repair || checked.miscounted.is_empty() {
            return Ok(checked.outcome());
        }
        recount(&session, images, &checked)?;
        if !self.json {
            output.line("what is used of quotas was counted anew; the whole is checked again")?;
        }
        Ok(check(&session, images, manner, output)?.outcome())
    }

    fn manner(&self, access: Access) -> Manner {
        Manner { json: self.json, strict: self.strict, headers_only: false, access }
    }

    /// Checks what is mounted on a directory, as of one moment: changes wait meanwhile.
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

/// How a node is checked.
#[derive(Clone, Copy)]
pub(super) struct Manner {
    /// Findings are printed as JSON.
    pub(super) json: bool,
    /// What other implementations leave behind counts as a problem.
    pub(super) strict: bool,
    /// Nothing below the headers is looked at.
    pub(super) headers_only: bool,
    /// How the disks are opened.
    pub(super) access: Access,
}

/// What a check found.
pub(super) struct Checked {
    summary: Summary,
    /// Problems of header copies: what can be mended.
    pub(super) header_problems: u64,
    /// Mending them may give something up.
    pub(super) is_costly: bool,
    /// Labels of PFSs in which something else is noted as used of quotas than what is.
    pub(super) miscounted: Vec<Vec<u8>>,
}

impl Checked {
    pub(super) fn is_clean(&self) -> bool {
        self.summary.is_clean()
    }

    pub(super) fn outcome(&self) -> Outcome {
        if self.is_clean() { Outcome::Good } else { Outcome::Bad }
    }
}

/// Checks a node, and prints what is found.
pub(super) fn check(
    session: &Session,
    images: &[PathBuf],
    manner: Manner,
    output: &mut Output,
) -> Result<Checked, Failure> {
    if let Some(directory) = Target::of_node(images).directory() {
        let directory = directory.display();
        return Err(Failure::unusable(format_args!(
            "{directory}: this checks images: name those, when they aren't mounted; `hammer2 fsck {directory}` checks what is \
             mounted there"
        )));
    }
    let Manner { json, strict, headers_only, access } = manner;
    let disks = session.open_disks(images, access)?;
    let options = FsckOptions { cache_bytes: session.node_options().cache_bytes, strict };
    session.run(async {
        let bar = bar("KiB", 0);
        let mut printer =
            Printer { output, json, bar, header_problems: 0, is_costly: false, miscounted: Vec::new(), failure: None };
        let checked = match headers_only {
            true => fsck::check_headers(session.heap(), disks, &mut printer).await,
            false => fsck::check(session.heap(), disks, options, &mut printer).await,
        };
        printer.bar.finish_and_clear();
        let Printer { header_problems, is_costly, miscounted, failure, .. } = printer;
        if let Some(failure) = failure {
            return Err(failure);
        }
        let summary = checked.map_err(|error| match error {
            FsckError::Open(error) => Failure::unusable(error),
            FsckError::NoMemory => Failure::unusable(format_args!("{error}; give more with --memory")),
        })?;
        conclude(&summary, manner, output)?;
        Ok(Checked { summary, header_problems, is_costly, miscounted })
    })
}

/// Counts anew what is used of quotas, where something else is noted.
pub(super) fn recount(session: &Session, images: &[PathBuf], checked: &Checked) -> Result<(), Failure> {
    for label in &checked.miscounted {
        let target = Target { label: Some(label.clone()), ..Target::of_node(images) };
        quota::recount(session, &target)?;
    }
    Ok(())
}

/// Mends the headers of a node.
pub(super) fn mend(session: &Session, target: &Target) -> Result<(), Failure> {
    opened(session, target, async |cluster| cluster.mend_headers().await)
}

/// Does something to a node that is opened for it.
fn opened<T>(
    session: &Session,
    target: &Target,
    work: impl AsyncFnOnce(&Cluster) -> Result<T, OpError>,
) -> Result<T, Failure> {
    session.run(async {
        let cluster = session.open_cluster(target, Access::Write).await?;
        session.administer(&cluster, async { work(&cluster).await.map_err(Failure::failed) }).await
    })
}

fn conclude(summary: &Summary, manner: Manner, output: &mut Output) -> Result<(), Failure> {
    let Summary { problems, remarks, header_copies, pfss, inodes, entries, data_blocks, leaked_bytes } = *summary;
    if manner.json {
        return output.line(json!({ "summary": {
            "clean": summary.is_clean(), "problems": problems, "remarks": remarks, "header_copies": header_copies,
            "pfss": pfss, "inodes": inodes, "entries": entries, "data_blocks": data_blocks,
            "leaked_bytes": leaked_bytes,
        }}));
    }
    let verdict = if summary.is_clean() { "clean" } else { "damaged" };
    if manner.headers_only {
        return output.line(format_args!(
            "{verdict}: {problems} problems, {remarks} remarks; checked {header_copies} header copies, and nothing below them"
        ));
    }
    output.line(format_args!(
        "{verdict}: {problems} problems, {remarks} remarks; checked {header_copies} header copies, {pfss} PFSs, {inodes} \
         inodes, {entries} names, {data_blocks} data blocks"
    ))
}

/// Prints findings as they come.
struct Printer<'a> {
    output: &'a mut Output,
    json: bool,
    bar: ProgressBar,
    header_problems: u64,
    is_costly: bool,
    miscounted: Vec<Vec<u8>>,
    /// Why printing stopped.
    failure: Option<Failure>,
}

impl Observer for Printer<'_> {
    fn finding(&mut self, finding: &Finding<'_>) {
        if self.failure.is_some() {
            return;
        }
        if finding.severity == Severity::Problem && finding.place.header.is_some() {
            self.header_problems += 1;
            self.is_costly |= finding.cost != Cost::HeaderCopy;
        }
        if let (Cost::Limits, Some(label)) = (finding.cost, finding.place.pfs)
            && self.miscounted.last().is_none_or(|last| last != label)
        {
            self.miscounted.push(label.to_vec());
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
