//! How commands end.

use std::fmt::{self, Display};
use std::io;
use std::process::ExitCode;

use super::logging;
use crate::device::{AddressError, ExportError, OpenError};

/// Why a command stops. Its message is one line.
#[derive(Debug)]
pub enum Failure {
    /// The operation failed.
    Failed(String),
    /// What the user named can't be used.
    Unusable(String),
    /// Whoever read our output has enough. No failure, and nothing to say.
    OutputClosed,
}

/// How a command that reports problems as it goes along ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// All is well.
    Good,
    /// Something failed or is damaged, and has been reported.
    Bad,
    /// A cluster can't be changed: too few of its members are there.
    Stopped,
}

impl Outcome {
    /// Good only when both are.
    pub(super) fn and(self, other: Self) -> Self {
        if self == Self::Good { other } else { self }
    }
}

impl Failure {
    /// The operation failed.
    pub(super) fn failed(message: impl Display) -> Self {
        Self::Failed(message.to_string())
    }

    /// What the user named can't be used.
    pub(super) fn unusable(message: impl Display) -> Self {
        Self::Unusable(message.to_string())
    }

    /// For errors of writing to standard output.
    pub(super) fn of_output(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::OutputClosed,
            _ => Self::failed(format_args!("standard output: {error}")),
        }
    }
}

impl Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failed(message) | Self::Unusable(message) => f.write_str(message),
            Self::OutputClosed => f.write_str("standard output is closed"),
        }
    }
}

impl From<OpenError> for Failure {
    fn from(error: OpenError) -> Self {
        Self::unusable(error)
    }
}

impl From<AddressError> for Failure {
    fn from(error: AddressError) -> Self {
        Self::unusable(error)
    }
}

impl From<ExportError> for Failure {
    fn from(error: ExportError) -> Self {
        Self::unusable(error)
    }
}

/// Says what went wrong on standard error, and gives the exit status.
pub(super) fn conclude(result: Result<Outcome, Failure>) -> ExitCode {
    let (status, message) = match result {
        Ok(Outcome::Good) | Err(Failure::OutputClosed) => return ExitCode::SUCCESS,
        Ok(Outcome::Bad) => return ExitCode::from(1),
        Ok(Outcome::Stopped) => return ExitCode::from(3),
        Err(Failure::Failed(message)) => (1, message),
        Err(Failure::Unusable(message)) => (2, message),
    };
    complain(&message);
    ExitCode::from(status)
}

/// One line on standard error.
pub(super) fn complain(message: &dyn Display) {
    logging::write_on_terminal(&message.to_string());
}
