//! `hammer2 cluster`: administration of several nodes as one filesystem.

mod add;
mod change;
mod create;
mod orders;
mod resync;
mod scrub;
mod status;

use clap::Subcommand;
pub(super) use scrub::Scrub;

use super::output::Output;
use super::session::Settings;
use super::{Failure, Outcome};

/// Make clusters of several nodes and look after them
#[derive(Subcommand)]
pub(super) enum Cluster {
    Create(create::Create),
    Add(add::Add),
    Remove(change::Remove),
    Replace(add::Replace),
    Promote(change::Promote),
    Adopt(add::Adopt),
    Force(change::Force),
    Status(status::Status),
    Resync(resync::Resync),
    Scrub(scrub::Scrub),
}

impl Cluster {
    pub(super) fn run(&self, settings: &Settings, output: &mut Output) -> Result<Outcome, Failure> {
        match self {
            Self::Create(command) => command.run(settings, output),
            Self::Add(command) => command.run(settings, output),
            Self::Remove(command) => command.run(settings, output),
            Self::Replace(command) => command.run(settings, output),
            Self::Promote(command) => command.run(settings, output),
            Self::Adopt(command) => command.run(settings, output),
            Self::Force(command) => command.run(settings, output),
            Self::Status(command) => command.run(settings, output),
            Self::Resync(command) => command.run(settings, output),
            Self::Scrub(command) => command.run(settings, output),
        }
    }
}
