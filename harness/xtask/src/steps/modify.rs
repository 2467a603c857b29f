//! golden-modify: golden volumes of other writers are changed, and then hold what they should.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use super::context::{Context, filesystem_of, node, volumes};
use super::notes::Notes;
use crate::qemu::image::unpack;
use crate::system::command::{Run, program};
use crate::system::words::say;
use crate::trouble::{About, Done, Trouble};

/// Where files are put on each filesystem.
const FOLDER: &str = "put here";
/// Where a file of the filesystem's own is moved to.
const MOVED: &str = "put here/moved";
/// The mode that another gets.
const MODE: &str = "0751";

/// All golden filesystems, one after the other.
pub(crate) fn golden_modify(step: &Context) -> Done {
    let golden = step.golden()?;
    step.needs.program("zstd", "zstd")?;
    let checker = step.independent_checker()?;
    step.build_all()?;
    let source = source(step)?;
    for name in names(&golden)? {
        let images = unpacked(step, &golden, &name)?;
        let changed = modified(step, &node(&images), &source, &checker);
        match changed {
            Ok(filesystems) => say!("ok      {name}, changed in {filesystems} PFSs"),
            Err(Trouble::Failed(why)) => {
                return Err(Trouble::failed(format!("{why}\n{name} isn't right any more").trim_start()));
            }
            Err(other) => return Err(other),
        }
        for image in images {
            fs::remove_file(&image).about(image.display())?;
        }
    }
    Ok(())
}

/// The names of all golden filesystems.
fn names(golden: &Path) -> Done<BTreeSet<String>> {
    let files = fs::read_dir(golden).about(golden.display())?.flatten().map(|entry| entry.file_name());
    let names = files.filter_map(|file| filesystem_of(&file.to_string_lossy()).map(str::to_owned));
    Ok(names.collect())
}

/// The volumes of a golden filesystem, unpacked into the step's folder.
pub(super) fn unpacked(step: &Context, golden: &Path, name: &str) -> Done<Vec<PathBuf>> {
    let mut images = Vec::new();
    for packed in volumes(golden, name)? {
        let image = step.path(&packed.file_stem().unwrap_or_default().to_string_lossy());
        unpack(&packed, &image).run()?;
        images.push(image);
    }
    Ok(images)
}

/// Files to put on a volume: text, noise, two names of one file, a link.
fn source(step: &Context) -> Done<PathBuf> {
    let source = step.path("source");
    let below = source.join("below");
    fs::create_dir_all(&below).about(below.display())?;
    let cli = step.checkout.root().join("harness/tool/src/cli");
    for entry in fs::read_dir(&cli).about(cli.display())?.flatten() {
        if entry.path().extension().is_some_and(|extension| extension == "rs") {
            fs::copy(entry.path(), below.join(entry.file_name())).about(cli.display())?;
        }
    }
    let noise = source.join("noise");
    let mut bytes = vec![0; 300_000];
    std::io::Read::read_exact(&mut fs::File::open("/dev/urandom").about("/dev/urandom")?, &mut bytes).about("noise")?;
    fs::write(&noise, bytes).about(noise.display())?;
    fs::hard_link(&noise, source.join("another name")).about(noise.display())?;
    std::os::unix::fs::symlink("noise", source.join("link")).about(noise.display())?;
    Ok(source)
}

/// Changes a filesystem and checks all of it; says in how many PFSs. What its maker left odd may stay so: the independent checker
/// isn't strict here.
fn modified(step: &Context, node: &str, source: &Path, checker: &[String]) -> Done<usize> {
    let list = step.tool(&["pfs-list", node]).read()?;
    let targets: Vec<String> =
        list.lines().filter_map(|line| line.strip_prefix("pfs ")).map(|label| format!("{node}@{label}")).collect();
    let mut noted = Vec::new();
    for target in &targets {
        noted.push(changed(step, target, source)?);
    }
    for _ in 0..2 {
        step.tool(&["bulkfree", node]).quietly()?;
    }
    for (target, noted) in targets.iter().zip(noted) {
        as_changed(step, target, source, &noted)?;
        let manifest = |target: &str| step.tool(&["manifest", target]).read();
        if manifest(target)? != manifest(&format!("{target}.copy"))? {
            return Err(Trouble::failed(format!("{target} and its snapshot differ")));
        }
    }
    let (first, words) = checker.split_first().ok_or_else(|| Trouble::unusable("no checker"))?;
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    for mut check in [step.tool(&["fsck"]), program(first, &words)] {
        let report = step.path("report");
        if check.arg(node).noted(&report)? != 0 {
            return Err(Trouble::failed(fs::read_to_string(&report).unwrap_or_default()));
        }
    }
    Ok(targets.len())
}

/// Adds files, takes one away, moves one, changes one, as far as there are any, and takes a snapshot. Says what must be there
/// afterwards.
fn changed(step: &Context, target: &str, source: &Path) -> Done<Notes> {
    let mut noted = Notes::of(&step.tool(&["manifest", target]).read()?);
    step.tool(&["put"]).arg(source).arg(format!("{target}:/{FOLDER}")).quietly()?;
    if let Some(victims) = noted.victims() {
        step.tool(&["rm", &format!("{target}:/{}", victims.removed)]).run()?;
        step.tool(&["mv", &format!("{target}:/{}", victims.moved), &format!("/{MOVED}")]).run()?;
        step.tool(&["chmod", MODE, &format!("{target}:/{}", victims.changed)]).run()?;
        noted = noted.after(&victims, MOVED, MODE);
    }
    let label = target.rsplit_once('@').map_or("", |(_, label)| label);
    step.tool(&["snapshot", target, &format!("{label}.copy")]).run()?;
    Ok(noted)
}

/// Everything is as it was noted.
fn as_changed(step: &Context, target: &str, source: &Path, noted: &Notes) -> Done {
    let out = step.path("out");
    let _ = fs::remove_dir_all(&out);
    step.tool(&["get", &format!("{target}:/{FOLDER}")]).arg(&out).quietly()?;
    let _ = fs::remove_file(out.join("moved"));
    program("diff", &["--recursive", "--no-dereference"]).arg(source).arg(&out).run()?;
    let there = Notes::of(&step.tool(&["manifest", target]).read()?).without(FOLDER, MOVED);
    let difference = noted.difference(&there);
    if difference.is_empty() { Ok(()) } else { Err(Trouble::failed(difference.join("\n"))) }
}
