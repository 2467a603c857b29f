//! How commands end.

use std::error::Error as _;
use std::fmt::{self, Display};
use std::io;
use std::process::ExitCode;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use hammer2_host::device::{AddressError, ExportError, OpenError};

use super::{logging, told};

/// Why a command stops. Its message is one line.
#[derive(Debug)]
pub enum Failure {
    /// The operation failed.
    Failed(String),
    /// Something that the user named can't be used.
    Unusable(String),
    /// The arguments make no sense.
    Usage {
        /// What is wrong with them.
        message: String,
        /// The command that says what there is, if that helps.
        help: Option<String>,
    },
    /// The reader of our output has closed it. That is no failure, and there is nothing to say.
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

    /// Something that the user named can't be used.
    pub(super) fn unusable(message: impl Display) -> Self {
        Self::Unusable(message.to_string())
    }

    /// The arguments make no sense.
    pub(super) fn usage(message: impl Display) -> Self {
        Self::Usage { message: message.to_string(), help: None }
    }

    /// What is wrong with the arguments of a program, in one line, with a suggestion.
    pub(super) fn of_usage(error: &clap::Error, program: &str) -> Self {
        let help = Some(format!("{program} --help"));
        if error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
            return Self::Usage { message: "no command given".to_owned(), help };
        }
        if let Some(message) = said_of_value(error) {
            return Self::Usage { message, help: None };
        }
        let text = error.to_string();
        let lines = || text.lines().map(str::trim);
        let what = lines().take_while(|line| !line.is_empty()).collect::<Vec<_>>().join(" ");
        let what = what.strip_prefix("error: ").unwrap_or(&what);
        let tips = lines().filter_map(|line| line.strip_prefix("tip: ")).filter(|tip| tip.contains("similar"));
        let tips: String = tips.map(|tip| format!("; {tip}")).collect();
        Self::Usage { message: format!("{what}{tips}"), help }
    }

    /// Says that a program ends by this, with that exit status.
    pub(super) fn tell(&self, status: u8) {
        let (kind, message, help) = match self {
            Self::Failed(message) => ("failed", message, None),
            Self::Unusable(message) => ("unusable", message, None),
            Self::Usage { message, help } => ("usage", message, help.as_deref()),
            Self::OutputClosed => return,
        };
        match told::error(kind, message, help, status) {
            Some(object) => told::object_beside(&object),
            None => complain(self),
        }
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
            Self::Failed(message) | Self::Unusable(message) | Self::Usage { message, help: None } => {
                f.write_str(message)
            }
            Self::Usage { message, help: Some(help) } => write!(f, "{message}; see {help}"),
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

/// The numbers that a program's outcomes have as exit statuses.
pub(super) struct ExitStatuses {
    bad: u8,
    stopped: u8,
    failed: u8,
    pub(super) unusable: u8,
}

impl ExitStatuses {
    /// Our own.
    pub(super) const HAMMER2: Self = Self { bad: 1, stopped: 3, failed: 1, unusable: 2 };

    /// Those of mount(8).
    pub(super) const MOUNT: Self = Self { bad: 32, stopped: 32, failed: 32, unusable: 32 };
}

/// Says what went wrong on standard error, and gives the exit status.
pub(super) fn conclude(result: Result<Outcome, Failure>, statuses: &ExitStatuses) -> ExitCode {
    match result {
        Ok(Outcome::Good) | Err(Failure::OutputClosed) => ExitCode::SUCCESS,
        Ok(Outcome::Bad) => ExitCode::from(statuses.bad),
        Ok(Outcome::Stopped) => ExitCode::from(statuses.stopped),
        Err(failure) => {
            let is_of_operation = matches!(failure, Failure::Failed(_));
            let status = if is_of_operation { statuses.failed } else { statuses.unusable };
            failure.tell(status);
            ExitCode::from(status)
        }
    }
}

/// What is wrong with a value, if the message names the value: then the option's name adds nothing.
fn said_of_value(error: &clap::Error) -> Option<String> {
    let Some(ContextValue::String(value)) = error.get(ContextKind::InvalidValue) else { return None };
    let said = error.source()?.to_string();
    // A tag stands for `@LABEL`.
    (!value.is_empty() && (said.starts_with(value.as_str()) || said.starts_with('@'))).then_some(said)
}

/// One line on standard error.
pub(super) fn complain(message: &dyn Display) {
    logging::write_on_terminal(&message.to_string());
}
