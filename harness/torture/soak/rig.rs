//! The rig of a soak: a folder with disks, the tool, and a cluster made of the disks.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use std::thread::sleep;
use std::time::{Duration, Instant};

use hammer2_torture::failure::{Failure, Result};
use hammer2_torture::server::Server;

use crate::disks::{Disk, Disks, Fault};

/// The label of the cluster's PFS.
pub(crate) const LABEL: &str = "CL";

/// How long the server waits for a disk before it gives the disk up.
pub(crate) const DEADLINE: Duration = Duration::from_secs(4);

/// How long a command may take.
const PATIENCE: Duration = Duration::from_secs(400);

/// A cluster and its disks.
pub(crate) struct Rig {
    pub(crate) disks: Disks,
    /// The numbers of the disks, node by node.
    pub(crate) members: Vec<usize>,
    tool: PathBuf,
    folder: PathBuf,
    memory_mib: u32,
}

impl Rig {
    /// Makes a cluster of so many masters, in a folder that the caller must remove.
    pub(crate) fn new(tool: &Path, folder: &Path, nodes: usize, disk_bytes: u64, seed: u64) -> Result<Self> {
        for name in ["disks", "backing", "mnt", "snapshot"] {
            fs::create_dir(folder.join(name))?;
        }
        let disks = Disks::serve(&folder.join("disks"), &folder.join("backing"), disk_bytes, seed)?;
        let members = (0..nodes).map(|_| disks.add()).collect::<io::Result<Vec<_>>>()?;
        let rig = Self { disks, members, tool: tool.to_owned(), folder: folder.to_owned(), memory_mib: 64 };
        for number in &rig.members {
            rig.succeed(&["newfs".as_ref(), rig.disks.path(*number).as_os_str()])?;
        }
        let paths: Vec<_> = rig.members.iter().map(|number| rig.disks.path(*number)).collect();
        let create = ["cluster", "create", "-L", LABEL].map(OsStr::new);
        rig.succeed(&create.into_iter().chain(paths.iter().map(|path| path.as_os_str())).collect::<Vec<_>>())?;
        Ok(rig)
    }

    /// The disk of a node.
    pub(crate) fn disk(&self, node: usize) -> Arc<Disk> {
        self.disks.get(self.members[node])
    }

    /// All nodes as the tool names them; with a label, that PFS on them.
    pub(crate) fn target(&self, label: Option<&str>) -> OsString {
        self.target_of(&self.members, label)
    }

    /// These disks as nodes.
    pub(crate) fn target_of(&self, disks: &[usize], label: Option<&str>) -> OsString {
        let paths: Vec<_> = disks.iter().map(|number| self.disks.path(*number).into_os_string()).collect();
        let mut target = paths.join(OsStr::new("+"));
        if let Some(label) = label {
            target.push("@");
            target.push(label);
        }
        target
    }

    /// The directory that the cluster is mounted on.
    pub(crate) fn mount_point(&self) -> PathBuf {
        self.folder.join("mnt")
    }

    /// Mounts the cluster.
    pub(crate) fn mount(&self) -> Result<Server> {
        self.mount_with(&self.target(Some(LABEL)), &self.mount_point(), &["--sync-every", "2"])
    }

    /// Mounts a snapshot from one disk; the cluster must not be mounted then.
    pub(crate) fn mount_snapshot(&self, disk: usize, label: &str) -> Result<(Server, PathBuf)> {
        let directory = self.folder.join("snapshot");
        let server = self.mount_with(&self.target_of(&[disk], Some(label)), &directory, &["--read-only"])?;
        Ok((server, directory))
    }

    fn mount_with(&self, target: &OsStr, directory: &Path, options: &[&str]) -> Result<Server> {
        let mut command = self.command();
        command.args(["mount", "-f"]).args(options).arg(target).arg(directory);
        Server::start(command, directory, &self.folder.join("log"))
    }

    /// Mends all disks.
    pub(crate) fn mend_all(&self) {
        (0..self.members.len()).for_each(|node| self.disk(node).set(Fault::None));
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.tool);
        command.stdin(Stdio::null());
        command.args(["--memory", &self.memory_mib.to_string(), "--deadline", &DEADLINE.as_secs().to_string()]);
        command
    }

    /// Runs the tool; a command that takes too long counts as hanging.
    pub(crate) fn run<S: AsRef<OsStr>>(&self, arguments: &[S]) -> Result<Output> {
        let (said, complaint) = (self.folder.join("stdout"), self.folder.join("stderr"));
        let mut command = self.command();
        command.args(arguments).stdout(fs::File::create(&said)?).stderr(fs::File::create(&complaint)?);
        let mut child = command.spawn()?;
        let start = Instant::now();
        let status = loop {
            if let Some(status) = child.try_wait()? {
                break status;
            }
            if start.elapsed() > PATIENCE {
                child.kill()?;
                child.wait()?;
                return Err(Failure::violation(format_args!("{} has no end", shown(arguments))));
            }
            sleep(Duration::from_millis(2));
        };
        Ok(Output { status, stdout: fs::read(said)?, stderr: fs::read(complaint)? })
    }

    /// Runs the tool, which must succeed; returns its output.
    pub(crate) fn succeed<S: AsRef<OsStr>>(&self, arguments: &[S]) -> Result<String> {
        let output = self.run(arguments)?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        if output.status.success() {
            return Ok(text);
        }
        let complaint = String::from_utf8_lossy(&output.stderr);
        Err(Failure::violation(format_args!("{}: {}: {complaint}{text}", shown(arguments), output.status)))
    }

    /// Runs a command on the cluster, which must not be mounted.
    pub(crate) fn on_cluster(&self, command: &[&str]) -> Result<String> {
        let target = self.target(Some(LABEL));
        self.succeed(&command.iter().map(OsStr::new).chain([target.as_os_str()]).collect::<Vec<_>>())
    }

    /// Checks that each disk by itself is whole, and holds the same as the others.
    pub(crate) fn is_equal_everywhere(&self) -> Result<()> {
        self.on_cluster(&["cluster", "status"])?;
        for number in &self.members {
            self.succeed(&["fsck".as_ref(), "--strict".as_ref(), self.disks.path(*number).as_os_str()])?;
        }
        self.hold_the_same(&self.members, LABEL)
    }

    /// Checks that each of these disks, read by itself, holds the same in this PFS.
    pub(crate) fn hold_the_same(&self, disks: &[usize], label: &str) -> Result<()> {
        let mut first: Option<String> = None;
        for number in disks {
            let target = self.target_of(&[*number], Some(label));
            let manifest = self.succeed(&["manifest".as_ref(), target.as_os_str()])?;
            let first = first.get_or_insert_with(|| manifest.clone());
            if let Some((other, line)) = first.lines().zip(manifest.lines()).find(|(other, line)| other != line) {
                return Err(Failure::violation(format_args!("{label}: disk{number} has {line}, another {other}")));
            }
            if first.len() != manifest.len() || manifest.is_empty() {
                return Err(Failure::violation(format_args!("{label}: disk{number} has more or less than another")));
            }
        }
        Ok(())
    }
}

fn shown<S: AsRef<OsStr>>(arguments: &[S]) -> String {
    let words: Vec<_> = arguments.iter().map(|word| word.as_ref().to_string_lossy()).collect();
    format!("hammer2 {}", words.join(" "))
}
