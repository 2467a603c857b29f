//! `hammer2 ls`: the entries of a directory.

use clap::{ArgAction, Args};
use hammer2_core::cluster::EntryBatch;
use hammer2_core::fs::{Attributes, Cookie, Error, FileSystem, Found, TreeWalk};
use hammer2_core::media::{FileKind, Inum};
use indicatif::HumanBytes;

use super::facts::{ModeLetters, json_of};
use super::failure::complain;
use super::output::{Output, Shown};
use super::session::{Session, Settings, TOOL_HEAP, path_failure};
use super::several::each;
use super::target::Target;
use super::{Failure, Outcome, progress};
use crate::admin::{FileFacts, link_target};

/// List a directory
/// Control characters and bytes that aren't text are shown as \xNN; --json has names as they are.
#[derive(Args)]
#[command(disable_help_flag = true)]
pub(super) struct Ls {
    /// Type, permissions, links, owner, group, size and time as well
    #[arg(short, long)]
    long: bool,
    /// List the directory itself and the one above, too; names that begin with a dot are always listed
    #[arg(short, long)]
    all: bool,
    /// With -l, sizes in units
    #[arg(short, long)]
    human_readable: bool,
    /// Everything below, too
    #[arg(short = 'R', long)]
    recursive: bool,
    /// Print a JSON object for each entry
    #[arg(long)]
    json: bool,
    /// Print help
    #[arg(long, action = ArgAction::Help)]
    help: (),
    /// NODE[@LABEL][:/PATH]
    #[arg(value_name = "TARGET", required = true, value_parser = Target::parser())]
    targets: Vec<Target>,
}

impl Ls {
    pub(super) fn run(&self, settings: &Settings, output: &mut Output) -> Result<Outcome, Failure> {
        each(&self.targets, |target| {
            let session = Session::new(settings);
            session.run(async {
                let failed = |error| path_failure(&target.path, error);
                let (fs, inum) = session.mount_path(target).await?;
                let file = fs.attributes(inum).await.map_err(failed)?;
                if file.kind != FileKind::Directory {
                    return self.show(&fs, output, &target.path, Ok(file)).await;
                }
                if self.targets.len() > 1 && !self.json {
                    output.line(format_args!("{target}:{}:", Shown(&target.path)))?;
                }
                if self.recursive {
                    self.list_tree(&fs, output, inum).await
                } else {
                    self.list_directory(&fs, output, &target.path, &file).await
                }
            })
        })
    }

    async fn list_directory(
        &self,
        fs: &FileSystem,
        output: &mut Output,
        path: &[u8],
        directory: &Attributes,
    ) -> Result<Outcome, Failure> {
        let mut outcome = Outcome::Good;
        let mut entries = Vec::new();
        let mut batch = EntryBatch::new(TOOL_HEAP, 64 << 10).map_err(Failure::failed)?;
        let mut from = Some(Cookie::START);
        while let Some(cookie) = from {
            let listing = fs.read_directory(directory.inum, cookie, &mut batch).await;
            let listing = listing.map_err(|error| path_failure(path, error))?;
            if let Some(fault) = listing.damaged {
                complain(&format_args!("{}: entries are missing: {fault}", Shown(path)));
                outcome = Outcome::Bad;
            }
            entries.extend(batch.iter().map(|entry| (entry.name.to_vec(), entry.inum, entry.kind)));
            from = listing.next;
        }
        entries.sort_unstable_by(|(a, ..), (b, ..)| a.cmp(b));
        if self.all {
            let own = [(&b"."[..], directory.inum), (b"..", directory.parent)];
            let own = own.map(|(name, inum)| (name.to_vec(), inum, FileKind::Directory));
            entries.splice(0..0, own);
        }
        for (name, inum, kind) in &entries {
            let found = Found { path: name, inum: *inum, kind: *kind, incomplete: None };
            outcome = outcome.and(self.show_found(fs, output, &found).await?);
        }
        Ok(outcome)
    }

    async fn list_tree(&self, fs: &FileSystem, output: &mut Output, inum: Inum) -> Result<Outcome, Failure> {
        let mut outcome = Outcome::Good;
        let bar = progress::beside_output(progress::bar("files", fs.statistics().inodes));
        let mut walk = TreeWalk::new(TOOL_HEAP, fs, inum).map_err(Failure::failed)?;
        while let Some(found) = walk.next().await.map_err(Failure::failed)? {
            bar.inc(1);
            outcome = outcome.and(self.show_found(fs, output, &found).await?);
        }
        Ok(outcome)
    }

    async fn show_found(&self, fs: &FileSystem, output: &mut Output, found: &Found<'_>) -> Result<Outcome, Failure> {
        let mut outcome = Outcome::Good;
        if self.long || self.json {
            let file = found.attributes(fs).await;
            outcome = self.show(fs, output, found.path, file).await?;
        } else {
            output.line(Shown(found.path))?;
        }
        match &found.incomplete {
            Some(error) if outcome == Outcome::Good => {
                complain(&format_args!("{}: entries are missing: {error}", Shown(found.path)));
                Ok(Outcome::Bad)
            }
            _ => Ok(outcome),
        }
    }

    /// Shows a file with its attributes.
    async fn show(
        &self,
        fs: &FileSystem,
        output: &mut Output,
        path: &[u8],
        file: Result<Attributes, Error>,
    ) -> Result<Outcome, Failure> {
        let facts = match file {
            Ok(file) => link_target(fs, &file).await.map(|target| (file, target)),
            Err(error) => Err(error),
        };
        let (file, target) = match facts {
            Ok(facts) => facts,
            Err(error) => {
                complain(&format_args!("{}: {error}", Shown(path)));
                return Ok(Outcome::Bad);
            }
        };
        if self.json {
            output.line(json_of(path, &FileFacts::of(&file, target)))?;
        } else if self.long {
            let size = match file.kind {
                FileKind::CharDevice | FileKind::BlockDevice => format!("{},{}", file.device.0, file.device.1),
                _ if self.human_readable => HumanBytes(file.size).to_string(),
                _ => file.size.to_string(),
            };
            let arrow = target.map(|target| format!(" -> {}", Shown(&target))).unwrap_or_default();
            let Attributes { links, uid, gid, .. } = file;
            let (mode, time) = (ModeLetters(file.kind, file.mode), file.mtime);
            output
                .line(format_args!("{mode} {links:>3} {uid:>5} {gid:>5} {size:>12} {time} {}{arrow}", Shown(path)))?;
        } else {
            output.line(Shown(path))?;
        }
        Ok(Outcome::Good)
    }
}
