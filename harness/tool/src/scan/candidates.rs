//! Where to look: on the named paths, or on all block devices.

use std::env;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use hammer2_host::device::ExportAddress;
use hammer2_host::unsynced;
use rustix::fs::FileType;

/// The variable that names the places to search instead of all block devices: files, folders of files, devices, exports,
/// separated by commas.
pub const SEARCHED: &str = "HAMMER2_DEVICES";

/// Block devices that hold nothing, or content that is found elsewhere, too.
const PASSED_OVER: [&str; 4] = ["ram", "zram", "fd", "nbd"];

/// The places to look at: the named ones, else those of the environment, else every block device. A folder stands for all files
/// in it.
pub fn candidates(named: &[PathBuf]) -> Vec<PathBuf> {
    let places = match named {
        [] => searched(),
        named => named.to_vec(),
    };
    places.into_iter().flat_map(files_of).collect()
}

fn searched() -> Vec<PathBuf> {
    let Some(list) = env::var_os(SEARCHED) else { return block_devices() };
    let names = list.as_bytes().split(|byte| *byte == b',').filter(|name| !name.is_empty());
    names.map(|name| PathBuf::from(OsStr::from_bytes(name))).collect()
}

fn files_of(place: PathBuf) -> Vec<PathBuf> {
    let is_export = place.to_str().is_some_and(|name| ExportAddress::parse(name).is_some());
    if is_export || !unsynced::is_directory(&place) {
        return vec![place];
    }
    let entries = fs::read_dir(&place).into_iter().flatten().flatten().map(|entry| entry.path());
    let mut files: Vec<_> = entries
        .filter(|path| matches!(unsynced::kind(path), Some(FileType::RegularFile | FileType::BlockDevice)))
        .collect();
    files.sort();
    files
}

/// All block devices that have a size and aren't part of another.
fn block_devices() -> Vec<PathBuf> {
    let folder = Path::new("/sys/class/block");
    let mut devices: Vec<_> = fs::read_dir(folder)
        .into_iter()
        .flatten()
        .flatten()
        .filter(|entry| {
            let name = entry.file_name();
            let name = name.to_string_lossy();
            let number = name.trim_start_matches(|letter: char| letter.is_ascii_lowercase());
            let kind = &name[..name.len() - number.len()];
            let size = fs::read_to_string(entry.path().join("size")).unwrap_or_default();
            let holders = fs::read_dir(entry.path().join("holders")).into_iter().flatten().count();
            !PASSED_OVER.contains(&kind) && !matches!(size.trim(), "" | "0") && holders == 0
        })
        .map(|entry| Path::new("/dev").join(entry.file_name()))
        .filter(|path| unsynced::kind(path) == Some(FileType::BlockDevice))
        .collect();
    devices.sort();
    devices
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;

    #[test]
    fn a_folder_is_all_files_in_it() {
        let folder = TempDir::new().unwrap();
        let path = |name: &str| folder.path().join(name);
        ["b", "a"].iter().for_each(|name| fs::write(path(name), "").unwrap());
        fs::create_dir(path("below")).unwrap();
        let export = PathBuf::from("nbd://localhost/e");
        let named = [folder.path().to_owned(), export.clone(), path("missing")];
        assert_eq!(candidates(&named), [path("a"), path("b"), export, path("missing")]);
    }
}
