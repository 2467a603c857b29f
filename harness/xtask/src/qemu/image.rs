//! Files that are to be disks.

use std::fs::{self, File};
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};

use crate::system::command::{Run, program};
use crate::system::need::Needs;
use crate::trouble::{About, Done, Trouble};

/// Looks whether there is a file at all, so that nobody waits for what is built before that is said.
///
/// # Errors
///
/// There is none, or it can't be read.
pub(crate) fn check(path: &str) -> Done {
    let refuse = |why: &str| Err(Trouble::unusable(format!("{path}: {why}")));
    let Ok(kind) = fs::metadata(path) else { return refuse("no such file") };
    if kind.is_dir() {
        return refuse("is a directory, not an image");
    }
    if File::open(path).is_err() { refuse("can't be read") } else { Ok(()) }
}

/// A file that QEMU can attach, of a path that a user has given. What is compressed is unpacked to `unpacked`.
///
/// # Errors
///
/// There is no file, or nothing in it, or it can't be read or unpacked.
pub(crate) fn attachable(path: &str, unpacked: &Path, needs: &Needs) -> Done<PathBuf> {
    check(path)?;
    let refuse = |why: &str| Err(Trouble::unusable(format!("{path}: {why}")));
    let mut file = fs::canonicalize(path).about(path)?;
    if path.ends_with(".zst") {
        needs.program("zstd", "zstd")?;
        let log = unpacked.with_extension("log");
        if unpack(&file, unpacked).noted(&log)? != 0 {
            let said = fs::read_to_string(&log).unwrap_or_default();
            return refuse(&format!("can't be decompressed ({})", said.lines().next().unwrap_or_default()));
        }
        file = unpacked.to_path_buf();
    }
    let kind = fs::metadata(&file).about(path)?;
    if !kind.file_type().is_block_device() && kind.len() == 0 {
        return refuse("is empty");
    }
    Ok(file)
}

/// What unpacks a file, with holes where zeros are.
pub(crate) fn unpack(file: &Path, unpacked: &Path) -> std::process::Command {
    let mut zstd = program("zstd", &["--decompress", "--quiet", "--sparse", "-o"]);
    zstd.arg(unpacked).arg("--").arg(file);
    zstd
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::attachable;
    use crate::checkout::Checkout;
    use crate::system::need::Needs;
    use crate::trouble::Trouble;

    #[test]
    fn what_is_no_image_is_refused_by_its_name() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = |name: &str| folder.path().join(name).to_str().expect("a path").to_owned();
        fs::write(path("empty"), "").expect("a file");
        fs::write(path("image,1"), "content").expect("a file");
        fs::write(path("wrong.zst"), "no archive").expect("a file");
        let needs = Needs::new(&Checkout::here(), "boot");
        let taken = |name: &str| attachable(&path(name), &folder.path().join("unpacked.img"), &needs);
        for (name, why) in [("none", "no such file"), ("", "is a directory, not an image"), ("empty", "is empty")] {
            assert_eq!(taken(name), Err(Trouble::unusable(format!("{}: {why}", path(name)))));
        }
        let Err(Trouble::Unusable(words)) = taken("wrong.zst") else { panic!("it was taken") };
        assert!(words.starts_with(&format!("{}: can't be decompressed (", path("wrong.zst"))), "{words}");
        assert_eq!(taken("image,1").expect("an image"), fs::canonicalize(path("image,1")).expect("a path"));
    }
}
