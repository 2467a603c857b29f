//! A cluster in a machine: made, started, and looked at when it has ended.

use std::error::Error;
use std::fs::{self, File};
use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;

use crate::cluster;
use crate::disks::{self, Backing};
use crate::machine::Machine;
use crate::qmp::Qmp;
use crate::settings::Settings;

/// Of the cluster.
pub(crate) const LABEL: &str = "WORK";

/// Disks that nobody has yet.
pub(crate) struct Images<'s> {
    pub(crate) settings: &'s Settings,
    pub(crate) folder: PathBuf,
    pub(crate) images: Vec<PathBuf>,
}

impl<'s> Images<'s> {
    /// Makes a cluster of three masters, and slaves, on disks of so many bytes each.
    pub(crate) fn create(settings: &'s Settings, name: &str, sizes: &[u64]) -> Result<Self, Box<dyn Error>> {
        let folder = settings.folder.join(name);
        fs::create_dir(&folder)?;
        let mut images = Vec::new();
        for (number, bytes) in sizes.iter().enumerate() {
            let image = folder.join(format!("disk{number}.img"));
            File::create(&image)?.set_len(*bytes)?;
            images.push(image);
        }
        let made = Self { settings, folder, images };
        for image in &made.images {
            made.tool(&["newfs", &image.display().to_string()])?;
        }
        cluster::create(&made.images, LABEL, settings.seed)?;
        Ok(made)
    }

    /// Runs the `hammer2` tool; what it prints.
    pub(crate) fn tool(&self, arguments: &[&str]) -> Result<String, Box<dyn Error>> {
        let run = Command::new(&self.settings.tool).args(arguments).output()?;
        if run.status.success() {
            return Ok(String::from_utf8_lossy(&run.stdout).into_owned());
        }
        let said = String::from_utf8_lossy(&run.stderr).into_owned() + &String::from_utf8_lossy(&run.stdout);
        Err(format!("hammer2 {}: {}", arguments.join(" "), said.lines().next().unwrap_or("failed")).into())
    }

    /// Starts the kernel on them.
    pub(crate) fn start(self, deadline_milliseconds: u32) -> Result<Rig<'s>, Box<dyn Error>> {
        let backings: Vec<Backing> = self.images.iter().cloned().map(Backing::File).collect();
        self.start_on(deadline_milliseconds, &backings)
    }

    /// Starts the kernel on disks with these contents.
    pub(crate) fn start_on(self, deadline_milliseconds: u32, backings: &[Backing]) -> Result<Rig<'s>, Box<dyn Error>> {
        let devices: Vec<String> =
            backings.iter().enumerate().flat_map(|(number, backing)| disks::arguments(number, backing)).collect();
        let command_line = format!("mode=cluster seed={} deadline={deadline_milliseconds}", self.settings.seed);
        let machine = Machine::start(self.settings, &self.folder, &command_line, &devices)?;
        let qmp = Qmp::connect(&self.folder.join("qmp"))?;
        let mut rig = Rig { images: self, machine, qmp };
        rig.machine.wait_for("masters in sync")?;
        rig.machine.wait_for_epochs(2)?;
        Ok(rig)
    }

    /// Everything is in step, each disk is sound, and each holds the same by itself.
    pub(crate) fn check(&self) -> Result<(), Box<dyn Error>> {
        let names: Vec<String> = self.images.iter().map(|image| image.display().to_string()).collect();
        let status = self.tool(&["cluster", "status", "--json", &format!("{}@{LABEL}", names.join("+"))])?;
        let status: Value = serde_json::from_str(&status)?;
        if status["health"] != "healthy" {
            return Err(format!("the cluster is left {}: {}", status["health"], status["nodes"]).into());
        }
        let mut first = None;
        for name in &names {
            self.tool(&["fsck", "--strict", name])?;
            let digest = self.tool(&["manifest", "--digest", &format!("{name}@{LABEL}")])?;
            if first.get_or_insert_with(|| digest.clone()) != &digest {
                return Err(format!("{name} holds something else than the first disk").into());
            }
        }
        Ok(())
    }
}

/// A machine with a cluster.
pub(crate) struct Rig<'s> {
    pub(crate) images: Images<'s>,
    pub(crate) machine: Machine,
    pub(crate) qmp: Qmp,
}

impl<'s> Rig<'s> {
    /// Says what is done.
    pub(crate) fn say(&self, what: &str) {
        if self.images.settings.tell {
            println!("boot: {what}");
        }
    }

    /// Waits until a node has left; what was said of it.
    pub(crate) fn wait_for_leaving(&mut self, number: usize) -> Result<String, Box<dyn Error>> {
        self.machine.wait_for(&format!("(node {number}) leaves the cluster"))
    }

    /// Waits until a node is in step again, and some epochs with it are durable.
    pub(crate) fn wait_for_return(&mut self, number: usize) -> Result<(), Box<dyn Error>> {
        self.machine.wait_for(&format!("node {number} is in step again"))?;
        self.machine.wait_for_epochs(2)
    }

    /// Ends the run, and the machine with it.
    pub(crate) fn end(self) -> Result<Images<'s>, Box<dyn Error>> {
        self.machine.end()?;
        Ok(self.images)
    }

    /// Ends the run and looks at the disks.
    pub(crate) fn finish(self) -> Result<(), Box<dyn Error>> {
        self.end()?.check()
    }
}
