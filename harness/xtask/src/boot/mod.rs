//! `scripts/boot`: builds the test kernel and boots it in QEMU.

mod machine_room;
mod options;
mod power_cut;

use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Command;

use machine_room::MachineRoom;
use options::{Mode, Options, Order};

use crate::checkout::Checkout;
use crate::qemu::disk::{Disk, Use};
use crate::qemu::image::{attachable, check};
use crate::system::command::{Run, program};
use crate::system::group::Limit;
use crate::system::words::{say, tell};
use crate::trouble::{Done, Trouble};

/// The option by which Linux is booted instead, with a script of its own.
const LINUX: &str = "--linux";

/// Does what the words say.
///
/// # Errors
///
/// It can't be run, or something hasn't passed.
pub(crate) fn main(checkout: &Checkout, words: lexopt::Parser) -> Done {
    let mut all = words.clone();
    if all.raw_args().is_ok_and(|mut all| all.any(|word| word == LINUX)) {
        let mut words = words;
        let words = words.raw_args().map(Iterator::collect::<Vec<_>>).unwrap_or_default();
        let error = Command::new(checkout.root().join("scripts/boot-linux")).args(words).exec();
        return Err(Trouble::unusable(format!("scripts/boot-linux: {error}")));
    }
    match options::parse(words)? {
        Order::Help => say!("{}", include_str!("usage.txt").trim_end()),
        Order::Boot(options) => boot(checkout, &options)?,
    }
    Ok(())
}

fn boot(checkout: &Checkout, options: &Options) -> Done {
    if let Mode::Walk(nodes) = &options.mode {
        nodes.iter().flat_map(|node| images(node)).try_for_each(check)?;
    }
    let room = MachineRoom::new(checkout, options)?;
    match &options.mode {
        Mode::Suite { disks, size } => suite(&room, *disks, size),
        Mode::Walk(nodes) => walk(&room, nodes),
        Mode::PowerCut { cuts, kill } => power_cut::run(&room, *cuts, *kill),
        Mode::Faults { names, console_rate } => {
            let rate = console_rate.map(|rate| rate.to_string());
            let rate = rate.iter().flat_map(|rate| ["--console-rate", rate]);
            let words: Vec<&str> = rate.chain(["--"]).chain(names.iter().map(String::as_str)).collect();
            match room.break_disks(&words)? {
                0 => Ok(()),
                2 => Err(Trouble::unusable("")),
                _ => Err(room.failed("not every fault was survived")),
            }
        }
    }
}

/// A cluster that loses a disk, then the self-tests on scratch disks.
fn suite(room: &MachineRoom, disks: u64, size: &str) -> Done {
    if room.break_disks(&["--tell"])? != 0 {
        return Err(room.failed("the cluster hasn't survived the loss of a disk"));
    }
    let cached = is_cached(room)?;
    let mut attached = Vec::new();
    for number in 0..disks {
        let file = room.folder().join(format!("disk{number}.img"));
        if program("truncate", &["-s", size]).arg(&file).run().is_err() {
            let folder = room.folder().display();
            return Err(Trouble::unusable(format!("can't make a disk of {size} in {folder}")));
        }
        attached.push(Disk::File(file, Use::Scratch { cached }));
    }
    let limit = Limit::seconds(room.timeout());
    room.passed(&attached, "mode=suite", limit)?;
    let console = std::fs::read(room.console()).unwrap_or_default();
    if says_that_all_passed(&String::from_utf8_lossy(&console)) {
        Ok(())
    } else {
        Err(room.failed("the kernel has passed without saying so"))
    }
}

/// The last line of a console says of at least one case that it passed, and of none that it failed.
fn says_that_all_passed(console: &str) -> bool {
    let last = console.lines().next_back().unwrap_or_default();
    let Some((passed, rest)) = last.split_once(" passed, ") else { return false };
    passed.parse::<u64>().is_ok_and(|passed| passed > 0) && rest.starts_with("0 failed")
}

/// Given volumes, unharmed.
fn walk(room: &MachineRoom, nodes: &[String]) -> Done {
    let (mut disks, mut numbers) = (Vec::new(), Vec::new());
    for (number, node) in nodes.iter().enumerate() {
        let images = images(node);
        if images.is_empty() {
            return Err(Trouble::unusable(format!("a node without images: `{node}`")));
        }
        for path in images {
            let unpacked = room.folder().join(format!("volume{}.img", disks.len()));
            disks.push(Disk::File(attachable(path, &unpacked, room.needs())?, Use::Snapshot));
            numbers.push(number.to_string());
        }
    }
    let append = format!("mode=walk nodes={}", numbers.join(","));
    room.passed(&disks, &append, Limit::seconds(room.timeout()))
}

/// The volumes of a filesystem: paths between colons.
fn images(node: &str) -> Vec<&str> {
    // What ends with a colon ends with the path before it.
    let node = node.strip_suffix(':').unwrap_or(node);
    if node.is_empty() { Vec::new() } else { node.split(':').collect() }
}

/// Whether new disks have to be written through the host's cache: not every filesystem can be written past it.
fn is_cached(room: &MachineRoom) -> Done<bool> {
    let file: PathBuf = room.folder().join("direct");
    let mut probe = program("dd", &["if=/dev/zero", "bs=4096", "count=1", "oflag=direct"]);
    probe.arg(format!("of={}", file.display()));
    let cached = probe.noted(&room.folder().join("direct.log"))? != 0;
    if cached {
        let folder = room.folder().display();
        tell!("boot: files in {folder} can't be written past the host's cache (O_DIRECT); the disks are cached");
    }
    let _ = std::fs::remove_file(file);
    Ok(cached)
}

#[cfg(test)]
mod tests {
    use super::{images, says_that_all_passed};

    #[test]
    fn a_console_without_a_count_says_nothing() {
        assert!(says_that_all_passed("ok      a\n12 passed, 0 failed\n"));
        assert!(says_that_all_passed("12 passed, 0 failed\r\n"));
        for console in
            ["", "0 passed, 0 failed\n", "1 passed, 1 failed\n", "1 passed, 0 failed\nmore\n", " passed, 0 failed"]
        {
            assert!(!says_that_all_passed(console), "{console}");
        }
    }

    #[test]
    fn volumes_are_between_colons() {
        assert_eq!(images("a:b"), ["a", "b"]);
        assert_eq!(images("a:"), ["a"]);
        assert_eq!(images(":a"), ["", "a"]);
        assert_eq!(images(""), [""; 0]);
    }
}
