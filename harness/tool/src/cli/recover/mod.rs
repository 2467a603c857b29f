//! `hammer2 recover`: getting files out of a volume that may be damaged anywhere.

mod file;
mod index;
mod lost;
mod report;
mod scanning;
mod states;
mod tree;

use std::collections::HashSet;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use clap::Args;
use hammer2_core::io::{Buffer, ReadError};
use hammer2_core::rescue::Rescue;
use hammer2_host::device::Access;

use super::host_tree::HostTree;
use super::output::Output;
use super::session::{Session, Settings};
use super::target::Target;
use super::{Failure, Outcome};
use index::Index;
use report::Report;
use states::Known;

/// Get files out of a damaged volume: its headers, super-root or anything else may be gone
///
/// The volumes are only read. What the newest header that is whole leads to comes first, then what only older ones do, then
/// what a scan of all volumes finds. Every block is compared with its check code; what is missing of a file is listed, never
/// made up. In DIRECTORY:
///   LABEL/PATH             as the newest state has it
///   deleted/LABEL/PATH     removed since: only an older state has it
///   older/LABEL/PATH       damaged in the newest state, as an older one has it
///   lost+found/LABEL/PATH  found by the scan, where a directory has a name for it
///   lost+found/NUMBER-NAME found by the scan, by its inode number, and a name if there is one
///   unverified/...         the same, of what no check code vouches for: the inode, or content that was stored without
///   ....partial            a file of which some is missing: there it has holes
#[derive(Args)]
#[command(
    verbatim_doc_comment,
    after_help = "Exit status:
  0  whatever was found came out whole
  1  something is missing, and was listed
  2  the volumes or the directory can't be used"
)]
pub(super) struct Recover {
    /// Print a JSON object a line: each file, each loss, then the summary
    #[arg(long)]
    json: bool,
    /// Leave out the scan: recover only files that the headers lead to
    #[arg(long)]
    no_scan: bool,
    /// NODE; several nodes are recovered each by itself, into a directory of its own
    #[arg(value_parser = Target::parser())]
    target: Target,
    /// The directory to recover into, made when missing; it must be empty
    directory: PathBuf,
}

/// A recovery under way.
struct Recovery<'r> {
    rescue: Rescue,
    host: HostTree,
    index: Index,
    report: &'r mut Report<'r>,
    buffer: Buffer,
    pfss: Vec<Known>,
    /// The newest super-root could be read to its end.
    newest_is_complete: bool,
    /// How many trees have a number.
    trees: u32,
}

impl Recover {
    pub(super) fn run(&self, settings: &Settings, output: &mut Output) -> Result<Outcome, Failure> {
        if self.target.label.is_some() || self.target.path != b"/" {
            return Err(Failure::unusable("recover is about whole volumes: name them without label and path"));
        }
        let failed = |error| Failure::unusable(format_args!("{}: {error}", self.directory.display()));
        HostTree::open_or_make(&self.directory).map_err(failed)?;
        if fs::read_dir(&self.directory).map_err(failed)?.next().is_some() {
            let directory = self.directory.display();
            return Err(Failure::unusable(format_args!(
                "{directory}: isn't empty; name a directory that is, or a new one"
            )));
        }
        if let [images] = &self.target.nodes[..] {
            return self.recover(settings, images, &self.directory, output);
        }
        let mut outcome = Outcome::Good;
        let mut names = HashSet::new();
        for images in &self.target.nodes {
            let directory = self.directory.join(folder(images, &mut names));
            outcome = outcome.and(self.recover(settings, images, &directory, output)?);
        }
        Ok(outcome)
    }

    fn recover(
        &self,
        settings: &Settings,
        images: &[PathBuf],
        directory: &Path,
        output: &mut Output,
    ) -> Result<Outcome, Failure> {
        let session = Session::new(settings);
        let disks = session.open_disks(images, Access::Read)?;
        session.run(async {
            let opened = Rescue::open(session.heap(), disks, session.node_options().cache_bytes).await;
            let rescue = opened.map_err(Failure::unusable)?;
            let host = HostTree::open_or_make(directory)
                .map_err(|error| Failure::unusable(format_args!("{}: {error}", directory.display())))?;
            let mut report = Report::new(output, self.json);
            let index = Index::create(directory)?;
            let buffer = rescue.piece_buffer().map_err(Failure::failed)?;
            let mut recovery = Recovery {
                rescue,
                host,
                index,
                report: &mut report,
                buffer,
                pfss: Vec::new(),
                newest_is_complete: false,
                trees: 0,
            };
            recovery.all(!self.no_scan).await
        })
    }
}

impl Recovery<'_> {
    async fn all(&mut self, may_scan: bool) -> Result<Outcome, Failure> {
        for volume in self.rescue.absent().to_vec() {
            self.report.note(&format!("volume {volume} of the set wasn't given: what is on it is missing"))?;
        }
        for device in self.rescue.headerless().to_vec() {
            self.report.note(&format!("{device}: no volume header is left"))?;
        }
        self.recover_states().await?;
        if may_scan {
            let (scanned, newest) = scanning::scan(&self.rescue, &self.index).await?;
            self.report.unreadable(scanned.unreadable_bytes);
            let standing = self.rescue.states().first().map(|state| state.tid);
            let outdated = standing.filter(|standing| *standing < newest);
            if let Some(standing) = outdated {
                self.report.root_lost(&format!(
                    "the newest header is lost: there are blocks of flush {newest}, and the newest header that stands is of \
                     flush {standing}; what was made since has no tree, and may be missing without being named"
                ))?;
            }
            self.recover_found_roots(self.newest_is_complete && outdated.is_none()).await?;
        }
        self.recover_wanted().await?;
        self.recover_lost().await?;
        if self.pfss.is_empty() {
            self.report.root_lost("no PFS was found: what there is has no tree")?;
        } else if !self.newest_is_complete && self.report.has_strays() {
            self.report
                .root_lost("no header says which PFSs there were: files without a tree may be of one that is lost")?;
        }
        self.report.conclude()
    }
}

/// A folder for the content of these images, with the name of the first, and different from those of others.
fn folder(images: &[PathBuf], taken: &mut HashSet<OsString>) -> OsString {
    let name = images.first().and_then(|image| image.file_name()).unwrap_or_default().to_owned();
    let mut folder = name.clone();
    let mut number = 0;
    while folder.is_empty() || !taken.insert(folder.clone()) {
        number += 1;
        folder = name.clone();
        folder.push(format!(".{number}"));
    }
    folder
}

/// Why a block can't be read, in words.
fn told(error: ReadError) -> String {
    match error {
        ReadError::NoMemory => "out of memory".into(),
        ReadError::Device { error, .. } => error.to_string(),
        ReadError::Corrupt(corruption) => corruption.to_string(),
    }
}
