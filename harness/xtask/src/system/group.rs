//! A program and all that it starts, as one process group: it has a time limit, and is ended as a whole.

use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, ChildStdout, Command, ExitStatus};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group, test_kill_process_group};

use super::signals;
use crate::trouble::{About, Done};

/// How long what was asked to end may take for that.
const GRACE: Duration = Duration::from_secs(10);
/// How often is looked whether a program has ended.
const LOOK: Duration = Duration::from_millis(20);

/// How a program ended.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum End {
    /// By itself, with this exit code, or a shell's code for the signal that ended it.
    Code(i32),
    /// It took too long, and was ended.
    Late,
}

/// When a program is ended, and how.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Limit {
    /// So long after its start.
    pub(crate) after: Duration,
    /// How long it may take to end when it is asked to; zero: it isn't asked, but killed.
    pub(crate) grace: Duration,
}

impl Limit {
    /// A time limit in seconds.
    pub(crate) fn seconds(seconds: u64) -> Self {
        Self { after: Duration::from_secs(seconds), grace: GRACE }
    }

    /// The program is killed after so many seconds, whatever it is about.
    pub(crate) fn kill(seconds: u64) -> Self {
        Self { after: Duration::from_secs(seconds), grace: Duration::ZERO }
    }
}

/// A running program and what it has started. All of it is killed when this goes away.
pub(crate) struct Group {
    child: Child,
    started: Instant,
}

impl Group {
    /// Starts a program in a process group of its own.
    ///
    /// # Errors
    ///
    /// It can't be started, mostly as it isn't there.
    pub(crate) fn start(command: &mut Command) -> Done<Self> {
        signals::check()?;
        let name = command.get_program().to_string_lossy().into_owned();
        let child = command.process_group(0).spawn().about(name)?;
        Ok(Self { child, started: Instant::now() })
    }

    /// What the program prints, if that was to be a pipe.
    pub(crate) fn output(&mut self) -> Option<ChildStdout> {
        self.child.stdout.take()
    }

    /// Waits until the program has ended, and ends it and all that it has started when it is late.
    ///
    /// # Errors
    ///
    /// A signal that ends this command ends the group, too.
    pub(crate) fn wait(mut self, limit: Option<Limit>) -> Done<End> {
        loop {
            if let Some(status) = self.child.try_wait().about("a program")? {
                return Ok(End::Code(code(status)));
            }
            if let Err(interrupted) = signals::check() {
                self.end(GRACE);
                return Err(interrupted);
            }
            if let Some(limit) = limit.filter(|limit| self.started.elapsed() >= limit.after) {
                self.end(limit.grace);
                return Ok(End::Late);
            }
            thread::sleep(LOOK);
        }
    }

    /// The group's number; only a process that is there has one.
    fn number(&self) -> Option<Pid> {
        i32::try_from(self.child.id()).ok().and_then(Pid::from_raw)
    }

    /// Asks the group to end, unless there is no time for that, and kills what is left of it.
    fn end(&mut self, grace: Duration) {
        let Some(group) = self.number() else { return };
        let asked = Instant::now();
        if !grace.is_zero() {
            let _ = kill_process_group(group, Signal::TERM);
            // What is stopped doesn't hear of it.
            let _ = kill_process_group(group, Signal::CONT);
        }
        while asked.elapsed() < grace && test_kill_process_group(group).is_ok() {
            // The program is no process any more when its end was noted, and its group is empty without others.
            let _ = self.child.try_wait();
            thread::sleep(LOOK);
        }
        let _ = kill_process_group(group, Signal::KILL);
        let _ = self.child.wait();
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            self.end(Duration::ZERO);
        }
    }
}

/// An exit code as a shell has it.
pub(crate) fn code(status: ExitStatus) -> i32 {
    status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::process::Command;
    use std::thread;
    use std::time::{Duration, Instant};

    use super::{End, Group, LOOK, Limit};
    use crate::trouble::Trouble;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    fn limit(grace: u64) -> Option<Limit> {
        Some(Limit { after: Duration::from_millis(300), grace: Duration::from_secs(grace) })
    }

    /// Waits until a process that a script has started is no more.
    fn gone(pid: &str) -> bool {
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_secs(60) {
            let status = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            // What nobody has waited for yet is dead all the same.
            if status.is_empty() || status.contains(") Z ") {
                return true;
            }
            thread::sleep(LOOK);
        }
        false
    }

    #[test]
    fn exit_codes_are_those_of_a_shell() {
        for (script, code) in [("exit 0", 0), ("exit 33", 33), ("kill -KILL $$", 137), ("kill -TERM $$", 143)] {
            let group = Group::start(&mut shell(script)).expect("a shell");
            assert_eq!(group.wait(Some(Limit::seconds(60))), Ok(End::Code(code)), "{script}");
        }
    }

    #[test]
    fn what_is_late_is_ended_with_all_it_has_started() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("pid");
        // The first is asked and ends; the second doesn't listen; the third isn't asked.
        for (trap, grace) in [("", 60), ("trap '' TERM;", 1), ("", 0)] {
            let script = format!("{trap} sleep 1000 & echo $! >'{}'; wait; wait", file.display());
            let group = Group::start(&mut shell(&script)).expect("a shell");
            assert_eq!(group.wait(limit(grace)), Ok(End::Late), "{script}");
            let pid = fs::read_to_string(&file).expect("the number of a process");
            assert!(gone(pid.trim()), "{script}: the child is still there");
        }
    }

    #[test]
    fn what_is_let_go_of_is_killed() {
        let group = Group::start(&mut shell("sleep 1000")).expect("a shell");
        let pid = group.child.id().to_string();
        drop(group);
        assert!(gone(&pid));
    }

    #[test]
    fn a_program_that_is_not_there_is_named() {
        let Err(Trouble::Unusable(words)) = Group::start(&mut Command::new("no-such-program")) else {
            panic!("it was started");
        };
        assert!(words.starts_with("no-such-program: "), "{words}");
    }
}
