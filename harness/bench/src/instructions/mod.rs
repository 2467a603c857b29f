//! The instructions of operations, counted by valgrind: the same in every run of a build, whatever else the machine does.
//!
//! Each row is counted in a process of its own, this program under `callgrind`, which counts only within [`counted`]. Disks are
//! in memory, requests are done at once, and time stands still. The disks' copies aren't counted, as hardware does these by
//! itself.

mod work;

use std::error::Error;
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::thread;

use clap::ValueEnum;

pub use work::Counted;

use crate::report::Amount;

/// The line of callgrind's output that has the sum.
const SUM: &str = "summary: ";
/// The beginning of output lines that name the called function.
const CALLED: &str = "cfn=";
/// The part of that name for the work of a disk in memory.
const DEVICE: &str = "RamDevice::execute";

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// A row of the table.
struct Row {
    what: Counted,
    nodes: usize,
    name: &'static str,
    /// A number that was counted once, and a tenth more.
    limit: u64,
}

const ROWS: [Row; 17] = {
    use Counted::{
        Create, CreateSmall, Fsync, LookupCold, LookupWarm, RandomWriteText, ReadNoise, ReadText, Unlink, WriteNoise,
    };
    const fn row(what: Counted, nodes: usize, name: &'static str, limit: u64) -> Row {
        Row { what, nodes, name, limit }
    }
    [
        row(Create, 1, "create_1", 17_600),
        row(Create, 3, "create_3", 46_400),
        row(CreateSmall, 1, "create_1k_1", 41_700),
        row(CreateSmall, 3, "create_1k_3", 92_900),
        row(Unlink, 1, "unlink_1", 23_400),
        row(Unlink, 3, "unlink_3", 60_700),
        row(LookupWarm, 1, "lookup_warm_1", 4_800),
        row(LookupCold, 1, "lookup_cold_1", 11_000),
        row(WriteNoise, 1, "write_noise_1", 151_100),
        row(WriteNoise, 3, "write_noise_3", 174_500),
        row(ReadNoise, 1, "read_noise_1", 148_400),
        row(ReadNoise, 3, "read_noise_3", 155_100),
        row(ReadText, 1, "read_text_1", 262_000),
        row(ReadText, 3, "read_text_3", 278_900),
        row(RandomWriteText, 1, "random_write_text_1", 582_100),
        row(Fsync, 1, "fsync_1", 180_300),
        row(Fsync, 3, "fsync_3", 590_500),
    ]
};

/// Counts these rows, or all when none are named, as many at a time as there are processors.
pub fn count(wanted: &[Counted]) -> Result<Vec<Amount>> {
    let rows: Vec<&Row> = ROWS.iter().filter(|row| wanted.is_empty() || wanted.contains(&row.what)).collect();
    let left = Mutex::new(rows.iter());
    let counted = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                while let Some(row) = next(&left) {
                    eprintln!("counting: {}", row.name);
                    let instructions = row.under_valgrind().map_err(|error| error.to_string());
                    hold(&counted).push((row.name, instructions));
                }
            });
        }
    });
    let mut counted = counted.into_inner().map_err(|_| "counting was interrupted")?;
    rows.iter()
        .map(|Row { name, limit, what, .. }| {
            let index = counted.iter().position(|(other, _)| other == name).ok_or("a row wasn't counted")?;
            let amount = counted.swap_remove(index).1? / what.operations() as u64;
            Ok(Amount { name, unit: "instructions", amount, limit: *limit, memory: None })
        })
        .collect()
}

fn next<'r>(left: &Mutex<impl Iterator<Item = &'r &'r Row>>) -> Option<&'r Row> {
    hold(left).next().copied()
}

fn hold<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

impl Row {
    /// Runs this program again under valgrind, which counts only within [`counted`].
    fn under_valgrind(&self) -> Result<u64> {
        let sums = Sums(std::env::temp_dir().join(format!("hammer2-bench-{}-{}", std::process::id(), self.name)));
        let shown = self.what.to_possible_value().ok_or("it has a name")?;
        let output = Command::new("valgrind")
            .args(["--tool=callgrind", "--toggle-collect=*instructions::counted*", "--compress-strings=no"])
            .arg(format!("--callgrind-out-file={}", sums.0.display()))
            .arg(std::env::current_exe()?)
            .args(["instructions", "--here", &self.nodes.to_string(), shown.get_name()])
            .stdin(Stdio::null())
            .output()
            .map_err(|error| format!("valgrind can't be run: {error}; install it (apt-get install valgrind)"))?;
        if !output.status.success() {
            return Err(format!("under valgrind: {}", String::from_utf8_lossy(&output.stderr)).into());
        }
        own_of(&fs::read_to_string(&sums.0)?)
    }
}

/// The sum in callgrind's output, without the work of devices.
fn own_of(written: &str) -> Result<u64> {
    let sum = written.lines().find_map(|line| line.strip_prefix(SUM)).ok_or("callgrind has written no sum")?;
    let mut own: u64 = sum.trim().parse()?;
    let mut lines = written.lines();
    while let Some(line) = lines.next() {
        if line.starts_with(CALLED) && line.contains(DEVICE) {
            // The number of calls is followed by a place and the total cost of the calls.
            let cost = lines.by_ref().find(|line| !line.contains('=')).and_then(|line| line.split(' ').nth(1));
            own -= cost.ok_or("callgrind hasn't written what a call took")?.parse::<u64>()?;
        }
    }
    Ok(own)
}

/// Callgrind's output, removed at the end.
struct Sums(PathBuf);

impl Drop for Sums {
    fn drop(&mut self) {
        // It is missing if valgrind couldn't be run.
        let _ = fs::remove_file(&self.0);
    }
}

/// Only the work in here is counted.
#[inline(never)]
fn counted(work: &mut dyn FnMut()) {
    work();
}
