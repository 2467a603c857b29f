//! A cluster on disks of the host: made, mounted, and looked at when all is over.

use std::error::Error;
use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::Settings;
use crate::disks::dependent;

/// Of the cluster.
const LABEL: &str = "WORK";
/// How long the mount may take for what must follow: it looks again at a node after 5 seconds, and later each time.
const PATIENCE: Duration = Duration::from_secs(90);

/// A cluster of three masters and a slave.
pub(crate) struct Rig {
    tool: PathBuf,
    pub(crate) folder: PathBuf,
    pub(crate) images: Vec<PathBuf>,
    /// What the tool is told instead of the images, while a scenario has them served.
    pub(crate) names: Vec<String>,
    mount: Option<Mount>,
}

struct Mount {
    server: Child,
    log: PathBuf,
    /// Bytes of the log that were waited for.
    seen: usize,
}

impl Rig {
    /// Makes a cluster on images of so many bytes each.
    pub(crate) fn create(settings: &Settings, name: &str, sizes: [u64; 4]) -> Result<Self, Box<dyn Error>> {
        let folder = settings.folder.join(name);
        fs::create_dir(&folder)?;
        fs::create_dir(folder.join("mnt"))?;
        let mut images = Vec::new();
        for (number, bytes) in sizes.iter().enumerate() {
            let image = folder.join(format!("disk{number}.img"));
            File::create(&image)?.set_len(*bytes)?;
            images.push(image);
        }
        let names = images.iter().map(|image| image.display().to_string()).collect();
        let rig = Self { tool: settings.tool.clone(), folder, images, names, mount: None };
        for name in &rig.names {
            rig.tool(&["newfs", name])?;
        }
        let [first, second, third, slave] = &rig.names[..] else { unreachable!("four were made") };
        rig.tool(&["cluster", "create", "-L", LABEL, "--slave", slave, first, second, third])?;
        Ok(rig)
    }

    /// Runs the `hammer2` tool; what it prints.
    pub(crate) fn tool(&self, arguments: &[&str]) -> Result<String, Box<dyn Error>> {
        let run = Command::new(&self.tool).args(arguments).output()?;
        if run.status.success() {
            return Ok(String::from_utf8_lossy(&run.stdout).into_owned());
        }
        let said = String::from_utf8_lossy(&run.stderr).into_owned() + &String::from_utf8_lossy(&run.stdout);
        Err(format!("hammer2 {}: {}", arguments.join(" "), said.lines().next().unwrap_or("failed")).into())
    }

    /// How the cluster is, good or bad.
    pub(crate) fn status(&self) -> Result<Value, Box<dyn Error>> {
        let output = Command::new(&self.tool).args(["cluster", "status", "--json", &self.target()]).output()?;
        Ok(serde_json::from_slice(&output.stdout)?)
    }

    /// What the tool calls the cluster.
    pub(crate) fn target(&self) -> String {
        format!("{}@{LABEL}", self.names.join("+"))
    }

    /// A node's PFS by itself.
    pub(crate) fn alone(name: &str) -> String {
        format!("{name}@{LABEL}")
    }

    pub(crate) fn root(&self) -> PathBuf {
        self.folder.join("mnt")
    }

    /// Mounts the cluster, with options.
    pub(crate) fn mount(&mut self, options: &[&str]) -> Result<(), Box<dyn Error>> {
        let log = self.folder.join("mount.log");
        let mut command = dependent(&self.tool.display().to_string());
        command.args(["mount", "--foreground"]).args(options).arg(self.target()).arg(self.root());
        let server = command.stdin(Stdio::null()).stderr(File::create(&log)?).spawn()?;
        self.mount = Some(Mount { server, log, seen: 0 });
        let outside = self.folder.metadata()?.dev();
        let is_mounted = |root: &Path| root.metadata().is_ok_and(|facts| facts.dev() != outside);
        let start = Instant::now();
        while !is_mounted(&self.root()) {
            let mount = self.mount.as_mut().expect("just made");
            if mount.server.try_wait()?.is_some() || start.elapsed() > PATIENCE {
                return Err(format!("it can't be mounted: {}", mount.said()?).into());
            }
            sleep(Duration::from_millis(10));
        }
        Ok(())
    }

    /// Waits until the mount says something, and how long that takes.
    pub(crate) fn wait_for(&mut self, text: &str) -> Result<Duration, Box<dyn Error>> {
        let mount = self.mount.as_mut().ok_or("nothing is mounted")?;
        let start = Instant::now();
        loop {
            let said = fs::read_to_string(&mount.log)?;
            if let Some(at) = said[mount.seen..].find(text) {
                mount.seen += at + text.len();
                return Ok(start.elapsed());
            }
            if mount.server.try_wait()?.is_some() || start.elapsed() > PATIENCE {
                return Err(format!("the mount doesn't say `{text}`, but: {}", mount.said()?).into());
            }
            sleep(Duration::from_millis(10));
        }
    }

    /// Waits until a node has left.
    pub(crate) fn wait_for_leaving(&mut self, number: usize) -> Result<Duration, Box<dyn Error>> {
        self.wait_for(&format!("(node {number}) left the cluster"))
    }

    /// Waits until a node is in step again.
    pub(crate) fn wait_for_return(&mut self, number: usize) -> Result<Duration, Box<dyn Error>> {
        self.wait_for(&format!("(node {number}) is in sync again"))
    }

    /// True if the mount has said this by now.
    pub(crate) fn has_said(&self, text: &str) -> Result<bool, Box<dyn Error>> {
        let mount = self.mount.as_ref().ok_or("nothing is mounted")?;
        Ok(fs::read_to_string(&mount.log)?.contains(text))
    }

    /// Ends the mount as users do.
    pub(crate) fn unmount(&mut self) -> Result<(), Box<dyn Error>> {
        let mut mount = self.mount.take().ok_or("nothing is mounted")?;
        let status = Command::new("fusermount3").arg("-u").arg(self.root()).status()?;
        let start = Instant::now();
        while mount.server.try_wait()?.is_none() && start.elapsed() < PATIENCE {
            sleep(Duration::from_millis(10));
        }
        let ended = mount.server.try_wait()?;
        if !status.success() || ended.is_none() {
            self.mount = Some(mount);
            return Err("the mount doesn't end".into());
        }
        Ok(())
    }

    /// Ends the mount as a power cut does.
    pub(crate) fn kill_mount(&mut self) {
        if let Some(mut mount) = self.mount.take() {
            let _ = mount.server.kill();
            let _ = mount.server.wait();
            let _ = Command::new("fusermount3").args(["-u", "-q", "-z"]).arg(self.root()).status();
        }
    }

    /// Everything is in step, each disk is sound, and each holds the same by itself. Nothing serves the images any more.
    pub(crate) fn check(&mut self) -> Result<(), Box<dyn Error>> {
        self.names = self.images.iter().map(|image| image.display().to_string()).collect();
        let status = self.status()?;
        if status["health"] != "healthy" {
            return Err(format!("the cluster is left {}: {}", status["health"], status["nodes"]).into());
        }
        let mut first = None;
        for name in &self.names {
            self.tool(&["fsck", "--strict", name])?;
            let digest = self.tool(&["manifest", "--digest", &Self::alone(name)])?;
            if first.get_or_insert_with(|| digest.clone()) != &digest {
                return Err(format!("{name} holds something else than the first disk").into());
            }
        }
        Ok(())
    }
}

impl Mount {
    /// The end of the log, in a line.
    fn said(&self) -> Result<String, Box<dyn Error>> {
        let said = fs::read_to_string(&self.log)?;
        let lines: Vec<&str> = said.lines().rev().take(6).collect();
        Ok(lines.into_iter().rev().collect::<Vec<_>>().join(" | "))
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        self.kill_mount();
    }
}
