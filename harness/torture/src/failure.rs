//! Why a run ends early: the filesystem broke a promise, the run isn't possible here, or a signal stopped it.

use std::error::Error;
use std::fmt::{self, Display};
use std::io;

/// Why a run ended.
#[derive(Debug)]
pub enum Failure {
    /// A promise was broken, which is what runs look for.
    Violation(String),
    /// It can't be run.
    Unusable(String),
    /// It was interrupted.
    Interrupted,
}

/// What can end a run early.
pub type Result<T> = std::result::Result<T, Failure>;

impl Failure {
    /// A promise was broken.
    pub fn violation(what: impl Display) -> Self {
        Self::Violation(what.to_string())
    }

    /// It can't be run.
    pub fn unusable(what: impl Display) -> Self {
        Self::Unusable(what.to_string())
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Violation(what) | Self::Unusable(what) => f.write_str(what),
            Self::Interrupted => f.write_str("interrupted"),
        }
    }
}

impl Error for Failure {}

/// An error of the host outside of the filesystem under test.
impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Unusable(error.to_string())
    }
}

impl From<rustix::io::Errno> for Failure {
    fn from(error: rustix::io::Errno) -> Self {
        io::Error::from(error).into()
    }
}
