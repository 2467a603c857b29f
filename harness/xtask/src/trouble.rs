//! Why a command ends early, and what its exit code says of that.

use std::fmt::Display;
use std::io;

/// The exit code of a step that can't be run here.
pub(crate) const SKIPPED: u8 = 77;

/// Why a command ends early. A text that is empty has been said already, by the program that failed.
#[derive(Debug, PartialEq)]
pub(crate) enum Trouble {
    /// Something isn't as it should be.
    Failed(String),
    /// It can't be run: wrong usage, something that is missing.
    Unusable(String),
    /// A step that can't be run on this machine, which is no fault of the project's.
    Skipped(String),
    /// A signal of this number has ended it.
    Interrupted(u8),
}

/// What a command came to.
pub(crate) type Done<T = ()> = Result<T, Trouble>;

impl Trouble {
    /// Something isn't as it should be.
    pub(crate) fn failed(what: impl Display) -> Self {
        Self::Failed(what.to_string())
    }

    /// It can't be run.
    pub(crate) fn unusable(what: impl Display) -> Self {
        Self::Unusable(what.to_string())
    }

    /// The exit code that says so.
    pub(crate) fn code(&self) -> u8 {
        match self {
            Self::Failed(_) => 1,
            Self::Unusable(_) => 2,
            Self::Skipped(_) => SKIPPED,
            Self::Interrupted(signal) => 128 + signal,
        }
    }
}

/// Says of an error what it was that didn't work.
pub(crate) trait About<T> {
    /// With the words for what was done, mostly a path.
    fn about(self, what: impl Display) -> Done<T>;
}

impl<T> About<T> for io::Result<T> {
    fn about(self, what: impl Display) -> Done<T> {
        self.map_err(|error| Trouble::unusable(format!("{what}: {error}")))
    }
}

#[cfg(test)]
mod tests {
    use super::{About, Trouble};
    use std::io;

    #[test]
    fn exit_codes_are_those_that_scripts_have() {
        let codes = [
            (Trouble::failed("a"), 1),
            (Trouble::unusable("a"), 2),
            (Trouble::Skipped(String::new()), 77),
            (Trouble::Interrupted(2), 130),
            (Trouble::Interrupted(15), 143),
        ];
        for (trouble, code) in codes {
            assert_eq!(trouble.code(), code, "{trouble:?}");
        }
    }

    #[test]
    fn an_error_says_what_it_is_about() {
        let error: io::Result<()> = Err(io::Error::other("broken"));
        assert_eq!(error.about("disk.img"), Err(Trouble::unusable("disk.img: broken")));
    }
}
