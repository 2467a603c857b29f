//! A check of a node, and what it prints.

use std::path::PathBuf;

use hammer2_core::fsck::{self, Finding, FsckError, FsckOptions, Observer, Place, Progress, Summary};
use hammer2_host::device::Access;
use indicatif::ProgressBar;
use serde_json::{Map, Value, json};

use super::plan::Plan;
use crate::cli::output::{Output, insert_bytes};
use crate::cli::progress::bar;
use crate::cli::session::Session;
use crate::cli::target::Target;
use crate::cli::{Failure, Outcome};

/// How a node is checked.
#[derive(Clone, Copy)]
pub(in crate::cli) struct Manner {
    /// Findings are printed as JSON.
    pub(in crate::cli) json: bool,
    /// Known leftovers of other implementations count as problems.
    pub(in crate::cli) strict: bool,
    /// Nothing below the headers is looked at.
    pub(in crate::cli) headers_only: bool,
    /// How the disks are opened.
    pub(in crate::cli) access: Access,
}

/// What a check found.
pub(in crate::cli) struct Checked {
    summary: Summary,
    /// What can be done about it.
    pub(in crate::cli) plan: Plan,
}

impl Checked {
    pub(in crate::cli) fn is_clean(&self) -> bool {
        self.summary.is_clean()
    }

    pub(in crate::cli) fn outcome(&self) -> Outcome {
        if self.is_clean() { Outcome::Good } else { Outcome::Bad }
    }
}

/// Checks a node, and prints what is found.
pub(in crate::cli) fn check(
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
        let mut printer = Printer { output, json, bar, plan: Plan::default(), failure: None };
        let checked = match headers_only {
            true => fsck::check_headers(session.heap(), disks, &mut printer).await,
            false => fsck::check(session.heap(), disks, options, &mut printer).await,
        };
        printer.bar.finish_and_clear();
        let Printer { plan, failure, .. } = printer;
        if let Some(failure) = failure {
            return Err(failure);
        }
        let summary = checked.map_err(|error| match error {
            FsckError::NoMemory => Failure::unusable(format_args!("{error}; give more with --memory")),
            other => Failure::unusable(other),
        })?;
        conclude(&summary, manner, output)?;
        Ok(Checked { summary, plan })
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
    plan: Plan,
    /// Why printing stopped.
    failure: Option<Failure>,
}

impl Observer for Printer<'_> {
    fn finding(&mut self, finding: &Finding<'_>) {
        if self.failure.is_some() {
            return;
        }
        self.plan.note(finding);
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
        object.insert("device".into(), device.as_str().into());
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
