//! The crates of the project, as `docs/architecture.md` draws them: which uses which, and which packages they must not depend on.

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

use super::{dependencies, refuse, root, sources};

/// The crates that each crate uses: an arrow that isn't here is refused. Dependencies of tests aren't looked at.
const ROOMS: [(&str, &[&str]); 15] = [
    ("kmod-shim/shared", &[]),
    ("core", &["hammer2-shared"]),
    ("harness/sim/unsound-core", &["hammer2-shared"]),
    ("kmod-shim", &["hammer2-core"]),
    ("kmod-shim/linux", &["hammer2-core", "hammer2-kmod-shim"]),
    ("qemu", &["hammer2-core", "hammer2-kmod-shim"]),
    ("harness/host", &["hammer2-core", "hammer2-kmod-shim"]),
    ("harness/model", &[]),
    ("harness/tool", &["hammer2-core", "hammer2-host", "hammer2-kmod-shim"]),
    // The simulator uses hammer2-core-unsound by this name.
    ("harness/sim", &["hammer2-core", "hammer2-model"]),
    ("harness/torture", &["hammer2-core", "hammer2-model"]),
    ("harness/mount-bench", &[]),
    ("harness/xtask", &[]),
    ("harness/bench", &["hammer2-core", "hammer2-host", "hammer2-kmod-shim"]),
    ("harness/fuzz", &["hammer2-core", "hammer2-host", "hammer2-kmod-shim"]),
];

#[test]
fn every_crate_uses_only_those_below_it() {
    let manifests = sources("", |path| path.ends_with("Cargo.toml"));
    let packages = manifests.iter().filter(|manifest| manifest.text.contains("[package]\n"));
    let folders: Vec<String> = packages.map(|manifest| manifest.name().replace("/Cargo.toml", "")).collect();
    let mut complaints = Vec::new();
    for folder in folders.iter().filter(|folder| !ROOMS.iter().any(|(room, _)| room == folder)) {
        complaints.push(format!("{folder}: which room is it? (docs/architecture.md, and the table here)"));
    }
    for (room, below) in ROOMS {
        let dependencies = dependencies(&format!("{room}/Cargo.toml"));
        let names = dependencies.lines().filter(|line| line.starts_with("hammer2-"));
        let used: BTreeSet<&str> = names.filter_map(|line| line.split(['.', ' ']).next()).collect();
        if used != BTreeSet::from_iter(below.iter().copied()) {
            complaints.push(format!("{room}: uses {used:?}, and is to use {below:?}"));
        }
    }
    refuse(&complaints);
}

/// Packages for userspace; for a workspace of its own, its lock file lists the dependencies.
const WITHOUT_DRIVERS: [&str; 4] = ["hammer2-host", "hammer2-model", "hammer2-tool", "hammer2-torture"];
const LOCKS_WITHOUT_DRIVERS: [&str; 3] = ["harness/bench", "harness/fuzz", "kmod-shim/linux"];

#[test]
fn drivers_are_for_kernels_that_have_none() {
    let driver = "virtio-drivers v";
    let tree = |package: &str| {
        let mut cargo = Command::new(env!("CARGO"));
        cargo.args(["tree", "--offline", "--locked", "--edges", "normal", "--prefix", "none", "--package", package]);
        let output = cargo.current_dir(root()).output().expect("cargo");
        assert!(output.status.success(), "{package}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("names")
    };
    assert!(tree("hammer2-qemu").contains(driver));
    let mut complaints = Vec::new();
    for package in WITHOUT_DRIVERS.into_iter().filter(|package| tree(package).contains(driver)) {
        complaints
            .push(format!("{package}: has virtio-drivers, the feature `virtio` of hammer2-kmod-shim is for kernels"));
    }
    for folder in LOCKS_WITHOUT_DRIVERS {
        let lock = fs::read_to_string(root().join(folder).join("Cargo.lock")).expect("a lock");
        assert!(lock.contains("name = \"hammer2-kmod-shim\""), "{folder}");
        if lock.contains("name = \"virtio-drivers\"") {
            complaints.push(format!("{folder}: has virtio-drivers, as above"));
        }
    }
    refuse(&complaints);
}
