//! A cluster on disks of the host: making and mounting it, and checking it at the end.

use std::error::Error;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use hammer2_torture::images::{Images, LABEL};
use hammer2_torture::program::dependent;
use hammer2_torture::server::Server;

use crate::Settings;

/// A cluster of three masters and a slave.
pub(crate) struct Rig {
    tool: PathBuf,
    pub(crate) images: Images,
    /// The names for the tool in place of the images, while a scenario serves them.
    pub(crate) names: Vec<String>,
    mount: Option<Server>,
}

impl Rig {
    /// Makes a cluster on images of so many bytes each.
    pub(crate) fn create(settings: &Settings, name: &str, sizes: [u64; 4]) -> Result<Self, Box<dyn Error>> {
        let images = Images::create(&settings.tool, settings.folder.join(name), &sizes)?;
        std::fs::create_dir(images.folder.join("mnt"))?;
        let names = images.names();
        let [first, second, third, slave] = &names[..] else { unreachable!("four were made") };
        images.tool(&["cluster", "create", "-L", LABEL, "--slave", slave, first, second, third])?;
        Ok(Self { tool: settings.tool.clone(), images, names, mount: None })
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
        self.images.folder.join("mnt")
    }

    /// Mounts the cluster, with options.
    pub(crate) fn mount(&mut self, options: &[&str]) -> Result<(), Box<dyn Error>> {
        let mut command = dependent(&self.tool);
        command.args(["mount", "--foreground"]).args(options).arg(self.target()).arg(self.root()).stdin(Stdio::null());
        self.mount = Some(Server::start(command, &self.root(), &self.images.folder.join("mount.log"))?);
        Ok(())
    }

    /// Waits until the mount logs this text; returns how long that took.
    pub(crate) fn wait_for(&mut self, text: &str) -> Result<Duration, Box<dyn Error>> {
        Ok(self.mount.as_mut().ok_or("nothing is mounted")?.wait_for(text)?)
    }

    /// Waits until a node has left.
    pub(crate) fn wait_for_leaving(&mut self, number: usize) -> Result<Duration, Box<dyn Error>> {
        self.wait_for(&format!("(node {number}) left the cluster"))
    }

    /// Waits until a node is in step again.
    pub(crate) fn wait_for_return(&mut self, number: usize) -> Result<Duration, Box<dyn Error>> {
        self.wait_for(&format!("(node {number}) is in sync again"))
    }

    /// True if the mount has logged this by now.
    pub(crate) fn has_said(&self, text: &str) -> Result<bool, Box<dyn Error>> {
        Ok(self.mount.as_ref().ok_or("nothing is mounted")?.has_said(text)?)
    }

    /// Ends the mount as users do.
    pub(crate) fn unmount(&mut self) -> Result<(), Box<dyn Error>> {
        Ok(self.mount.take().ok_or("nothing is mounted")?.unmount()?)
    }

    /// Ends the mount as a power cut does.
    pub(crate) fn kill_mount(&mut self) {
        // Dropping it kills and unmounts it.
        self.mount = None;
    }

    /// Checks that everything is in step, each disk is sound, and each holds the same by itself. Nothing may serve the images any
    /// more.
    pub(crate) fn check(&mut self) -> Result<(), Box<dyn Error>> {
        self.names = self.images.names();
        self.images.check()
    }
}
