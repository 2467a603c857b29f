//! Running programs one after the other: what they print, and that they succeed.

use std::fmt::{self, Display};
use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;

use super::group::{End, Group};
use crate::trouble::{About, Done, Trouble};

/// This program. By its name it may be another one already: a step may have built it anew.
pub(crate) const OURSELVES: &str = "/proc/self/exe";

/// What there is to do with a program.
pub(crate) trait Run {
    /// Runs it; it must succeed.
    ///
    /// # Errors
    ///
    /// It isn't there, or it fails: the error has the command, and what is wrong it has said itself.
    fn run(&mut self) -> Done;

    /// Runs it, and says how it ended.
    fn code(&mut self) -> Done<i32>;

    /// Runs it, and gives what it prints to standard output; it must succeed.
    fn read(&mut self) -> Done<String>;

    /// Runs it with everything that it prints in a file, and says how it ended.
    fn noted(&mut self, file: &Path) -> Done<i32>;

    /// Runs it with what it prints to standard output left out; it must succeed.
    fn quietly(&mut self) -> Done;
}

impl Run for Command {
    fn run(&mut self) -> Done {
        let code = self.code()?;
        succeeded(self, code)
    }

    fn code(&mut self) -> Done<i32> {
        match Group::start(self)?.wait(None)? {
            End::Code(code) => Ok(code),
            End::Late => Err(Trouble::failed(format!("{}: took too long", Line(self)))),
        }
    }

    fn read(&mut self) -> Done<String> {
        let mut group = Group::start(self.stdout(Stdio::piped()))?;
        let mut output = group.output();
        // Beside the wait, which ends when a signal does.
        let reader = thread::spawn(move || {
            let mut bytes = Vec::new();
            output.as_mut().map_or(Ok(0), |output| output.read_to_end(&mut bytes)).map(|_| bytes)
        });
        match group.wait(None)? {
            End::Code(code) => succeeded(self, code)?,
            End::Late => return Err(Trouble::failed(format!("{}: took too long", Line(self)))),
        }
        let bytes = reader.join().unwrap_or_else(|_| Ok(Vec::new())).about(Line(self))?;
        String::from_utf8(bytes).map_err(|_| Trouble::failed(format!("{}: prints what is no text", Line(self))))
    }

    fn noted(&mut self, file: &Path) -> Done<i32> {
        let output = File::create(file).about(file.display())?;
        let errors = output.try_clone().about(file.display())?;
        self.stdout(output).stderr(errors).code()
    }

    fn quietly(&mut self) -> Done {
        self.stdout(Stdio::null()).run()
    }
}

fn succeeded(command: &Command, code: i32) -> Done {
    if code == 0 { Ok(()) } else { Err(Trouble::failed(format!("FAILED  {} ended with {code}", Line(command)))) }
}

/// A command as somebody would type it, nearly.
pub(crate) struct Line<'a>(pub(crate) &'a Command);

impl Display for Line<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let program = self.0.get_program().to_string_lossy();
        // That is how this program calls itself.
        write!(f, "`{}", if program == OURSELVES { "xtask".into() } else { program })?;
        self.0.get_args().try_for_each(|word| write!(f, " {}", word.to_string_lossy()))?;
        f.write_str("`")
    }
}

/// A program by its name or path, with these words; it reads nothing.
pub(crate) fn program(name: impl AsRef<std::ffi::OsStr>, words: &[&str]) -> Command {
    let mut command = Command::new(name);
    command.args(words).stdin(Stdio::null());
    command
}

#[cfg(test)]
mod tests {
    use super::{Run, program};
    use crate::trouble::Trouble;

    #[test]
    fn what_a_program_prints_is_read() {
        assert_eq!(program("printf", &["%s %s", "one", "two"]).read(), Ok("one two".to_owned()));
        assert_eq!(program("sh", &["-c", "exit 7"]).code(), Ok(7));
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("noted");
        assert_eq!(program("sh", &["-c", "echo one; echo two >&2; exit 3"]).noted(&file), Ok(3));
        assert_eq!(std::fs::read_to_string(file).expect("a file"), "one\ntwo\n");
    }

    #[test]
    fn what_fails_is_named() {
        let failed = Err(Trouble::failed("FAILED  `sh -c exit 7` ended with 7"));
        assert_eq!(program("sh", &["-c", "exit 7"]).run(), failed);
        assert_eq!(program("sh", &["-c", "exit 7"]).read().map(drop), failed);
        assert_eq!(program("sh", &["-c", "exit 7"]).quietly(), failed);
    }
}
