//! What is measured: how it is made, mounted and unmounted, and what its server has used.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::mount::UnmountFlags;

/// Memory the tool is given.
const TOOL_MEMORY_MIB: &str = "64";
const IMAGE_BYTES: u64 = 4 << 30;
const PATIENCE: Duration = Duration::from_secs(60);

/// A filesystem to measure.
pub struct Candidate {
    kind: Kind,
    tool: PathBuf,
    image: PathBuf,
    directory: PathBuf,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Ours,
    Limit,
    Kernel(&'static str),
}

/// A mounted one.
pub struct Mounted<'c> {
    candidate: &'c Candidate,
    server: Option<Child>,
    peak_bytes: u64,
}

/// All that can be measured here.
pub fn all(tool: &Path, folder: &Path) -> io::Result<Vec<Candidate>> {
    let mut found = Vec::new();
    for kind in [Kind::Ours, Kind::Limit, Kind::Kernel("ext4"), Kind::Kernel("btrfs")] {
        let image = folder.join("image");
        let directory = folder.join("mnt");
        fs::create_dir_all(&directory)?;
        let candidate = Candidate { kind, tool: tool.to_owned(), image, directory };
        match candidate.mount_new().and_then(Mounted::unmount) {
            Ok(_) => found.push(candidate),
            Err(error) if matches!(kind, Kind::Kernel(_)) => eprintln!("{}: left out: {error}", candidate.name()),
            Err(error) => return Err(error),
        }
    }
    Ok(found)
}

impl Candidate {
    /// Its name.
    pub fn name(&self) -> &'static str {
        match self.kind {
            Kind::Ours => "hammer2",
            Kind::Limit => "limit",
            Kind::Kernel(name) => name,
        }
    }

    /// Makes and mounts an empty one.
    pub fn mount_new(&self) -> io::Result<Mounted<'_>> {
        let _ = fs::remove_file(&self.image);
        fs::File::create(&self.image)?.set_len(IMAGE_BYTES)?;
        match self.kind {
            Kind::Ours => done(Command::new(&self.tool).arg("newfs").arg(&self.image))?,
            Kind::Limit => {}
            Kind::Kernel("btrfs") => done(Command::new("mkfs.btrfs").arg("-q").arg(&self.image))?,
            Kind::Kernel(name) => done(Command::new(format!("mkfs.{name}")).args(["-q", "-F"]).arg(&self.image))?,
        }
        let mut mounted = Mounted { candidate: self, server: None, peak_bytes: 0 };
        mounted.mount()?;
        Ok(mounted)
    }
}

impl Mounted<'_> {
    /// Where.
    pub fn directory(&self) -> &Path {
        &self.candidate.directory
    }

    fn mount(&mut self) -> io::Result<()> {
        let Candidate { kind, tool, image, directory } = self.candidate;
        let before = device(directory)?;
        self.server = match kind {
            Kind::Ours => {
                let mut command = Command::new(tool);
                command.args(["mount", "-f", "--memory", TOOL_MEMORY_MIB]).args([image, directory]);
                Some(command.spawn()?)
            }
            Kind::Limit => Some(Command::new(std::env::current_exe()?).arg("limit").arg(directory).spawn()?),
            Kind::Kernel(name) => {
                let mut command = Command::new("mount");
                done(command.args(["-o", "loop", "-t", name]).args([image, directory]))?;
                None
            }
        };
        wait_for(|| Ok(device(directory)? != before))
    }

    /// Makes everything cold that can be: it is mounted anew.
    pub fn remount(&mut self) -> io::Result<()> {
        // What is in the maps of the limit goes with it.
        if self.candidate.kind == Kind::Limit {
            fs::write("/proc/sys/vm/drop_caches", "2")?;
            return Ok(());
        }
        self.leave()?;
        self.mount()
    }

    fn leave(&mut self) -> io::Result<()> {
        if let Some(server) = &self.server {
            self.peak_bytes = self.peak_bytes.max(peak_bytes(server.id()));
        }
        rustix::mount::unmount(&self.candidate.directory, UnmountFlags::empty())?;
        let Some(mut server) = self.server.take() else { return Ok(()) };
        if server.wait()?.success() { Ok(()) } else { Err(io::Error::other("a server failed")) }
    }

    /// Unmounts it; the most memory its server has had.
    pub fn unmount(mut self) -> io::Result<u64> {
        self.leave()?;
        Ok(self.peak_bytes)
    }

    /// The processor time its server has used.
    pub fn server_time(&self) -> Duration {
        let Some(server) = &self.server else { return Duration::ZERO };
        let tasks = fs::read_dir(format!("/proc/{}/task", server.id())).into_iter().flatten().flatten();
        let times = tasks.filter_map(|task| {
            let text = fs::read_to_string(task.path().join("schedstat")).ok()?;
            text.split(' ').next()?.parse().ok().map(Duration::from_nanos)
        });
        times.sum()
    }
}

impl Drop for Mounted<'_> {
    fn drop(&mut self) {
        if self.server.is_some() {
            let _ = rustix::mount::unmount(&self.candidate.directory, UnmountFlags::DETACH);
        }
    }
}

fn peak_bytes(process: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or_default();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap_or(0) * 1024
}

fn device(directory: &Path) -> io::Result<u64> {
    Ok(rustix::fs::stat(directory)?.st_dev)
}

fn wait_for(mut condition: impl FnMut() -> io::Result<bool>) -> io::Result<()> {
    let start = Instant::now();
    while !condition()? {
        if start.elapsed() > PATIENCE {
            return Err(io::ErrorKind::TimedOut.into());
        }
        sleep(Duration::from_millis(2));
    }
    Ok(())
}

fn done(command: &mut Command) -> io::Result<()> {
    let output = command.stdout(Stdio::null()).output()?;
    let complaint = String::from_utf8_lossy(&output.stderr).trim().replace('\n', " ");
    if output.status.success() { Ok(()) } else { Err(io::Error::other(complaint)) }
}
