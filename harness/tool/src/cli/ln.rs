//! `hammer2 ln`: further names and symbolic links.

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;

use clap::Args;
use hammer2_core::fs::NewFile;
use hammer2_core::media::FileKind;

use super::output::Output;
use super::place::{Place, new_file};
use super::session::{Session, Settings, path_failure};
use super::target::Target;
use super::{Failure, Outcome};

/// Give a file a further name, or make a symbolic link
#[derive(Args)]
pub(super) struct Ln {
    /// Make a symbolic link
    #[arg(short)]
    symbolic: bool,
    /// A path of the same filesystem; with -s, the target of the link, which may be any text
    existing: OsString,
    /// The new name: NODE[@LABEL]:/PATH
    #[arg(value_parser = Target::parser())]
    target: Target,
}

impl Ln {
    pub(super) fn run(&self, settings: &Settings, _: &mut Output) -> Result<Outcome, Failure> {
        let (mut existing, path) = (self.existing.as_bytes(), &self.target.path);
        if !self.symbolic {
            existing = Place::within(existing, &self.target)?;
        }
        Session::new(settings).change(&self.target, async |fs| {
            let Place { directory, name } = Place::find(fs, path).await?;
            let linked = if self.symbolic {
                let link = NewFile { target: existing, ..new_file(FileKind::Symlink, 0o777) };
                fs.create(directory, name, &link).await.map(drop)
            } else {
                let inum = fs.resolve(existing).await.map_err(|error| path_failure(existing, error))?;
                fs.link(inum, directory, name).await
            };
            linked.map(|()| Outcome::Good).map_err(|error| path_failure(path, error))
        })
    }
}
