//! What every kind of boot needs: the kernel, a folder, a console, programs of the host.

use std::fs;
use std::path::{Path, PathBuf};

use super::options::{Mode, Options};
use crate::build;
use crate::checkout::Checkout;
use crate::qemu::disk::Disk;
use crate::qemu::machine::Machine;
use crate::qemu::run::{self, Ended};
use crate::system::command::{Run, program};
use crate::system::group::Limit;
use crate::system::need::Needs;
use crate::system::scratch::Scratch;
use crate::trouble::{About, Done, Trouble};

/// Everything that is there before a machine is started.
pub(super) struct MachineRoom<'a> {
    checkout: &'a Checkout,
    options: &'a Options,
    needs: Needs,
    scratch: Scratch,
    machine: Machine,
    console: PathBuf,
}

impl<'a> MachineRoom<'a> {
    /// Gets what is missing, and builds the kernel.
    ///
    /// # Errors
    ///
    /// Something is missing and can't be had, or the kernel doesn't build.
    pub(super) fn new(checkout: &'a Checkout, options: &'a Options) -> Done<Self> {
        let needs = Needs::new(checkout, "boot");
        let scratch = Scratch::new("boot")?;
        needs.program("qemu-system-x86_64", "qemu-system-x86")?;
        if matches!(options.mode, Mode::Faults { .. }) {
            needs.program("qemu-nbd", "qemu-utils")?;
        }
        let machine = Machine {
            accelerator: options.accelerator,
            cpus: options.cpus,
            memory_mib: options.memory_mib,
            kernel: build::kernel(checkout)?,
            temporary: scratch.path().to_path_buf(),
        };
        let console = match &options.console {
            Some(path) => path.clone(),
            None => usual_console(&checkout.target().join("console"))?,
        };
        if fs::write(&console, "").is_err() {
            return Err(Trouble::unusable(format!("{}: can't be written", console.display())));
        }
        Ok(Self { checkout, options, needs, scratch, machine, console })
    }

    /// A folder for disks.
    pub(super) fn folder(&self) -> &Path {
        self.scratch.path()
    }

    /// The file that has the console.
    pub(super) fn console(&self) -> &Path {
        &self.console
    }

    /// What gets what is missing.
    pub(super) fn needs(&self) -> &Needs {
        &self.needs
    }

    /// The time limit of a run in QEMU, in seconds.
    pub(super) fn timeout(&self) -> u64 {
        self.options.timeout
    }

    /// What random things begin with.
    pub(super) fn seed(&self) -> u64 {
        self.options.seed
    }

    /// What isn't as it should be; the console tells more.
    pub(super) fn failed(&self, what: &str) -> Trouble {
        Trouble::failed(format!("{what}; console: {}", self.console.display()))
    }

    /// The folder where the tool and an example of hammer2-torture are built.
    pub(super) fn programs(&self, example: &str) -> Done<PathBuf> {
        build::for_scripts(
            self.checkout,
            "the tool and what works on the kernel's disks, optimized",
            &["--package", "hammer2-tool", "--package", "hammer2-torture", "--bin", "hammer2", "--example", example],
        )
    }

    /// Boots with these disks.
    pub(super) fn run(&self, disks: &[Disk], append: &str, limit: Limit, kept: Option<&Path>) -> Done<Ended> {
        let mut command = self.machine.command(disks, append)?;
        run::run(&mut command, limit, &self.console, kept, &self.folder().join("qemu.log"))
    }

    /// Boots with these disks; the kernel must say that everything passed.
    pub(super) fn passed(&self, disks: &[Disk], append: &str, limit: Limit) -> Done {
        let ended = self.run(disks, append, limit, None)?;
        self.expect_pass(&ended)
    }

    /// The kernel must have said that everything passed.
    pub(super) fn expect_pass(&self, ended: &Ended) -> Done {
        let complaint = ended.verdict.complaint(self.timeout(), &ended.said);
        complaint.map_or(Ok(()), |what| Err(self.failed(&what)))
    }

    /// The kernel on a cluster whose disks are broken, by a program that starts QEMU itself; gives its exit code.
    pub(super) fn break_disks(&self, words: &[&str]) -> Done<i32> {
        let programs = self.programs("faults")?;
        let mut faults = program(programs.join("examples/faults"), &[]);
        faults.arg("--kernel").arg(&self.machine.kernel).arg("--tool").arg(programs.join("hammer2"));
        faults.arg("--folder").arg(self.folder()).arg("--console").arg(&self.console);
        faults.args(["--accel", self.machine.accelerator.name()]);
        faults.args(["--memory", &self.options.memory_mib.to_string(), "--cpus", &self.options.cpus.to_string()]);
        faults.args(["--seed", &self.options.seed.to_string()]).args(words);
        faults.code()
    }
}

/// A file of its own for every run.
fn usual_console(folder: &Path) -> Done<PathBuf> {
    fs::create_dir_all(folder).about(folder.display())?;
    let now = program("date", &["+%Y%m%d-%H%M%S"]).read()?;
    Ok(folder.join(format!("boot-{}-{}.log", now.trim(), std::process::id())))
}
