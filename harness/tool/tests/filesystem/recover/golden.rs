//! Volumes made by others.

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use super::known::Known;
use super::outcome;
use super::volumes::Volumes;

/// Small volumes: one with snapshots, one of three volumes, one with several headers, one with all methods.
const NAMES: [(&str, &[&str]); 5] = [
    ("p27-small-64m", &["DATA"]),
    ("p20-snapshots", &["DATA", "SECOND"]),
    ("p25-multivol-populated", &["DATA"]),
    ("p24-mixed-methods", &["DATA"]),
    ("cbase", &["DATA"]),
];

#[derive(Debug)]
pub(crate) struct Golden {
    name: &'static str,
    labels: &'static [&'static str],
}

fn folder() -> PathBuf {
    env::var_os("H2_GOLDEN").expect("H2_GOLDEN names the folder of the golden volumes").into()
}

pub(crate) fn all() -> impl Iterator<Item = Golden> {
    NAMES.into_iter().map(|(name, labels)| Golden { name, labels })
}

impl Golden {
    /// How often it is damaged in a short run, as scanning large ones takes time.
    pub(crate) fn few_seeds(&self) -> u64 {
        if self.name.contains("small") { 3 } else { 1 }
    }

    pub(crate) fn open(&self) -> (Volumes, Known) {
        let folder_of_images = TempDir::new().unwrap();
        let mut sizes = Vec::new();
        let whole = format!("{}.img", self.name);
        let parts = (0..3).map(|index| format!("{}-v{index}.img", self.name));
        for name in std::iter::once(whole).chain(parts) {
            let packed = folder().join(format!("{name}.zst"));
            if packed.exists() {
                let image = folder_of_images.path().join(&name);
                let mut unpack = Command::new("zstd");
                let done = unpack.args(["-d", "-q", "--sparse"]).arg(packed).arg("-o").arg(&image).status().unwrap();
                assert!(done.success());
                sizes.push((name, fs::metadata(image).unwrap().len()));
            }
        }
        assert!(!sizes.is_empty(), "{}: no such golden volume", self.name);
        let volumes = Volumes::new(folder_of_images, &sizes);
        let mut newest = BTreeMap::new();
        for label in self.labels {
            let target = volumes.folder().join(format!("out-{label}"));
            let mut get = Command::new(env!("CARGO_BIN_EXE_hammer2"));
            get.arg("get").arg(format!("{}@{label}", volumes.argument())).arg(&target);
            assert!(get.output().unwrap().status.code().is_some());
            read(&target, label, &mut newest);
        }
        let known = Known::new(&volumes, newest);
        // Files of older states that come back from the undamaged volumes count as known.
        let known = outcome::recover(&volumes).taught(known);
        (volumes, known)
    }
}

fn read(directory: &Path, path: &str, files: &mut BTreeMap<String, Vec<u8>>) {
    for entry in fs::read_dir(directory).unwrap() {
        let entry = entry.unwrap();
        let below = format!("{path}/{}", entry.file_name().to_string_lossy());
        let kind = entry.file_type().unwrap();
        if kind.is_dir() {
            read(&entry.path(), &below, files);
        } else if kind.is_file() {
            files.insert(below, fs::read(entry.path()).unwrap());
        }
    }
}
