//! A workload in the kernel, power cuts made of its disk's log, and the kernel again on some of what they leave.

use std::fs;
use std::path::PathBuf;

use super::machine_room::MachineRoom;
use crate::qemu::disk::{Disk, Use};
use crate::qemu::verdict::Verdict;
use crate::system::command::{Run, program};
use crate::system::group::Limit;
use crate::system::words::say;
use crate::trouble::{About, Done, Trouble};

/// How many epochs the workload has.
const EPOCHS: u64 = 40;
/// On how many of the cut disks the kernel is booted again.
const KEPT: u64 = 3;

pub(super) fn run(room: &MachineRoom, cuts: u64, kill: Option<u64>) -> Done {
    let in_folder = |name: &str| room.folder().join(name);
    let (disk, before, log) = (in_folder("disk.img"), in_folder("before.img"), in_folder("disk.log"));
    let programs = room.programs("power_cut")?;
    let made = program("truncate", &["-s", "256M"]).arg(&disk).run().is_ok()
        && program(programs.join("hammer2"), &["newfs"]).arg(&disk).quietly().is_ok();
    if !made {
        return Err(Trouble::unusable(format!("can't make a volume in {}", room.folder().display())));
    }
    program("cp", &["--sparse=always"]).arg(&disk).arg(&before).run()?;
    fs::write(&log, "").about(log.display())?;
    let usual = Limit::seconds(room.timeout());
    let durable = in_folder("durable");
    let append = format!("mode=power-cut seed={} epochs={EPOCHS}", room.seed());
    let disks = [Disk::Logged { disk, log: log.clone() }];
    let ended = room.run(&disks, &append, kill.map_or(usual, Limit::kill), Some(&durable))?;
    // Killed is what it shall be, and the end of the workload may come before.
    if kill.is_none() || ended.verdict != Verdict::Late {
        room.expect_pass(&ended)?;
    }
    let acknowledged = String::from_utf8_lossy(&fs::read(&durable).about(durable.display())?).into_owned();
    let acknowledged = acknowledged.lines().filter(|line| line.starts_with("durable")).count();
    say!("boot: {acknowledged} epochs were acknowledged on the console");
    let mut cut = program(programs.join("examples/power_cut"), &[]);
    cut.arg(log).arg(before).args([room.seed(), cuts, KEPT].map(|number| number.to_string())).arg(room.folder());
    let told = match cut.read() {
        Ok(told) => told,
        Err(Trouble::Failed(_)) => {
            return Err(room.failed(&format!("a power cut has lost something (--seed {})", room.seed())));
        }
        Err(other) => return Err(other),
    };
    for line in told.lines() {
        let Some(kept) = Kept::of(line) else {
            say!("boot: {line}");
            continue;
        };
        let append = format!("mode=power-check seed={} acknowledged={}", kept.seed, kept.acknowledged);
        room.passed(&[Disk::File(kept.file, Use::Snapshot)], &append, usual)?;
    }
    Ok(())
}

/// A disk as a power cut would have left it.
#[derive(Debug, PartialEq)]
struct Kept {
    file: PathBuf,
    seed: String,
    acknowledged: String,
}

impl Kept {
    /// Of a line `kept FILE SEED ACKNOWLEDGED`.
    fn of(line: &str) -> Option<Self> {
        let (rest, acknowledged) = line.strip_prefix("kept ")?.rsplit_once(' ')?;
        let (file, seed) = rest.rsplit_once(' ')?;
        Some(Self { file: file.into(), seed: seed.to_owned(), acknowledged: acknowledged.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::Kept;

    #[test]
    fn disks_that_are_kept_are_told_from_words() {
        let kept = Kept { file: "/tmp/a b/cut.img".into(), seed: "7".to_owned(), acknowledged: "12".to_owned() };
        assert_eq!(Kept::of("kept /tmp/a b/cut.img 7 12"), Some(kept));
        assert_eq!(Kept::of("500 cuts, nothing lost"), None);
        assert_eq!(Kept::of("kept"), None);
    }
}
