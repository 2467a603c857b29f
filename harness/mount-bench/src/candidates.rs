//! The filesystems that are measured: making, mounting and unmounting them, and the use of their servers.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::mount::UnmountFlags;

const IMAGE_BYTES: u64 = 4 << 30;
const PATIENCE: Duration = Duration::from_secs(60);

/// The label of our cluster, and the name of ZFS' pool.
const LABEL: &str = "BENCH";
const POOL: &str = "hammer2-bench";

/// A filesystem to measure.
pub(crate) struct Candidate {
    kind: Kind,
    /// The memory budget for the tool.
    memory_mib: u16,
    tool: PathBuf,
    images: Vec<PathBuf>,
    directory: PathBuf,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Ours,
    Limit,
    Ext4,
    Btrfs,
    Masters,
    Raid1c3,
    ZfsFuse,
}

/// The name of a filesystem, for any number of copies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Name {
    Hammer2,
    Limit,
    Ext4,
    Btrfs,
    Raid1c3,
    Zfs,
}

impl Name {
    /// Its name in JSON.
    pub(crate) fn key(self) -> &'static str {
        match self {
            Self::Hammer2 => "hammer2",
            Self::Limit => "limit",
            Self::Ext4 => "ext4",
            Self::Btrfs => "btrfs",
            Self::Raid1c3 => "raid1c3",
            Self::Zfs => "zfs",
        }
    }

    /// Its name in a table.
    pub(crate) fn words(self, copies: Copies) -> &'static str {
        match self {
            Self::Hammer2 if copies == Copies::Three => "3 masters",
            Self::Zfs => "zfs-fuse",
            name => name.key(),
        }
    }
}

/// Which filesystems are measured.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Copies {
    /// Filesystems that keep everything once.
    One,
    /// Filesystems that keep everything on three devices, their limit, and Linux's own that keep it once.
    Three,
}

impl Copies {
    fn kinds(self) -> &'static [Kind] {
        match self {
            Self::One => &[Kind::Ours, Kind::Limit, Kind::Ext4, Kind::Btrfs],
            Self::Three => &[Kind::Masters, Kind::Limit, Kind::Ext4, Kind::Btrfs, Kind::Raid1c3, Kind::ZfsFuse],
        }
    }
}

/// A mounted filesystem.
pub(crate) struct Mounted<'c> {
    candidate: &'c Candidate,
    server: Option<Child>,
    loops: Vec<String>,
    peak_bytes: u64,
    /// The time that each thread of a server had used at the last look.
    threads: RefCell<BTreeMap<PathBuf, Duration>>,
}

/// All filesystems that can be measured here.
pub(crate) fn all(tool: &Path, folder: &Path, copies: Copies, memory_mib: u16) -> io::Result<Vec<Candidate>> {
    let mut found = Vec::new();
    for kind in copies.kinds().iter().copied() {
        let images = (0..kind.images()).map(|number| folder.join(format!("image{number}"))).collect();
        let directory = folder.join("mnt");
        fs::create_dir_all(&directory)?;
        let candidate = Candidate { kind, memory_mib, tool: tool.to_owned(), images, directory };
        match candidate.mount_new().and_then(Mounted::unmount) {
            Ok(_) => found.push(candidate),
            Err(error) if !kind.is_needed() => eprintln!("{}: left out: {error}", candidate.name().words(copies)),
            Err(error) => return Err(error),
        }
    }
    Ok(found)
}

impl Kind {
    fn images(self) -> usize {
        match self {
            Self::Ours | Self::Limit | Self::Ext4 | Self::Btrfs => 1,
            Self::Masters | Self::Raid1c3 | Self::ZfsFuse => 3,
        }
    }

    /// True for a filesystem that must be there; others may be missing on a machine.
    fn is_needed(self) -> bool {
        matches!(self, Self::Ours | Self::Masters | Self::Limit)
    }
}

impl Candidate {
    /// Its name.
    pub(crate) fn name(&self) -> Name {
        match self.kind {
            Kind::Ours | Kind::Masters => Name::Hammer2,
            Kind::Limit => Name::Limit,
            Kind::Ext4 => Name::Ext4,
            Kind::Btrfs => Name::Btrfs,
            Kind::Raid1c3 => Name::Raid1c3,
            Kind::ZfsFuse => Name::Zfs,
        }
    }

    /// Makes and mounts an empty one.
    pub(crate) fn mount_new(&self) -> io::Result<Mounted<'_>> {
        for image in &self.images {
            let _ = fs::remove_file(image);
            fs::File::create(image)?.set_len(IMAGE_BYTES)?;
        }
        let mut mounted =
            Mounted { candidate: self, server: None, loops: Vec::new(), peak_bytes: 0, threads: RefCell::default() };
        match self.kind {
            Kind::Ours => done(Command::new(&self.tool).arg("newfs").args(&self.images))?,
            Kind::Limit => {}
            Kind::Ext4 => done(Command::new("mkfs.ext4").args(["-q", "-F"]).args(&self.images))?,
            Kind::Btrfs => done(Command::new("mkfs.btrfs").arg("-q").args(&self.images))?,
            Kind::Masters => {
                self.images.iter().try_for_each(|image| done(Command::new(&self.tool).arg("newfs").arg(image)))?;
                done(Command::new(&self.tool).args(["cluster", "create", "-L", LABEL]).args(&self.images))?;
            }
            Kind::Raid1c3 => {
                for image in &self.images {
                    mounted.loops.push(said(Command::new("losetup").args(["--find", "--show"]).arg(image))?);
                }
                done(
                    Command::new("mkfs.btrfs")
                        .args(["-q", "-f", "-d", "raid1c3", "-m", "raid1c3"])
                        .args(&mounted.loops),
                )?;
            }
            Kind::ZfsFuse => {
                mounted.start_zfs()?;
                let mut command = Command::new("zpool");
                command.args(["create", "-m"]).arg(&self.directory).args([POOL, "mirror"]).args(&self.images);
                done(&mut command)?;
                return Ok(mounted);
            }
        }
        mounted.mount()?;
        Ok(mounted)
    }

    /// The images as the tool names a node, or the nodes of a cluster.
    fn target(&self) -> String {
        let images: Vec<_> = self.images.iter().map(|image| image.to_string_lossy()).collect();
        if self.kind == Kind::Masters { format!("{}@{LABEL}", images.join("+")) } else { images.concat() }
    }
}

impl Mounted<'_> {
    /// The directory that it is mounted on.
    pub(crate) fn directory(&self) -> &Path {
        &self.candidate.directory
    }

    fn mount(&mut self) -> io::Result<()> {
        let Candidate { kind, memory_mib, tool, images, directory } = self.candidate;
        let before = device(directory)?;
        let mut command = Command::new("mount");
        match kind {
            Kind::Ours | Kind::Masters => {
                let mut command = Command::new(tool);
                command.args(["mount", "-f", "--memory", &memory_mib.to_string()]);
                command.arg(self.candidate.target()).arg(directory);
                self.server = Some(command.spawn()?);
            }
            Kind::Limit => {
                self.server = Some(Command::new(std::env::current_exe()?).arg("limit").arg(directory).spawn()?);
            }
            Kind::Ext4 | Kind::Btrfs => {
                let kind = self.candidate.name().key();
                done(command.args(["-o", "loop", "-t", kind]).args([&images[0], directory]))?;
            }
            Kind::Raid1c3 => {
                let devices: Vec<_> = self.loops.iter().map(|device| format!("device={device}")).collect();
                done(command.args(["-t", "btrfs", "-o", &devices.join(","), &self.loops[0]]).arg(directory))?;
            }
            Kind::ZfsFuse => {
                let folder = images[0].parent().unwrap_or(Path::new("/"));
                done(Command::new("zpool").args(["import", "-d"]).arg(folder).arg(POOL))?;
            }
        }
        wait_for(|| Ok(device(directory)? != before))
    }

    /// Starts the server of ZFS, which mounts and unmounts when other programs tell it to.
    fn start_zfs(&mut self) -> io::Result<()> {
        let server = Command::new("zfs-fuse").arg("--no-daemon").stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
        self.server = Some(server);
        wait_for(|| Ok(Command::new("zpool").arg("list").output()?.status.success()))
    }

    /// Makes everything cold by mounting anew, as far as possible.
    pub(crate) fn remount(&mut self) -> io::Result<()> {
        match self.candidate.kind {
            // A new mount would lose the content of the limit's maps.
            Kind::Limit => return fs::write("/proc/sys/vm/drop_caches", "2"),
            Kind::ZfsFuse => done(Command::new("zpool").args(["export", POOL]))?,
            _ => self.leave()?,
        }
        self.mount()
    }

    fn leave(&mut self) -> io::Result<()> {
        if let Some(server) = &self.server {
            self.peak_bytes = self.peak_bytes.max(peak_bytes(server.id()));
        }
        if self.candidate.kind == Kind::ZfsFuse {
            done(Command::new("zpool").args(["export", POOL]))?;
            return self.end_zfs();
        }
        rustix::mount::unmount(&self.candidate.directory, UnmountFlags::empty())?;
        let Some(mut server) = self.server.take() else { return Ok(()) };
        if server.wait()?.success() { Ok(()) } else { Err(io::Error::other("a server failed")) }
    }

    /// Ends the server of ZFS. Once its pool is exported, it has nothing to lose.
    fn end_zfs(&mut self) -> io::Result<()> {
        let Some(mut server) = self.server.take() else { return Ok(()) };
        server.kill()?;
        server.wait().map(drop)
    }

    /// Unmounts it; returns the most memory that its server has had.
    pub(crate) fn unmount(mut self) -> io::Result<u64> {
        self.leave()?;
        Ok(self.peak_bytes)
    }

    /// The processor time that its servers have used, without what a thread used between the last look and its end.
    pub(crate) fn server_time(&self) -> Duration {
        let mut threads = self.threads.borrow_mut();
        let folder = self.server.as_ref().map(|server| format!("/proc/{}/task", server.id()));
        for task in folder.and_then(|folder| fs::read_dir(folder).ok()).into_iter().flatten().flatten() {
            let text = fs::read_to_string(task.path().join("schedstat")).unwrap_or_default();
            if let Some(used) = text.split(' ').next().and_then(|used| used.parse().ok()) {
                threads.insert(task.path(), Duration::from_nanos(used));
            }
        }
        threads.values().sum()
    }
}

impl Drop for Mounted<'_> {
    fn drop(&mut self) {
        if self.server.is_some() {
            let _ = rustix::mount::unmount(&self.candidate.directory, UnmountFlags::DETACH);
            if self.candidate.kind == Kind::ZfsFuse {
                let _ = self.end_zfs();
            }
        }
        for device in &self.loops {
            let _ = Command::new("losetup").args(["--detach", device]).status();
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
    said(command).map(drop)
}

/// The output of a command, which must succeed.
fn said(command: &mut Command) -> io::Result<String> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command.output().map_err(|error| io::Error::new(error.kind(), format!("{program}: {error}")))?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().replace('\n', " ");
    if output.status.success() { Ok(text(&output.stdout)) } else { Err(io::Error::other(text(&output.stderr))) }
}
