//! `hammer2 destroy` and `hammer2 destroy-inum`: removing names and inodes that `rm` can't remove because of damage.

use clap::Args;
use hammer2_core::fs::{Destroyed, Error};
use hammer2_core::media::{FileKind, Inum};
use serde_json::json;

use super::output::{Output, Shown};
use super::place::Place;
use super::session::{Session, Settings, path_failure};
use super::target::Target;
use super::{Failure, Outcome};

/// Remove a name whatever state its inode is in, when `rm` can't
/// An intact file is removed as by `rm`. If the inode can't be read, only the name is removed, and the inode's number is printed,
/// for `destroy-inum`.
#[derive(Args)]
pub(super) struct Destroy {
    /// Print a JSON object: the number of the inode if only its name was removed
    #[arg(long)]
    json: bool,
    /// NODE[@LABEL]:/PATH
    #[arg(value_parser = Target::parser())]
    target: Target,
}

/// Remove an inode by its number, whatever state it is in
///
/// Names that it still has lead nowhere afterwards; `destroy` removes them.
#[derive(Args)]
pub(super) struct DestroyInum {
    /// Also remove a directory that can be read and isn't empty: its content can't be reached any more
    #[arg(short, long)]
    force: bool,
    /// NODE[@LABEL]
    #[arg(value_parser = Target::parser())]
    target: Target,
    /// Its number, decimal or after 0x, as `ls -l`, `stat` and `fsck` show it
    #[arg(value_parser = number)]
    number: u64,
}

fn number(text: &str) -> Result<u64, String> {
    let read = text.strip_prefix("0x").map_or_else(|| text.parse(), |digits| u64::from_str_radix(digits, 16));
    read.map_err(|_| "write a number as 1024 or 0x400".to_owned())
}

impl Destroy {
    pub(super) fn run(&self, settings: &Settings, output: &mut Output) -> Result<Outcome, Failure> {
        let path = &self.target.path;
        Session::new(settings).change(&self.target, async |fs| {
            let Place { directory, name } = Place::find(fs, path).await?;
            match fs.destroy_name(directory, name).await {
                Ok(destroyed) if self.json => {
                    let left = match destroyed {
                        Destroyed::Unlinked => None,
                        Destroyed::NameOnly(inum) => Some(inum.0),
                    };
                    output.line(json!({ "left_inum": left })).map(|()| Outcome::Good)
                }
                Ok(Destroyed::Unlinked) => Ok(Outcome::Good),
                Ok(Destroyed::NameOnly(inum)) => {
                    output.line(format_args!(
                        "{}: the name is removed; its inode {inum} can't be used: `hammer2 destroy-inum {} {inum}` removes \
                         it, if it is there",
                        Shown(path),
                        self.target
                    ))?;
                    Ok(Outcome::Good)
                }
                Err(Error::NotEmpty) => Err(Failure::failed(format_args!(
                    "{0}: directory not empty, and nothing is wrong with it: `hammer2 rm -r {1}:{0}` removes it with all in it",
                    Shown(path),
                    self.target
                ))),
                Err(error) => Err(path_failure(path, error)),
            }
        })
    }
}

impl DestroyInum {
    pub(super) fn run(&self, settings: &Settings, _: &mut Output) -> Result<Outcome, Failure> {
        if self.target.path != b"/" {
            return Err(Failure::unusable("destroy-inum is about a number: name the PFS without a path"));
        }
        let inum = Inum(self.number);
        if inum <= Inum::PFS_ROOT {
            return Err(Failure::unusable("the root can't be destroyed: pfs-delete removes a whole PFS"));
        }
        Session::new(settings).change(&self.target, async |fs| {
            let is_directory = fs.attributes(inum).await.is_ok_and(|file| file.kind == FileKind::Directory);
            if is_directory && !self.force && !is_empty(fs, inum).await {
                return Err(Failure::failed(format_args!(
                    "inode {inum} is a directory that isn't empty: what is in it couldn't be reached any more; `hammer2 \
                     destroy-inum -f {} {inum}` does it",
                    self.target
                )));
            }
            fs.destroy_inode(inum).await.map_err(|error| match error {
                Error::NotFound => Failure::unusable(format_args!("{}: there is no inode {inum}", self.target)),
                error => Failure::failed(format_args!("inode {inum}: {error}")),
            })?;
            Ok(Outcome::Good)
        })
    }
}

/// True for a directory in which no entry can be read.
async fn is_empty(fs: &hammer2_core::fs::FileSystem, directory: Inum) -> bool {
    let Ok(mut batch) = hammer2_core::cluster::EntryBatch::new(super::session::TOOL_HEAP, 0) else { return false };
    let listed = fs.read_directory(directory, hammer2_core::fs::Cookie::START, &mut batch).await;
    listed.is_err() || batch.is_empty()
}
