//! Disks as images: making them, passing them to the `hammer2` tool, and checking them at the end.

use std::error::Error;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// The label of the cluster's PFS.
pub const LABEL: &str = "WORK";

/// Images, and the tool.
pub struct Images {
    /// The `hammer2` tool.
    program: PathBuf,
    /// The folder that they are in.
    pub folder: PathBuf,
    /// The images, by the numbers of their nodes.
    pub paths: Vec<PathBuf>,
}

impl Images {
    /// Makes a folder of formatted images with so many bytes each.
    ///
    /// # Errors
    ///
    /// The folder is there already, has no room, or the tool refuses an image.
    pub fn create(program: &Path, folder: PathBuf, sizes: &[u64]) -> Result<Self, Box<dyn Error>> {
        fs::create_dir(&folder)?;
        let paths = (0..sizes.len()).map(|number| folder.join(format!("disk{number}.img"))).collect();
        let images = Self { program: program.to_owned(), folder, paths };
        for (path, bytes) in images.paths.iter().zip(sizes) {
            File::create(path)?.set_len(*bytes)?;
        }
        for name in images.names() {
            images.tool(&["newfs", &name])?;
        }
        Ok(images)
    }

    /// The tool's names for the images.
    pub fn names(&self) -> Vec<String> {
        self.paths.iter().map(|path| path.display().to_string()).collect()
    }

    /// Runs the tool to its end; returns its output.
    ///
    /// # Errors
    /// It can't be run, or fails: the error has its arguments, and the first line of its output.
    pub fn tool(&self, arguments: &[&str]) -> Result<String, Box<dyn Error>> {
        let run = Command::new(&self.program).args(arguments).output()?;
        if run.status.success() {
            return Ok(String::from_utf8_lossy(&run.stdout).into_owned());
        }
        let said = String::from_utf8_lossy(&run.stderr).into_owned() + &String::from_utf8_lossy(&run.stdout);
        Err(format!("hammer2 {}: {}", arguments.join(" "), said.lines().next().unwrap_or("failed")).into())
    }

    /// Checks the images, which must not be in use: the cluster is healthy, each image is sound by itself, and all hold the same.
    ///
    /// # Errors
    /// The check that failed.
    pub fn check(&self) -> Result<(), Box<dyn Error>> {
        let target = format!("{}@{LABEL}", self.names().join("+"));
        // The status is printed whether it is good or bad.
        let output = Command::new(&self.program).args(["cluster", "status", "--json", &target]).output()?;
        let status: Value = serde_json::from_slice(&output.stdout)?;
        if status["health"] != "healthy" {
            return Err(format!("the cluster is left {}: {}", status["health"], status["nodes"]).into());
        }
        self.hold_the_same()
    }

    /// Checks that each image is sound by itself, and that all hold the same.
    ///
    /// # Errors
    /// The image for which that isn't so.
    pub fn hold_the_same(&self) -> Result<(), Box<dyn Error>> {
        let mut first = None;
        for name in self.names() {
            self.tool(&["fsck", "--strict", &name])?;
            let digest = self.tool(&["manifest", "--digest", &format!("{name}@{LABEL}")])?;
            if first.get_or_insert_with(|| digest.clone()) != &digest {
                return Err(format!("{name} holds something else than the first disk").into());
            }
        }
        Ok(())
    }
}
