//! `hammer2 mkdir`: making directories.

use clap::Args;
use hammer2_core::fs::{Error, FileSystem};
use hammer2_core::media::{FileKind, Inum};

use super::output::Output;
use super::place::{Place, new_file};
use super::session::{Session, Settings, path_failure};
use super::several::each;
use super::target::Target;
use super::{Failure, Outcome};

const MODE: u32 = 0o755;

/// Make a directory
#[derive(Args)]
pub(super) struct Mkdir {
    /// Make missing directories above it, too, and accept one that exists
    #[arg(short)]
    parents: bool,
    /// NODE[@LABEL]:/PATH
    #[arg(value_name = "TARGET", required = true, value_parser = Target::parser())]
    targets: Vec<Target>,
}

impl Mkdir {
    pub(super) fn run(&self, settings: &Settings, _: &mut Output) -> Result<Outcome, Failure> {
        each(&self.targets, |target| self.make(settings, target))
    }

    fn make(&self, settings: &Settings, target: &Target) -> Result<Outcome, Failure> {
        let path = &target.path;
        Session::new(settings).change(target, async |fs| {
            if self.parents {
                make_directories(fs, path).await?;
                return Ok(Outcome::Good);
            }
            let Place { directory, name } = Place::find(fs, path).await?;
            let made = fs.create(directory, name, &new_file(FileKind::Directory, MODE)).await;
            made.map(|_| Outcome::Good).map_err(|error| path_failure(path, error))
        })
    }
}

/// The directory at a path, which is made as far as it is missing.
pub(super) async fn make_directories(fs: &FileSystem, path: &[u8]) -> Result<Inum, Failure> {
    let failed = |error| path_failure(path, error);
    let mut at = Inum::PFS_ROOT;
    for name in path.split(|byte| *byte == b'/').filter(|name| !name.is_empty()) {
        at = match fs.lookup(at, name).await {
            Err(Error::NotFound) => fs.create(at, name, &new_file(FileKind::Directory, MODE)).await.map_err(failed)?,
            found => found.map_err(failed)?,
        };
    }
    match fs.attributes(at).await.map_err(failed)?.kind {
        FileKind::Directory => Ok(at),
        _ => Err(failed(Error::NotADirectory)),
    }
}
