//! Our lines of fstab(5).

use std::ffi::OsString;
use std::path::PathBuf;

use hammer2_host::mount_table::unescaped;

/// Where the system keeps its file systems.
pub(super) const FSTAB: &str = "/etc/fstab";

/// Types of our mounts there.
const TYPES: [&[u8]; 2] = [b"hammer2", b"fuse.hammer2"];

/// A line that is ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Line {
    /// What is mounted.
    pub(super) spec: OsString,
    pub(super) directory: PathBuf,
    pub(super) options: Vec<String>,
}

impl Line {
    /// All that are ours, in order.
    pub(super) fn all(content: &[u8]) -> Vec<Self> {
        content.split(|byte| *byte == b'\n').filter_map(Self::read).collect()
    }

    /// True when it has an option.
    pub(super) fn has(&self, option: &str) -> bool {
        self.options.iter().any(|other| other == option)
    }

    fn read(line: &[u8]) -> Option<Self> {
        let mut fields = line.split(|byte| b" \t".contains(byte)).filter(|field| !field.is_empty());
        let (spec, place, kind) = (fields.next()?, fields.next()?, fields.next()?);
        let options = String::from_utf8_lossy(fields.next().unwrap_or_default());
        let is_ours = !spec.starts_with(b"#") && TYPES.contains(&kind) && place.starts_with(b"/");
        is_ours.then(|| Self {
            spec: unescaped(spec).into_os_string(),
            directory: unescaped(place),
            options: options.split(',').filter(|option| !option.is_empty()).map(Into::into).collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_lines_are_told_from_others() {
        let lines = Line::all(
            b"# a comment
@A\\040B\t/a\\040b\tfuse.hammer2
/dev/sda1 / ext4 defaults 0 1
#@HOME /home hammer2 defaults
a.img+b.img@W   /w hammer2 ro,noauto 0 0
@HOME none hammer2
@HOME /home
",
        );
        let shown: Vec<_> = lines
            .iter()
            .map(|line| format!("{} {} {}", line.spec.display(), line.directory.display(), line.options.join(",")))
            .collect();
        assert_eq!(shown, ["@A B /a b ", "a.img+b.img@W /w ro,noauto"]);
        assert_eq!((lines[0].has("noauto"), lines[1].has("noauto")), (false, true));
    }
}
