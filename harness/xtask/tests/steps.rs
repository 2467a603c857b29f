//! `scripts/test` as a user sees it, on the step `format` with a cargo of paper: what it prints, how it ends, and that nothing is
//! left behind when it is interrupted.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// How long is waited for what must happen.
const PATIENCE: Duration = Duration::from_secs(60);

/// A folder with programs that are found before others, and one for what is temporary.
struct Stage {
    folder: tempfile::TempDir,
}

impl Stage {
    /// With a `cargo` that is this script.
    fn new(cargo: &str) -> Self {
        let stage = Self { folder: tempfile::tempdir().expect("a folder") };
        for name in ["bin", "tmp"] {
            fs::create_dir(stage.path(name)).expect("a folder");
        }
        stage.program("cargo", cargo);
        stage
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn program(&self, name: &str, script: &str) {
        let path = self.path("bin").join(name);
        fs::write(&path, format!("#!/bin/sh\n{script}\n")).expect("a script");
        fs::set_permissions(&path, Permissions::from_mode(0o755)).expect("its mode");
    }

    fn test(&self, words: &[&str]) -> Command {
        let mut test = Command::new(env!("CARGO_BIN_EXE_xtask"));
        let usual = std::env::var("PATH").expect("a path");
        test.arg("test").args(words).env("PATH", format!("{}:{usual}", self.path("bin").display()));
        test.env("TMPDIR", self.path("tmp")).env("STAGE", self.folder.path());
        test.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        test
    }

    fn tested(&self, words: &[&str]) -> (Option<i32>, String) {
        let Output { status, stdout, stderr } = self.test(words).output().expect("a run");
        assert!(self.is_empty(), "something stays in TMPDIR");
        (status.code(), String::from_utf8([stdout, stderr].concat()).expect("a text"))
    }

    fn is_empty(&self) -> bool {
        fs::read_dir(self.path("tmp")).expect("a folder").next().is_none()
    }

    /// What a script has written to a file, once it has.
    fn written(&self, name: &str, test: &mut Child) -> String {
        let begun = Instant::now();
        loop {
            let text = fs::read_to_string(self.path(name)).unwrap_or_default();
            if text.ends_with('\n') {
                return text.trim().to_owned();
            }
            assert!(test.try_wait().expect("its state").is_none(), "it has ended by itself");
            assert!(begun.elapsed() < PATIENCE, "{name} isn't written");
            thread::sleep(Duration::from_millis(10));
        }
    }
}

/// The time in brackets, which is another each time.
fn without_time(text: &str) -> String {
    let lines = text.lines().map(|line| match line.split_once(" (") {
        Some((before, after)) if after.ends_with(" s)") => before.to_owned(),
        _ => line.to_owned(),
    });
    lines.collect::<Vec<_>>().join("\n")
}

fn is_alive(process: &str) -> bool {
    let state = fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    !state.is_empty() && !state.contains(") Z ")
}

#[test]
fn a_step_that_passes_is_counted() {
    let (code, text) = Stage::new("exit 0").tested(&["format"]);
    assert_eq!((code, without_time(&text).as_str()), (Some(0), "== format\n-- format: ok\n1 passed, 0 failed"));
}

#[test]
fn a_step_that_fails_is_named_and_the_next_is_run() {
    let stage = Stage::new("[ \"$1\" = doc ] || { echo wrong >&2; exit 3; }");
    let (code, text) = stage.tested(&["format", "docs"]);
    assert_eq!(code, Some(1), "{text}");
    let text = without_time(&text);
    for line in ["-- format: FAILED", "-- docs: ok", "failed: format", "1 passed, 1 failed", "wrong"] {
        assert!(text.lines().any(|found| found == line), "no line `{line}` in\n{text}");
    }
    assert!(text.contains("FAILED  `cargo fmt --all --check` ended with 3"), "{text}");
}

#[test]
fn what_cannot_be_run_ends_with_2() {
    let stage = Stage::new("exit 0");
    assert_eq!(stage.tested(&["nonsense"]), (Some(2), "test: no step or option `nonsense`; see --help\n".to_owned()));
    fs::remove_file(stage.path("bin/cargo")).expect("the script");
    let output = stage.test(&["format"]).env("PATH", stage.path("bin")).output().expect("a run");
    assert_eq!(output.status.code(), Some(2));
    let words = "test: cargo is missing; install Rust (https://rustup.rs)\n";
    assert_eq!(String::from_utf8_lossy(&output.stderr), words);
    // Who only asks needs nothing.
    let output = stage.test(&["--help"]).env("PATH", stage.path("bin")).output().expect("a run");
    assert!(output.status.success() && output.stdout.starts_with(b"Usage: scripts/test [--full] [STEP...]\n"));
}

/// A cargo that has started a child, a server that has left its group, and, as root, a mount.
const BUSY: &str = "
mkdir \"$HAMMER2_WORKS_IN/mounted\"
[ \"$(id -u)\" != 0 ] || mount -t tmpfs none \"$HAMMER2_WORKS_IN/mounted\" 2>/dev/null || true
sleep 1000 &
echo $! >\"$STAGE/child\"
setsid sh -c 'echo $$ >\"$STAGE/server\"; exec sleep 1000' &
wait
wait";

#[test]
fn a_signal_leaves_nothing_behind() {
    // The last one is deaf to requests.
    let signals = [(Signal::INT, 130, ""), (Signal::HUP, 143, ""), (Signal::TERM, 143, "trap '' TERM")];
    for (signal, code, before) in signals {
        let stage = Stage::new(&format!("{before}\n{BUSY}"));
        let mut test = stage.test(&["format"]).spawn().expect("a run");
        let started = ["child", "server"].map(|name| stage.written(name, &mut test));
        kill_process(Pid::from_child(&test), signal).expect("a signal");
        assert_eq!(test.wait().expect("its end").code(), Some(code));
        for process in started {
            assert!(!is_alive(&process), "{process} still runs after {signal:?}");
        }
        assert!(stage.is_empty(), "something stays in TMPDIR");
        let mounts = fs::read_to_string("/proc/self/mountinfo").expect("mounts");
        assert!(!mounts.contains(&Path::new(&stage.path("tmp")).display().to_string()), "a mount stays");
    }
}
