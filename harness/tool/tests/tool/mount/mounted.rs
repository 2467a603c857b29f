//! A volume, and a process that serves it.

use std::fs::{self, File};
use std::io::Read as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// A folder with a volume and a directory to mount it on.
pub(crate) struct Volume {
    folder: TempDir,
}

impl Volume {
    pub(crate) fn new(bytes: u64) -> Self {
        let volume = Self { folder: TempDir::new().unwrap() };
        File::create(volume.image()).unwrap().set_len(bytes).unwrap();
        fs::create_dir(volume.directory()).unwrap();
        volume.succeed(&["newfs", "v.img"]);
        volume
    }

    pub(crate) fn image(&self) -> PathBuf {
        self.folder.path().join("v.img")
    }

    pub(crate) fn directory(&self) -> PathBuf {
        self.folder.path().join("mnt")
    }

    pub(crate) fn tool(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_hammer2"));
        command.current_dir(self.folder.path()).args(arguments).env("HAMMER2_STATE", self.folder.path().join("state"));
        command
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Output {
        self.tool(arguments).output().unwrap()
    }

    pub(crate) fn succeed(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert!(output.status.success() && output.stderr.is_empty(), "{arguments:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// Checks the exit status, and that there is one line of complaint that contains this.
    pub(crate) fn refuse(&self, arguments: &[&str], status: i32, complaint: &str) {
        let output = self.run(arguments);
        let text = String::from_utf8(output.stderr).unwrap();
        assert_eq!((output.status.code(), text.lines().count()), (Some(status), 1), "{text}");
        assert!(text.starts_with("hammer2: ") && text.contains(complaint), "{text}");
    }

    /// Serves the volume in a process of its own.
    pub(crate) fn mount(&self, options: &[&str]) -> Mounted {
        self.mount_node("v.img", options)
    }

    pub(crate) fn mount_node(&self, node: &str, options: &[&str]) -> Mounted {
        self.mount_node_on(node, "mnt", options)
    }

    /// The same, on another directory.
    pub(crate) fn mount_node_on(&self, node: &str, directory: &str, options: &[&str]) -> Mounted {
        let mut command = self.tool(&["mount", "-f", node, directory]);
        let mut server = command.args(options).stderr(Stdio::piped()).spawn().unwrap();
        let directory = self.folder.path().join(directory);
        let outside = fs::metadata(self.folder.path()).unwrap().dev();
        wait_until("it is mounted", || {
            if server.try_wait().unwrap().is_some() {
                let output = server.stderr.take().map(std::io::read_to_string);
                panic!("{node} can't be mounted: {output:?}");
            }
            fs::metadata(&directory).is_ok_and(|facts| facts.dev() != outside)
        });
        Mounted { server: Some(server), directory, is_left: false }
    }

    pub(crate) fn check(&self) {
        self.succeed(&["fsck", "v.img"]);
    }

    /// Checks an image after a crash. False if the header's only copy is torn: then its twin is whole, and the next commit mends
    /// it.
    pub(crate) fn is_whole_after_crash(&self, image: &str) -> bool {
        let output = self.run(&["fsck", image]);
        if output.status.success() {
            return true;
        }
        let said = String::from_utf8(output.stdout).unwrap();
        let problems = said.lines().filter(|line| line.starts_with("problem: "));
        assert!(problems.clone().all(|line| line.contains("header copy")), "{said}");
        assert_eq!(problems.count(), 1, "{said}");
        false
    }
}

pub(crate) fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < PATIENCE, "waited too long until {what}");
        sleep(Duration::from_millis(5));
    }
}

/// A mounted volume.
pub(crate) struct Mounted {
    server: Option<Child>,
    directory: PathBuf,
    /// The server was killed, and its mount is still in the tree.
    is_left: bool,
}

impl Mounted {
    pub(crate) fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.directory.join(name)
    }

    /// The number of the process that serves it.
    pub(crate) fn id(&self) -> u32 {
        self.server.as_ref().unwrap().id()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_raw(self.id().cast_signed()).unwrap(), signal).unwrap();
    }

    /// Unmounts it as users do; returns the server's exit status and its output.
    pub(crate) fn unmount(mut self) -> (ExitStatus, String) {
        // Another program may be looking at it: `fuser` looks at the open files of all processes.
        wait_until("it can be unmounted", || {
            let output = Command::new("fusermount3").arg("-u").arg(&self.directory).output().unwrap();
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success() || said.contains("busy"), "{said}");
            output.status.success()
        });
        self.end()
    }

    /// Waits until the server has ended by itself.
    pub(crate) fn end(&mut self) -> (ExitStatus, String) {
        let mut server = self.server.take().unwrap();
        wait_until("the server ends", || server.try_wait().unwrap().is_some());
        let output = server.wait_with_output().unwrap();
        (output.status, String::from_utf8(output.stderr).unwrap())
    }

    /// Unmounts it, and checks that nothing was wrong.
    pub(crate) fn unmount_well(self) {
        let (status, said) = self.unmount();
        assert!(status.success() && said.is_empty(), "{status}: {said}");
    }

    /// Ends the server as a crash would.
    pub(crate) fn kill(&mut self) {
        self.kill_and_keep();
        self.detach();
    }

    /// The same, but the dead mount stays in the tree.
    pub(crate) fn kill_and_keep(&mut self) {
        let mut server = self.server.take().unwrap();
        server.kill().unwrap();
        server.wait().unwrap();
        self.is_left = true;
    }

    /// Unmounts the dead mount.
    pub(crate) fn detach(&mut self) {
        let _ = Command::new("fusermount3").args(["-u", "-q", "-z"]).arg(&self.directory).status();
        self.is_left = false;
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        if let Some(mut server) = self.server.take() {
            let _ = server.kill();
            let _ = server.wait();
            self.is_left = true;
        }
        if self.is_left {
            self.detach();
        }
    }
}

/// Bytes that can't be compressed.
pub(crate) fn noise(bytes: usize) -> Vec<u8> {
    let mut noise = vec![0; bytes];
    File::open("/dev/urandom").unwrap().read_exact(&mut noise).unwrap();
    noise
}
