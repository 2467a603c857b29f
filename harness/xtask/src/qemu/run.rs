//! A run of QEMU: it has a time limit, and its console goes to several places.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;

use super::verdict::Verdict;
use crate::system::group::{End, Group, Limit};
use crate::trouble::{About, Done};

/// What became of a run.
pub(crate) struct Ended {
    /// What the kernel says of it.
    pub(crate) verdict: Verdict,
    /// What QEMU itself has said.
    pub(crate) said: String,
}

/// Runs QEMU. Its console is added to the file `console`, and shown as it comes or else kept in a file.
///
/// # Errors
///
/// A file can't be written, QEMU isn't there, or a signal has ended it.
pub(crate) fn run(command: &mut Command, limit: Limit, console: &Path, kept: Option<&Path>, log: &Path) -> Done<Ended> {
    let shown: Box<dyn Write + Send> = match kept {
        Some(path) => Box::new(File::create(path).about(path.display())?),
        None => Box::new(io::stdout()),
    };
    let file = OpenOptions::new().append(true).create(true).open(console).about(console.display())?;
    let said = File::create(log).about(log.display())?;
    let mut group = Group::start(command.stdout(Stdio::piped()).stderr(said))?;
    let output = group.output();
    let copier = thread::spawn(move || output.map_or(Ok(()), |output| copy(output, shown, file)));
    let end = group.wait(Some(limit))?;
    copier.join().unwrap_or(Ok(())).about(console.display())?;
    let verdict = match end {
        End::Code(code) => Verdict::of(code),
        End::Late => Verdict::Late,
    };
    Ok(Ended { verdict, said: fs::read_to_string(log).unwrap_or_default() })
}

/// Copies what comes to both. If nobody is there any more to whom it is shown, the console is kept all the same.
fn copy(mut from: impl Read, mut shown: impl Write, mut kept: impl Write) -> io::Result<()> {
    let mut bytes = [0; 4096];
    loop {
        let count = from.read(&mut bytes)?;
        let Some(part) = bytes.get(..count).filter(|part| !part.is_empty()) else { return Ok(()) };
        let _ = shown.write_all(part).and_then(|()| shown.flush());
        kept.write_all(part)?;
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::process::Command;

    use super::run;
    use crate::qemu::verdict::Verdict;
    use crate::system::group::Limit;

    #[test]
    fn the_console_is_added_and_kept_and_the_code_is_the_verdict() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = |name: &str| folder.path().join(name);
        let script = |script: &str, limit: Limit| {
            let mut command = Command::new("sh");
            command.args(["-c", script]);
            run(&mut command, limit, &path("console"), Some(&path("kept")), &path("log")).expect("a run")
        };
        let ended = script("echo one; echo wrong >&2; exit 33", Limit::seconds(60));
        assert_eq!((ended.verdict, ended.said.as_str()), (Verdict::Passed, "wrong\n"));
        assert_eq!(script("echo two; exit 37", Limit::seconds(60)).verdict, Verdict::Crashed);
        assert_eq!(fs::read_to_string(path("console")).expect("a file"), "one\ntwo\n");
        assert_eq!(fs::read_to_string(path("kept")).expect("a file"), "two\n");
        assert_eq!(script("echo three; sleep 1000", Limit::kill(1)).verdict, Verdict::Late);
        assert_eq!(fs::read_to_string(path("kept")).expect("a file"), "three\n");
    }
}
