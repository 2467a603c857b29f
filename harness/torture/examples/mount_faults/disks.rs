//! The disks of the nodes: NBD servers and loop devices, and their faults.

use std::error::Error;
use std::ffi::OsString;
use std::fs;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use hammer2_torture::program::{dependent, run};
use rustix::process::{Pid, Signal, kill_process};

/// How long a server may take until it serves.
const PATIENCE: Duration = Duration::from_secs(10);

/// A port that was free a moment ago.
pub(crate) fn free_port() -> Result<u16, Box<dyn Error>> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

/// An NBD server with one export.
pub(crate) struct Server {
    child: Child,
    port: u16,
}

/// The name of every export, if it is there.
pub(crate) const EXPORT: &str = "disk";

impl Server {
    /// Serves an image by qemu-nbd.
    pub(crate) fn qemu_nbd(image: &Path, port: u16, export: &str) -> Result<Self, Box<dyn Error>> {
        let mut command = dependent(Path::new("qemu-nbd"));
        command.args(["--format=raw", "--discard=unmap", "--persistent", "--shared=8", "--bind=127.0.0.1"]);
        command.args([&format!("--port={port}"), &format!("--export-name={export}")]).arg(image);
        Self::start(command, port)
    }

    /// Starts nbdkit with these filters, plugin and parameters.
    pub(crate) fn nbdkit(filters: &[&str], parameters: &[OsString]) -> Result<Self, Box<dyn Error>> {
        let port = free_port()?;
        let mut command = dependent(Path::new("nbdkit"));
        command.args(["--foreground", "--ipaddr=127.0.0.1", &format!("--port={port}")]);
        command.args(filters.iter().map(|filter| format!("--filter={filter}"))).args(parameters);
        Self::start(command, port)
    }

    fn start(mut command: Command, port: u16) -> Result<Self, Box<dyn Error>> {
        let spawned = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        let mut server = Self { child: spawned.map_err(|error| format!("{command:?}: {error}"))?, port };
        let start = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            if server.child.try_wait()?.is_some() || start.elapsed() > PATIENCE {
                return Err(format!("{command:?} doesn't serve").into());
            }
            sleep(Duration::from_millis(10));
        }
        Ok(server)
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Its address for the tool.
    pub(crate) fn name(&self) -> String {
        format!("nbd://127.0.0.1:{}/{EXPORT}", self.port)
    }

    pub(crate) fn signal(&self, signal: Signal) -> Result<(), Box<dyn Error>> {
        let id = Pid::from_raw(self.child.id().cast_signed()).ok_or("no process")?;
        Ok(kill_process(id, signal)?)
    }

    /// True while the process is stopped.
    pub(crate) fn is_stopped(&self) -> Result<bool, Box<dyn Error>> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        Ok(status.lines().any(|line| line.starts_with("State:") && line.contains('T')))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It is killed, so that the export is lost.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// An nbdkit whose requests fail while a file is there, and that logs them.
pub(crate) struct Faulty {
    pub(crate) server: Server,
    /// Requests fail while this file exists.
    switch: PathBuf,
    log: PathBuf,
}

impl Faulty {
    /// Starts a server whose requests of these kinds (`pread`, `pwrite`) can be made to fail with an error.
    pub(crate) fn start(image: &Path, kinds: &[&str], error: &str) -> Result<Self, Box<dyn Error>> {
        let (switch, log) = (image.with_extension("fails"), image.with_extension("log"));
        let mut parameters: Vec<OsString> = vec!["file".into(), image.into()];
        for kind in kinds {
            parameters.push(format!("error-{kind}={error}").into());
            parameters.push(format!("error-{kind}-rate=100%").into());
            parameters.push(format!("error-{kind}-file={}", switch.display()).into());
        }
        parameters.push(format!("logfile={}", log.display()).into());
        Ok(Self { server: Server::nbdkit(&["log", "error"], &parameters)?, switch, log })
    }

    pub(crate) fn fail(&self) -> Result<(), Box<dyn Error>> {
        Ok(fs::write(&self.switch, "")?)
    }

    pub(crate) fn mend(&self) -> Result<(), Box<dyn Error>> {
        Ok(fs::remove_file(&self.switch)?)
    }

    /// How many requests have failed.
    pub(crate) fn failures(&self) -> Result<usize, Box<dyn Error>> {
        Ok(fs::read_to_string(&self.log)?.matches("return=-1").count())
    }
}

/// A loop device.
pub(crate) struct Loop(pub(crate) String);

impl Loop {
    /// Attaches an image; none where there are no loop devices.
    pub(crate) fn attach(image: &Path) -> Option<Self> {
        run("losetup", &["--find", "--show", &image.display().to_string()]).ok().map(Self)
    }

    /// Makes every write to the device fail, or ends that.
    pub(crate) fn set_read_only(&self, read_only: bool) -> Result<(), Box<dyn Error>> {
        run("blockdev", &[if read_only { "--setro" } else { "--setrw" }, &self.0]).map(drop)
    }
}

impl Drop for Loop {
    fn drop(&mut self) {
        let _ = self.set_read_only(false);
        let _ = run("losetup", &["--detach", &self.0]);
    }
}
