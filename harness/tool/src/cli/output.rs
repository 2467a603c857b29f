//! Standard output, and how names are shown on it.

use std::fmt::{self, Display};
use std::io::{self, BufWriter, Write};

use hammer2_core::manifest::Hex;
use serde_json::{Map, Value};

use super::{Failure, Outcome};

/// Standard output of a command.
pub(super) struct Output {
    stdout: BufWriter<Box<dyn Write>>,
    /// Why writing through [`fmt::Write`] failed, which can't say so itself.
    failed: Option<io::Error>,
}

impl Output {
    pub(super) fn new() -> Self {
        Self { stdout: BufWriter::with_capacity(64 << 10, Box::new(io::stdout())), failed: None }
    }

    /// Prints nothing.
    pub(super) fn nowhere() -> Self {
        Self { stdout: BufWriter::new(Box::new(io::sink())), failed: None }
    }

    pub(super) fn line(&mut self, line: impl Display) -> Result<(), Failure> {
        writeln!(self.stdout, "{line}").map_err(Failure::of_output)
    }

    pub(super) fn bytes(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        self.stdout.write_all(bytes).map_err(Failure::of_output)
    }

    /// Writes what is still in memory.
    pub(super) fn finish(&mut self) -> Result<(), Failure> {
        self.stdout.flush().map_err(Failure::of_output)
    }

    /// The result of a command, once everything it has printed is written.
    pub(super) fn finish_with(mut self, result: Result<Outcome, Failure>) -> Result<Outcome, Failure> {
        result.and_then(|outcome| self.finish().map(|()| outcome))
    }

    /// The failure behind a [`fmt::Error`].
    pub(super) fn failure(&mut self) -> Failure {
        self.failed.take().map_or_else(|| Failure::failed("standard output"), Failure::of_output)
    }
}

impl fmt::Write for Output {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.stdout.write_all(text.as_bytes()).map_err(|error| {
            self.failed = Some(error);
            fmt::Error
        })
    }
}

/// A name from media, fit for a terminal: control characters and bytes that aren't text are shown as `\xNN`.
pub(super) struct Shown<'a>(pub(super) &'a [u8]);

impl Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for chunk in self.0.utf8_chunks() {
            for letter in chunk.valid().chars() {
                match letter {
                    '\\' => f.write_str("\\\\")?,
                    control if control.is_control() => write!(f, "\\x{:02x}", u32::from(control))?,
                    other => write!(f, "{other}")?,
                }
            }
            chunk.invalid().iter().try_for_each(|byte| write!(f, "\\x{byte:02x}"))?;
        }
        Ok(())
    }
}

/// Adds bytes to a JSON object: as text, or under the key with `_hex` when they aren't.
pub(super) fn insert_bytes(object: &mut Map<String, Value>, key: &str, bytes: &[u8]) {
    match std::str::from_utf8(bytes) {
        Ok(text) => object.insert(key.to_owned(), text.into()),
        Err(_) => object.insert(format!("{key}_hex"), Hex(bytes).to_string().into()),
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_fit_for_terminals() {
        assert_eq!(Shown(b"a\x1b[31m\xff\\\xc3\xa4").to_string(), "a\\x1b[31m\\xff\\\\ä");
    }
}
