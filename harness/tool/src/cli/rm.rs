//! `hammer2 rm`: removing files and trees.

use std::collections::HashSet;

use clap::Args;
use hammer2_core::cluster::EntryBatch;
use hammer2_core::fs::{Cookie, Error, FileSystem};
use hammer2_core::media::{FileKind, Inum};
use indicatif::ProgressBar;
use serde_json::json;

use super::failure::complain;
use super::output::{Output, Shown};
use super::place::Place;
use super::session::{Session, Settings, TOOL_HEAP, path_failure};
use super::several::each;
use super::target::Target;
use super::{Failure, Outcome, progress};

/// Bytes of directory entries read at a time.
const BATCH_BYTES: usize = 32 << 10;

/// Remove a file, or a directory with everything below
#[derive(Args)]
pub(super) struct Rm {
    /// Remove directories, and everything in them
    #[arg(short, visible_short_alias = 'R', long)]
    recursive: bool,
    /// Ignore missing files
    #[arg(short, long)]
    force: bool,
    /// Print the result for each target as a JSON object
    #[arg(long)]
    json: bool,
    /// NODE[@LABEL]:/PATH
    #[arg(value_name = "TARGET", required = true, value_parser = Target::parser())]
    targets: Vec<Target>,
}

impl Rm {
    pub(super) fn run(&self, settings: &Settings, output: &mut Output) -> Result<Outcome, Failure> {
        each(&self.targets, |target| {
            let removed = progress::counter("files");
            let outcome = self.remove(settings, target, &removed)?;
            if self.json {
                output.line(
                    json!({ "target": format!("{target}:{}", Shown(&target.path)), "removed": removed.position() }),
                )?;
            }
            Ok(outcome)
        })
    }

    /// Counts what is removed.
    fn remove(&self, settings: &Settings, target: &Target, removed: &ProgressBar) -> Result<Outcome, Failure> {
        let path = &target.path;
        let failed = |error| path_failure(path, error);
        Session::new(settings).change(target, async |fs| {
            if self.force && matches!(fs.resolve(path).await, Err(Error::NotFound)) {
                return Ok(Outcome::Good);
            }
            let Place { directory, name } = Place::find(fs, path).await?;
            let inum = fs.lookup(directory, name).await.map_err(failed)?;
            if self.recursive && fs.attributes(inum).await.map_err(failed)?.kind == FileKind::Directory {
                let top = Doomed { parent: directory, inum, path: path.clone(), name_len: name.len(), is_empty: false };
                return remove_tree(fs, top, removed).await;
            }
            match fs.unlink(directory, name).await {
                Err(Error::IsADirectory) => {
                    let path = Shown(path);
                    Err(Failure::failed(format_args!("{path}: is a directory; -r removes it with all in it")))
                }
                unlinked => {
                    unlinked.map_err(failed)?;
                    removed.inc(1);
                    Ok(Outcome::Good)
                }
            }
        })
    }
}

/// A directory to remove.
struct Doomed {
    parent: Inum,
    inum: Inum,
    path: Vec<u8>,
    name_len: usize,
    is_empty: bool,
}

impl Doomed {
    fn name(&self) -> &[u8] {
        let end = self.path.iter().rposition(|byte| *byte != b'/').map_or(0, |last| last + 1);
        &self.path[end - self.name_len..end]
    }
}

/// Removes a directory and everything below, from the bottom up.
async fn remove_tree(fs: &FileSystem, top: Doomed, removed: &ProgressBar) -> Result<Outcome, Failure> {
    let mut outcome = Outcome::Good;
    let mut batch = EntryBatch::new(TOOL_HEAP, BATCH_BYTES).map_err(Failure::failed)?;
    // Directories of a damaged volume may contain each other.
    let mut seen = HashSet::new();
    let mut doomed = vec![top];
    while let Some(mut directory) = doomed.pop() {
        if directory.is_empty {
            let gone = fs.remove_directory(directory.parent, directory.name()).await;
            gone.map_err(|error| path_failure(&directory.path, error))?;
            removed.inc(1);
            continue;
        }
        if !seen.insert(directory.inum) {
            let path = Shown(&directory.path);
            return Err(Failure::failed(format_args!("{path}: a directory that is also elsewhere; run fsck")));
        }
        let place = doomed.len();
        // It will be empty when it is met again.
        directory.is_empty = true;
        doomed.push(directory);
        outcome = outcome.and(empty(fs, &mut doomed, place, &mut batch, removed).await?);
    }
    Ok(outcome)
}

/// Removes the files of a directory, and dooms the directories in it.
async fn empty(
    fs: &FileSystem,
    doomed: &mut Vec<Doomed>,
    place: usize,
    batch: &mut EntryBatch,
    removed: &ProgressBar,
) -> Result<Outcome, Failure> {
    let (inum, path) = (doomed[place].inum, doomed[place].path.clone());
    let mut outcome = Outcome::Good;
    let mut from = Some(Cookie::START);
    while let Some(cookie) = from {
        let listing = fs.read_directory(inum, cookie, batch).await.map_err(|error| path_failure(&path, error))?;
        if let Some(fault) = listing.damaged {
            removed.suspend(|| complain(&format_args!("{}: entries can't be read: {fault}", Shown(&path))));
            outcome = Outcome::Bad;
        }
        for entry in batch.iter() {
            let below = [&path, &b"/"[..], entry.name].concat();
            if entry.kind == FileKind::Directory {
                let name_len = entry.name.len();
                doomed.push(Doomed { parent: inum, inum: entry.inum, path: below, name_len, is_empty: false });
            } else {
                fs.unlink(inum, entry.name).await.map_err(|error| path_failure(&below, error))?;
                removed.inc(1);
            }
        }
        from = listing.next;
    }
    Ok(outcome)
}
