//! The steps: what each covers, how much it computes, and what it is run beside.

use crate::steps::context::Context;
use crate::steps::{checks, fuzz, golden, habits, kernel, modify, mounts, newfs, pictures, simulate};
use crate::trouble::Done;

/// Steps of a row are run one after the other.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Row {
    /// Before all others: what says soonest that something is wrong. At its end everything is built.
    First,
    /// What is built with other options, in folders of its own: cargo has one build at a time in each.
    Elsewhere,
    /// What computes, on as many CPUs as there are, but never on all of them at all times.
    Tests,
    /// QEMU keeps one CPU busy; then the simulator takes what others leave.
    Kernel,
    /// What is mounted waits most of the time, for a disk, a deadline, a kernel.
    Mounts,
    /// What takes long, and is run only when it is named or everything is asked for: by itself.
    Long,
}

impl Row {
    /// How much others come first, as of nice(1): what only computes lets those go first who wait for a deadline.
    pub(crate) fn niceness(self) -> i32 {
        match self {
            Self::Tests => 5,
            Self::First | Self::Elsewhere | Self::Kernel | Self::Mounts | Self::Long => 0,
        }
    }
}

/// Which rows are run at the same time, stage after stage. The last of each is shown as it goes.
pub(crate) const STAGES: [&[Row]; 3] =
    [&[Row::Elsewhere, Row::First], &[Row::Kernel, Row::Mounts, Row::Tests], &[Row::Long]];

/// A step.
pub(crate) struct Step {
    /// What it is called by.
    pub(crate) name: &'static str,
    /// What passes when it passes.
    pub(crate) covers: &'static str,
    /// What it is run after and beside.
    pub(crate) row: Row,
    /// What it does.
    pub(crate) run: fn(&Context) -> Done,
}

const fn step(row: Row, name: &'static str, run: fn(&Context) -> Done, covers: &'static str) -> Step {
    Step { name, covers, row, run }
}

const fn long(name: &'static str, run: fn(&Context) -> Done, covers: &'static str) -> Step {
    step(Row::Long, name, run, covers)
}

/// All steps, in the order in which `--help` tells of them and in which those of a row are run.
pub(crate) const STEPS: [Step; 28] = [
    step(Row::First, "format", checks::format, "rustfmt finds nothing to change"),
    step(
        Row::First,
        "habits",
        habits::habits,
        "one version of Rust is named everywhere, what CONTRIBUTING.md names is there; cargo-deny and typos find nothing, \
         where they are installed",
    ),
    step(Row::First, "lint", checks::lint, "clippy finds nothing, in any crate and test"),
    step(Row::First, "docs", checks::docs, "rustdoc has no warning"),
    step(Row::Tests, "host-tests", checks::host_tests, "unit, integration and documentation tests"),
    step(
        Row::Elsewhere,
        "monitor-model",
        checks::monitor_model,
        "what threads share, a mount by its monitor and a value by its owners, in every order of events that the crate loom \
         finds",
    ),
    step(Row::Elsewhere, "no-std", checks::no_std, "the core links into a kernel without a standard library"),
    step(Row::First, "kernel-suite", kernel::kernel_suite, "the self-tests in the kernel, in QEMU (scripts/boot)"),
    step(
        Row::Kernel,
        "power-cut",
        kernel::power_cut,
        "the kernel writes, and nothing acknowledged is lost wherever the power goes (scripts/boot --power-cut)",
    ),
    step(
        Row::Kernel,
        "faults",
        kernel::faults,
        "a cluster in the kernel survives what is done to its disks (scripts/boot --faults): four scenarios, all with --full",
    ),
    step(
        Row::Tests,
        "newfs-check",
        newfs::newfs_check,
        "a checker that shares no code with the project finds no fault in new and in written volumes",
    ),
    step(
        Row::Tests,
        "golden-modify",
        modify::golden_modify,
        "golden volumes that are changed hold what they should, and the other checker accepts them",
    ),
    step(
        Row::Kernel,
        "kernel-walk",
        kernel::kernel_walk,
        "the kernel reads real volumes as the host does, digest by digest",
    ),
    step(
        Row::Tests,
        "golden-check",
        golden::golden_check,
        "the tool reads, checks and refuses all golden volumes as it should, and recovers from damaged ones",
    ),
    step(
        Row::Mounts,
        "mount",
        mounts::mount,
        "mounts by FUSE: tests of our own, the server killed 5 times (50 with --full; of a cluster 200), pjdfstest, fsx",
    ),
    step(
        Row::Mounts,
        "strangers",
        mounts::strangers,
        "nothing overwrites what others have made or use; others, and servers, can't do us any harm",
    ),
    step(
        Row::Mounts,
        "disk-faults",
        mounts::disk_faults,
        "a mounted cluster survives what is done to its disks, images, loop devices and NBD exports (scripts/faults): six \
         scenarios, all with --full",
    ),
    step(
        Row::Kernel,
        "sim",
        simulate::sim,
        "5,000 simulated clusters keep their promises, and those that lack a rule are found out",
    ),
    long(
        "instructions",
        checks::instructions,
        "what operations take, counted by valgrind, is no more than it was (scripts/bench instructions)",
    ),
    long("fuzz", fuzz::fuzz, "each fuzz target for two minutes (with cargo-fuzz; skipped without)"),
    long(
        "pictures",
        pictures::pictures,
        "pages and pictures as a browser sees them: a run of the simulator, one with a violation, a cluster, freemaps (with \
         chromium, which is installed)",
    ),
    long(
        "mount-programs",
        mounts::mount_programs,
        "fio, dbench, bonnie++, stress-ng, git, rsync, tar, sqlite and a build on a mount",
    ),
    long(
        "mount-faults",
        mounts::mount_faults,
        "pjdfstest and fsx on a mount of three masters whose disks fail and return",
    ),
    long(
        "publishable",
        checks::publishable,
        "every crate for others is built from its package, and the public API held against the version tagged last \
         (scripts/publishable)",
    ),
    long(
        "package",
        mounts::package,
        "the Debian package is made, and installed and used in a clean system in a folder (with mmdebstrap)",
    ),
    long(
        "takeover",
        mounts::takeover,
        "a machine that has a mount is killed, stopped, cut off from its disks, and another takes over, 10 times \
         (scripts/takeover)",
    ),
    long(
        "soak",
        mounts::soak,
        "a minute of work on five masters whose disks fail, kills and power cuts, and everything compared (scripts/soak)",
    ),
    long(
        "kmod",
        checks::kmod,
        "hammer2.ko in Debian's Linux 6.1, in QEMU: three disks, one of which is pulled out and put back; golden volumes \
         (scripts/boot --linux; skipped where apt has no rustc-web)",
    ),
];

/// The step of this name.
pub(crate) fn find(name: &str) -> Option<&'static Step> {
    STEPS.iter().find(|step| step.name == name)
}

/// The steps of a row, in their order.
pub(crate) fn of_row(row: Row) -> impl Iterator<Item = &'static Step> {
    STEPS.iter().filter(move |step| step.row == row)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;

    use super::{Row, STAGES, STEPS, find, of_row};
    use crate::checkout::Checkout;

    #[test]
    fn every_step_has_a_name_of_its_own_and_is_run_once() {
        let names: BTreeSet<&str> = STEPS.iter().map(|step| step.name).collect();
        assert_eq!(names.len(), STEPS.len());
        let rows = STAGES.iter().flat_map(|stage| stage.iter());
        let mut run: Vec<&str> = rows.flat_map(|row| of_row(*row)).map(|step| step.name).collect();
        run.sort_unstable();
        assert_eq!(run, names.into_iter().collect::<Vec<_>>());
        // What is long is by itself, and left out as a whole.
        assert!(STAGES.iter().all(|stage| !stage.contains(&Row::Long) || stage.len() == 1));
        assert!(find("no such step").is_none());
    }

    /// What docs/testing.md says of each step.
    #[test]
    fn every_step_is_told_of() {
        let path = Checkout::here().root().join("docs/testing.md");
        let text = fs::read_to_string(path).expect("a document");
        let column = |line: &str| line.rsplit('|').nth(1).map(str::trim).unwrap_or_default().to_owned();
        let rows: Vec<String> = text.lines().filter(|line| line.starts_with("| ")).map(column).collect();
        let tells = |name: &str| rows.iter().any(|row| row.split([',', ' ', ';', ':']).any(|word| word == name));
        // They are about the code itself, and need no row.
        let untold = STEPS.iter().map(|step| step.name).filter(|name| !["format", "lint", "docs"].contains(name));
        let untold: Vec<&str> = untold.filter(|name| !tells(name)).collect();
        assert_eq!(untold, [""; 0], "docs/testing.md: the table has no row of these steps");
    }
}
