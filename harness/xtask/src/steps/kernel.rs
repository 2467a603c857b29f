//! What runs in the test kernel: its suite, power cuts, broken disks, walks through golden volumes.

use std::fs;
use std::path::Path;

use super::context::{Context, node};
use super::modify::unpacked;
use crate::system::command::Run;
use crate::system::words::say;
use crate::trouble::{About, Done, Trouble};

/// The suite.
pub(crate) fn kernel_suite(step: &Context) -> Done {
    step.build_all()?;
    step.boot(&[]).run()
}

/// Power cuts, once more with QEMU killed in the middle.
pub(crate) fn power_cut(step: &Context) -> Done {
    step.build_all()?;
    step.boot(&["--power-cut", "500"]).run()?;
    step.boot(&["--power-cut", "500", "--seed", "2", "--kill", "1"]).run()
}

/// A cluster whose disks are broken.
pub(crate) fn faults(step: &Context) -> Done {
    step.build_all()?;
    if !step.is_full() {
        return step.boot(&["--faults", "write-error", "pull-return", "bit-flip", "two-at-once"]).run();
    }
    step.boot(&["--faults"]).run()?;
    let small = ["--faults", "--memory", "64", "--cpus", "2", "--console-rate", "960"];
    step.boot(&small).args(["write-error", "hang", "pull-return"]).run()
}

/// Golden volumes, as the host reads them.
pub(crate) fn kernel_walk(step: &Context) -> Done {
    let golden = step.golden()?;
    step.needs.program("zstd", "zstd")?;
    step.build_all()?;
    walked(step, &golden, "p01-basic-lz4", &[])?;
    walked(step, &golden, "p05-bigdir", &["--memory", "64"])?;
    walked(step, &golden, "p25-multivol-populated", &[])
}

/// Boots with golden volumes and compares the digest of every PFS with the host's.
pub(super) fn walked(step: &Context, golden: &Path, name: &str, options: &[&str]) -> Done {
    let images = unpacked(step, golden, name)?;
    let node = node(&images);
    let file = step.path("console");
    let code = step.boot(options).arg(&node).noted(&file)?;
    let console = String::from_utf8_lossy(&fs::read(&file).about(file.display())?).into_owned();
    say!("{}", console.trim_end());
    if code != 0 {
        return Err(Trouble::failed(format!("{name}: the kernel can't read it")));
    }
    let filesystems: Vec<Walked> = console.lines().filter_map(Walked::of).collect();
    if filesystems.is_empty() {
        return Err(Trouble::failed(format!("{name}: the kernel tells of no PFS")));
    }
    for Walked { label, entries, sha256 } in filesystems {
        let digest = step.tool(&["manifest", "--digest", &format!("{node}@{label}")]).read()?;
        if digest.trim() != sha256 {
            return Err(Trouble::failed(format!("{name}@{label}: the host's digest of its entries is another")));
        }
        say!("ok      {name}@{label}, {entries} entries");
    }
    images.iter().for_each(|image| drop(fs::remove_file(image)));
    Ok(())
}

/// A PFS that the kernel has read whole.
#[derive(Debug, PartialEq)]
struct Walked<'a> {
    label: &'a str,
    entries: &'a str,
    sha256: &'a str,
}

impl<'a> Walked<'a> {
    /// Of a line `PFS LABEL entries N sha256 HEX`.
    fn of(line: &'a str) -> Option<Self> {
        let rest = line.strip_prefix("PFS ")?;
        let (rest, sha256) = rest.rsplit_once(" sha256 ").unwrap_or((rest, ""));
        let (label, entries) = rest.rsplit_once(" entries ").unwrap_or((rest, ""));
        Some(Self { label, entries, sha256: sha256.trim() })
    }
}

#[cfg(test)]
mod tests {
    use super::Walked;

    #[test]
    fn lines_of_the_kernel_are_understood() {
        let walked = Walked { label: "ROOT", entries: "12", sha256: "ab12" };
        assert_eq!(Walked::of("PFS ROOT entries 12 sha256 ab12\r"), Some(walked));
        // What couldn't be read has no digest, which is nobody's.
        assert_eq!(
            Walked::of("PFS ROOT error: lost"),
            Some(Walked { label: "ROOT error: lost", entries: "", sha256: "" })
        );
        assert_eq!(Walked::of("mounted"), None);
    }
}
