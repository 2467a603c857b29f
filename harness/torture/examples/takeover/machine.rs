//! The machines: those that export a disk, and those that may mount.

use std::error::Error;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant, SystemTime};

use hammer2_torture::images::LABEL;
use hammer2_torture::program::run;
use rustix::process::{Pid, Signal, kill_process};

use crate::network::{DISKS, Network};

/// How long a server may take until it serves, and a process until it has ended.
const PATIENCE: Duration = Duration::from_secs(60);

/// How long a mount watches the heartbeat of another machine.
const WATCH: Duration = Duration::from_secs(5);

/// A program on a machine: in its network, with its name. It doesn't outlive this process, and the spawned process is the program
/// itself.
fn on_machine(namespace: &str, name: &str, program: &Path) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", "nsenter", &format!("--net=/run/netns/{namespace}"), "unshare", "--uts"]);
    command.args(["sh", "-c", "echo \"$0\" >/proc/sys/kernel/hostname; exec \"$@\"", name]).arg(program);
    command.stdin(Stdio::null());
    command
}

/// A machine that exports a disk.
pub(crate) struct DiskMachine {
    server: Child,
}

impl DiskMachine {
    /// Serves an image: by qemu-nbd, or by nbdkit for the disk in the middle.
    pub(crate) fn start(network: &Network, disk: usize, image: &Path) -> Result<Self, Box<dyn Error>> {
        let (namespace, name) = (network.disk(disk), format!("disk{disk}"));
        let mut command = if disk == 1 {
            let mut command = on_machine(&namespace, &name, Path::new("nbdkit"));
            command.args(["--foreground", "file"]).arg(image);
            command
        } else {
            let mut command = on_machine(&namespace, &name, Path::new("qemu-nbd"));
            // Machines that were cut off hold their connections for a while, so their number isn't limited.
            command
                .args(["--persistent", "--shared=0", "--format=raw", "--discard=unmap", "--export-name=disk"])
                .arg(image);
            command
        };
        let mut server = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
        let start = Instant::now();
        loop {
            let listening =
                run("nsenter", &[&format!("--net=/run/netns/{namespace}"), "cat", "/proc/net/tcp", "/proc/net/tcp6"]);
            // Port 10809 listens.
            if listening?.lines().any(|line| line.contains(":2A39 ") && line.contains(" 0A ")) {
                return Ok(Self { server });
            }
            if server.try_wait()?.is_some() || start.elapsed() > PATIENCE {
                return Err(format!("{command:?} doesn't serve").into());
            }
            sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for DiskMachine {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

/// A machine that may mount.
pub(crate) struct Host {
    pub(crate) number: usize,
    namespace: String,
    /// The addresses of the disks, as seen from here.
    addresses: Vec<String>,
    tool: PathBuf,
    /// Where it mounts.
    pub(crate) root: PathBuf,
    log: PathBuf,
    mount: Option<Child>,
    begun: SystemTime,
    /// The disk that another machine has, and that is left to it.
    left_out: Option<usize>,
    /// How often it has begun to mount.
    pub(crate) attempts: u64,
}

/// The progress of a machine that is to mount.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    /// It tries.
    Trying,
    /// It is mounted there.
    Mounted,
}

impl Host {
    pub(crate) fn new(network: &Network, number: usize, tool: &Path, folder: &Path) -> Result<Self, Box<dyn Error>> {
        let root = folder.join(format!("mnt{number}"));
        fs::create_dir(&root)?;
        let log = folder.join(format!("host{number}.log"));
        File::create(&log)?;
        let (namespace, tool) = (network.host(number), tool.to_owned());
        let begun = SystemTime::now();
        let addresses = (0..DISKS).map(|disk| network.disk_address(number, disk)).collect();
        Ok(Self { number, namespace, addresses, tool, root, log, mount: None, begun, left_out: None, attempts: 0 })
    }

    /// This machine's name for a disk.
    fn disk(&self, disk: usize) -> String {
        format!("nbd://{}/disk", self.addresses[disk])
    }

    /// This machine's name for the cluster, without a disk that is left out.
    fn target(&self) -> String {
        let wanted = (0..DISKS).filter(|disk| self.left_out != Some(*disk));
        format!("{}@{LABEL}", wanted.map(|disk| self.disk(disk)).collect::<Vec<_>>().join("+"))
    }

    fn name(&self) -> String {
        format!("host{}", self.number)
    }

    /// Makes it try to mount, again and again, like a systemd unit with `Restart=always`; to be called until it is mounted.
    pub(crate) fn try_to_mount(&mut self) -> Result<Progress, Box<dyn Error>> {
        if let Some(mount) = &mut self.mount {
            if mount.try_wait()?.is_none() {
                return Ok(if self.is_mounted() { Progress::Mounted } else { Progress::Trying });
            }
            self.mount = None;
            self.unmount_lazily();
            self.left_out = match self.left_out {
                None => self.held_alone()?,
                // The disk was watched already: the write meanwhile was the other's last.
                Some(disk) if self.was_changed_meanwhile()? => Some(disk),
                Some(_) => None,
            };
        }
        let mut command = on_machine(&self.namespace, &self.name(), &self.tool);
        command.args(["mount", "--foreground"]).arg(self.target()).arg(&self.root);
        let log = File::options().append(true).open(&self.log)?;
        self.mount = Some(command.stderr(log).spawn()?);
        (self.begun, self.attempts) = (SystemTime::now(), self.attempts + 1);
        Ok(Progress::Trying)
    }

    /// The disk of another machine that has too few of the others by now: a machine that has most of them would have been
    /// reported at once.
    fn held_alone(&self) -> Result<Option<usize>, Box<dyn Error>> {
        // Nobody may have looked at the process since it ended, but its last line came at its end.
        let ended = fs::metadata(&self.log)?.modified()?;
        if ended.duration_since(self.begun).unwrap_or_default() < WATCH {
            return Ok(None);
        }
        let said = fs::read_to_string(&self.log)?;
        let Some(last) = said.lines().rfind(|line| line.contains("is in use by another mount")) else {
            return Ok(None);
        };
        Ok((0..DISKS).find(|disk| last.contains(&format!("{} (", self.disk(*disk)))))
    }

    /// True when the last mount ended because another wrote to a disk between its first look and the end of its watch.
    fn was_changed_meanwhile(&self) -> Result<bool, Box<dyn Error>> {
        let said = fs::read_to_string(&self.log)?;
        Ok(said.lines().last().is_some_and(|line| line.contains("while this one began")))
    }

    /// Takes in the disk that was left out, once no other machine has it; true when nothing is left to do.
    pub(crate) fn take_in_the_rest(&mut self) -> bool {
        let Some(disk) = self.left_out else { return true };
        let root = self.root.display().to_string();
        if self.tool(&["cluster", "add", &root, &self.disk(disk)]).is_ok() {
            self.left_out = None;
        }
        self.left_out.is_none()
    }

    /// True when a process of it serves the mount.
    pub(crate) fn is_mounted(&self) -> bool {
        // A stopped server must not be asked, so this looks at the list of mounts.
        let root = self.root.display().to_string();
        let table = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
        self.mount.is_some() && table.lines().any(|line| line.split(' ').nth(1) == Some(&root))
    }

    /// True when its process has ended, or there is none.
    pub(crate) fn has_ended(&mut self) -> Result<bool, Box<dyn Error>> {
        match &mut self.mount {
            Some(mount) => Ok(mount.try_wait()?.is_some()),
            None => Ok(true),
        }
    }

    pub(crate) fn signal(&self, signal: Signal) -> Result<(), Box<dyn Error>> {
        let mount = self.mount.as_ref().ok_or("nothing is mounted")?;
        let id = Pid::from_raw(mount.id().cast_signed()).ok_or("no process")?;
        Ok(kill_process(id, signal)?)
    }

    /// Ends its process at once, as losing the machine does.
    pub(crate) fn kill(&mut self) {
        if let Some(mut mount) = self.mount.take() {
            let _ = mount.kill();
            let _ = mount.wait();
        }
        self.unmount_lazily();
    }

    /// Unmounts like an administrator, and waits for the end of its process; true if that succeeded.
    pub(crate) fn unmount(&mut self) -> Result<bool, Box<dyn Error>> {
        self.unmount_lazily();
        let start = Instant::now();
        while !self.has_ended()? {
            if start.elapsed() > PATIENCE {
                return Err(format!("{} doesn't end: {}", self.name(), self.said()?).into());
            }
            sleep(Duration::from_millis(10));
        }
        let status = self.mount.take().map(|mut mount| mount.wait()).transpose()?;
        Ok(status.is_none_or(|status| status.success()))
    }

    fn unmount_lazily(&self) {
        drop(Command::new("fusermount3").args(["-u", "-q", "-z"]).arg(&self.root).status());
    }

    /// Runs the tool on this machine.
    pub(crate) fn tool(&self, arguments: &[&str]) -> Result<String, Box<dyn Error>> {
        let output = on_machine(&self.namespace, &self.name(), &self.tool).args(arguments).output()?;
        let said = String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout);
        if output.status.success() { Ok(said) } else { Err(said.trim().to_owned().into()) }
    }

    /// The end of its mounts' log.
    pub(crate) fn said(&self) -> Result<String, Box<dyn Error>> {
        let said = fs::read_to_string(&self.log)?;
        let lines: Vec<&str> = said.lines().rev().take(8).collect();
        Ok(lines.into_iter().rev().collect::<Vec<_>>().join(" | "))
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        drop(self.signal(Signal::CONT));
        self.kill();
    }
}
