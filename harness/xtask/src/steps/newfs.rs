//! newfs-check: what only we have written satisfies a checker that shares no code with the project.

use std::fs;

use super::context::{Context, node};
use crate::system::command::{Run, program};
use crate::system::words::say;
use crate::trouble::{About, Done, Trouble};

/// New filesystems: the sizes of their volumes, and options.
const FORMATS: [(&str, &str); 6] = [
    ("1G", ""),
    ("1G", "-V 1"),
    ("64M", "-L NONE"),
    ("9G", "-L ROOT -L HOME -L BUILD"),
    ("2G 1G 3G", ""),
    ("1G 9G", "-L HOME"),
];

/// New volumes, a populated one, and one that is written and emptied.
pub(crate) fn newfs_check(step: &Context) -> Done {
    let checker = step.independent_checker()?;
    step.build_all()?;
    for (sizes, options) in FORMATS {
        formatted(step, &checker, sizes, options)?;
    }
    let sample = step.path("sample.img").display().to_string();
    program(step.programs().join("examples/sample_volume"), &[&sample]).run()?;
    accepted(step, &checker, &sample, "a populated volume of the image builder")?;
    let written = step.path("written.img").display().to_string();
    program("truncate", &["--size", "1G", &written]).run()?;
    step.tool(&["newfs", &written]).quietly()?;
    step.tool(&["put"]).arg(step.checkout.root().join("core")).arg(format!("{written}:/core")).run()?;
    step.tool(&["snapshot", &written, "BEFORE"]).run()?;
    step.tool(&["rm", "-r", &format!("{written}:/core/src/fs")]).run()?;
    accepted(step, &checker, &written, "a volume written, with a snapshot and files removed")?;
    step.tool(&["bulkfree", &written]).quietly()?;
    accepted(step, &checker, &written, "the same after bulkfree")
}

/// Makes a filesystem on images of these sizes and has it checked.
fn formatted(step: &Context, checker: &[String], sizes: &str, options: &str) -> Done {
    let mut images = Vec::new();
    for (number, size) in sizes.split(' ').enumerate() {
        let image = step.path(&format!("volume{number}.img"));
        let _ = fs::remove_file(&image);
        program("truncate", &["--size", size]).arg(&image).run()?;
        images.push(image);
    }
    step.tool(&["newfs"]).args(options.split_whitespace()).args(&images).quietly()?;
    let what = format!("newfs{}{options}, volumes of {sizes}", if options.is_empty() { "" } else { " " });
    accepted(step, checker, &node(&images), &what)
}

/// Has volumes checked, by the independent checker and by ours.
fn accepted(step: &Context, checker: &[String], node: &str, what: &str) -> Done {
    let (first, words) = checker.split_first().ok_or_else(|| Trouble::unusable("no checker"))?;
    let mut check = program(first, &[]);
    let report = step.path("report");
    if check.args(words).args([node, "--strict"]).noted(&report)? != 0 {
        return Err(Trouble::failed(fs::read_to_string(&report).about(report.display())?.trim_end()));
    }
    step.tool(&["fsck", node]).quietly()?;
    say!("ok      {what}");
    Ok(())
}
