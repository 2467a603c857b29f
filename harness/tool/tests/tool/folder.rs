//! A folder of images, and the tool run in it.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use hammer2_core::random::Random;
use serde_json::Value;
use tempfile::TempDir;

pub(crate) struct Folder(TempDir);

impl Folder {
    pub(crate) fn new() -> Self {
        Self(TempDir::new().unwrap())
    }

    pub(crate) fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.0.path().join(name)
    }

    /// Makes a blank image.
    pub(crate) fn image(&self, name: &str, bytes: u64) {
        File::create(self.path(name)).unwrap().set_len(bytes).unwrap();
    }

    pub(crate) fn length(&self, name: &str) -> u64 {
        fs::metadata(self.path(name)).unwrap().len()
    }

    pub(crate) fn command<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_hammer2"));
        command.current_dir(self.0.path()).args(arguments);
        command
    }

    pub(crate) fn run<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// The output of the tool, as bytes.
    pub(crate) fn read<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Vec<u8> {
        let output = self.run(arguments);
        assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
        output.stdout
    }

    pub(crate) fn succeed<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> String {
        String::from_utf8(self.read(arguments)).unwrap()
    }

    pub(crate) fn json<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Value {
        serde_json::from_str(&self.succeed(arguments)).unwrap()
    }

    /// Checks the exit status, and that there is one line of complaint that contains this: an object where JSON is asked for.
    pub(crate) fn refuse<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>, status: i32, complaint: &str) {
        let mut command = self.command(arguments);
        let output = command.output().unwrap();
        let text = String::from_utf8(output.stderr).unwrap();
        assert_eq!((output.status.code(), text.lines().count()), (Some(status), 1), "{command:?}: {text}");
        let wants_json = command.get_args().any(|argument| argument == "--json");
        let start = if wants_json { "{\"error\":{" } else { "hammer2: " };
        assert!(text.starts_with(start) && text.contains(complaint), "{command:?}: {text}");
    }

    /// Checks that a volume has no problems. Freed space may be waiting for bulkfree.
    pub(crate) fn check(&self, node: &str) {
        let report = self.succeed(["fsck", "--strict", node]);
        assert!(report.contains("clean: 0 problems"), "{report}");
    }
}

/// Bytes that don't compress.
pub(crate) fn noise(bytes: u64, seed: u64) -> Vec<u8> {
    let mut noise = vec![0; bytes as usize];
    Random::new(seed ^ bytes << 32).fill(&mut noise);
    noise
}
