//! A cluster in a machine: making and starting it, and checking it when it has ended.

use std::error::Error;

use hammer2_torture::images::{Images, LABEL};

use crate::cluster;
use crate::disks::{self, Backing};
use crate::machine::Machine;
use crate::qmp::Qmp;
use crate::settings::Settings;

/// Disks that aren't in a machine.
pub(crate) struct Nodes<'s> {
    pub(crate) settings: &'s Settings,
    pub(crate) images: Images,
}

impl<'s> Nodes<'s> {
    /// Makes a cluster of three masters, and slaves, on disks of so many bytes each.
    pub(crate) fn create(settings: &'s Settings, name: &str, sizes: &[u64]) -> Result<Self, Box<dyn Error>> {
        let images = Images::create(&settings.tool, settings.folder.join(name), sizes)?;
        cluster::create(&images.paths, LABEL, settings.seed)?;
        Ok(Self { settings, images })
    }

    /// Starts the kernel on them.
    pub(crate) fn start(self, deadline_milliseconds: u32) -> Result<Rig<'s>, Box<dyn Error>> {
        let backings: Vec<Backing> = self.images.paths.iter().cloned().map(Backing::File).collect();
        self.start_on(deadline_milliseconds, &backings)
    }

    /// Starts the kernel on disks with these contents.
    pub(crate) fn start_on(self, deadline_milliseconds: u32, backings: &[Backing]) -> Result<Rig<'s>, Box<dyn Error>> {
        let devices: Vec<String> =
            backings.iter().enumerate().flat_map(|(number, backing)| disks::arguments(number, backing)).collect();
        let command_line = format!("mode=cluster seed={} deadline={deadline_milliseconds}", self.settings.seed);
        let machine = Machine::start(self.settings, &self.images.folder, &command_line, &devices)?;
        let qmp = Qmp::connect(&self.images.folder.join("qmp"))?;
        let mut rig = Rig { nodes: self, machine, qmp };
        rig.machine.wait_for("masters in sync")?;
        rig.machine.wait_for_epochs(2)?;
        Ok(rig)
    }
}

/// A machine with a cluster.
pub(crate) struct Rig<'s> {
    pub(crate) nodes: Nodes<'s>,
    pub(crate) machine: Machine,
    pub(crate) qmp: Qmp,
}

impl<'s> Rig<'s> {
    /// Prints what is done.
    pub(crate) fn say(&self, what: &str) {
        if self.nodes.settings.tell {
            println!("boot: {what}");
        }
    }

    /// Waits until a node has left; returns the line about it.
    pub(crate) fn wait_for_leaving(&mut self, number: usize) -> Result<String, Box<dyn Error>> {
        self.machine.wait_for(&format!("(node {number}) leaves the cluster"))
    }

    /// Waits until a node is in step again, and some epochs with it are durable.
    pub(crate) fn wait_for_return(&mut self, number: usize) -> Result<(), Box<dyn Error>> {
        self.machine.wait_for(&format!("node {number} is in step again"))?;
        self.machine.wait_for_epochs(2)
    }

    /// Ends the run, and the machine with it.
    pub(crate) fn end(self) -> Result<Nodes<'s>, Box<dyn Error>> {
        self.machine.end()?;
        Ok(self.nodes)
    }

    /// Ends the run and checks the disks.
    pub(crate) fn finish(self) -> Result<(), Box<dyn Error>> {
        self.end()?.images.check()
    }
}
