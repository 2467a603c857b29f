//! `hammer2 mv`: moving and renaming.

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;

use clap::Args;
use hammer2_core::fs::Error;
use hammer2_core::media::FileKind;

use super::output::Output;
use super::place::Place;
use super::session::{Session, Settings, path_failure};
use super::target::Target;
use super::{Failure, Outcome};

/// Give a file or directory another name, or move it to another directory
/// A file that has the new name is replaced. If the new name is that of a directory, the file moves into it.
#[derive(Args)]
pub(super) struct Mv {
    /// NODE[@LABEL]:/PATH
    #[arg(value_parser = Target::parser())]
    target: Target,
    /// The new path, of the same filesystem
    #[arg(value_name = "/NEW")]
    new: OsString,
}

impl Mv {
    pub(super) fn run(&self, settings: &Settings, _: &mut Output) -> Result<Outcome, Failure> {
        let (old, new) = (&self.target.path[..], Place::within(self.new.as_bytes(), &self.target)?);
        Session::new(settings).change(&self.target, async |fs| {
            let from = Place::find(fs, old).await?;
            let directory = match fs.resolve(new).await {
                Ok(inum) => {
                    let attributes = fs.attributes(inum).await.map_err(|error| path_failure(new, error))?;
                    (attributes.kind == FileKind::Directory).then_some(inum)
                }
                Err(Error::NotFound) => None,
                Err(error) => return Err(path_failure(new, error)),
            };
            let to = match directory {
                Some(directory) => Place { directory, name: from.name },
                None => Place::find(fs, new).await?,
            };
            let moved = fs.rename(from.directory, from.name, to.directory, to.name).await;
            // Only the old path can be missing by now; all other errors are about the new one.
            let at = |error| path_failure(if matches!(error, Error::NotFound) { old } else { new }, error);
            moved.map(|()| Outcome::Good).map_err(at)
        })
    }
}
