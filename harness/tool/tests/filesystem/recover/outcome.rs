//! The files and the output of `hammer2 recover`.

use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;

use super::damage::Damage;
use super::known::Known;
use super::volumes::Volumes;

/// The memory that the program may take, with all stacks, however large the volumes are.
const MOST_DATA_KIB: &str = "163840";

pub(crate) struct Outcome {
    directory: TempDir,
    lines: Vec<Value>,
    status: i32,
}

pub(crate) fn recover(volumes: &Volumes) -> Outcome {
    let directory = TempDir::new().unwrap();
    let mut command = Command::new("sh");
    command.args(["-c", "ulimit -d \"$0\" && exec \"$@\"", MOST_DATA_KIB, env!("CARGO_BIN_EXE_hammer2")]);
    command.args(["recover", "--json", &volumes.argument()]).arg(directory.path());
    let output = command.output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let lines = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let status = output.status.code().unwrap();
    assert!(status < 2 && output.stderr.is_empty(), "{status}: {}", String::from_utf8_lossy(&output.stderr));
    Outcome { directory, lines, status }
}

fn walk(directory: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let kind = fs::symlink_metadata(&path).unwrap().file_type();
        if kind.is_dir() {
            walk(&path, files);
        } else if kind.is_file() {
            files.push(path);
        }
    }
}

impl Outcome {
    fn texts<'s>(&'s self, key: &'s str) -> impl Iterator<Item = &'s str> {
        self.lines.iter().filter_map(move |line| line[key].as_str())
    }

    /// All recovered regular files, below the directory.
    fn files(&self) -> Vec<String> {
        let mut files = Vec::new();
        walk(self.directory.path(), &mut files);
        let below = |path: &PathBuf| path.strip_prefix(self.directory.path()).unwrap().to_string_lossy().into_owned();
        files.iter().map(below).collect()
    }

    fn content(&self, path: &str) -> Option<Vec<u8>> {
        fs::read(self.directory.path().join(path)).ok()
    }

    pub(crate) fn is_complete(&self) -> bool {
        self.status == 0
    }

    /// Checks that exactly these files were recovered.
    pub(crate) fn has_just(&self, files: &BTreeMap<String, Vec<u8>>) {
        let found: BTreeMap<_, _> =
            self.files().into_iter().map(|path| (path.clone(), self.content(&path).unwrap())).collect();
        assert_eq!(found.keys().collect::<Vec<_>>(), files.keys().collect::<Vec<_>>());
        assert!(found == *files);
    }

    /// Checks that every verified byte was there, at that place of that file.
    pub(crate) fn invents_nothing(&self, known: &Known) {
        let files = self.lines.iter().filter(|line| line["file"].is_string());
        for line in files {
            let path = line["file"].as_str().unwrap();
            let is_file = fs::symlink_metadata(self.directory.path().join(path)).unwrap().is_file();
            if !is_file {
                continue;
            }
            let content = self.content(path).unwrap();
            let range = |range: &Value| (range["from"].as_u64().unwrap(), range["bytes"].as_u64().unwrap());
            let missing: Vec<_> = line["missing"].as_array().unwrap().iter().map(range).collect();
            assert_eq!(path.contains(".partial"), !missing.is_empty(), "{line}");
            assert_eq!(line["verified"] == false, path.starts_with("unverified/"), "{line}");
            if line["verified"] == true {
                assert!(known.is_content(&content, &missing), "no file ever held this: {line}");
            }
        }
        // There are only files that were reported, and further names of them.
        let told: HashSet<_> = self.texts("file").map(|path| inode_of(&self.directory.path().join(path))).collect();
        for path in self.files() {
            assert!(told.contains(&inode_of(&self.directory.path().join(&path))), "{path}: not told of");
        }
    }

    /// Adds everything recovered to the known content.
    pub(crate) fn taught(&self, mut known: Known) -> Known {
        self.files().iter().filter_map(|path| self.content(path)).for_each(|content| known.held(content));
        known
    }

    /// Checks that every file that can come back does.
    pub(crate) fn lacks_nothing(&self, known: &Known, damage: &Damage) {
        let mut contents = None;
        for (path, needs) in &known.needs {
            let Some(content) = known.newest.get(path) else { continue };
            if damage.spares_way(needs) {
                let in_place = [path.clone(), format!("unverified/{path}")].into_iter();
                let found = in_place.filter_map(|path| self.content(&path)).any(|found| found == *content);
                assert!(found, "{path}: the way to it is whole, and it isn't there");
            } else if damage.spares_file(needs) {
                let all = || self.files().iter().filter_map(|path| self.content(path)).collect::<HashSet<_>>();
                let found = contents.get_or_insert_with(all).contains(content);
                if !found {
                    self.lines.iter().for_each(|line| println!("{line}"));
                    panic!("{path}: its inode and content are whole, and it is nowhere");
                }
            }
        }
    }

    /// Checks that every lost file is reported, by its name or by a directory above it.
    pub(crate) fn lists_losses(&self, known: &Known) {
        let told: HashSet<&str> = ["lost", "names_lost"].iter().flat_map(|key| self.texts(key)).collect();
        let about_all = self.texts("note").next().is_some();
        let mut missing = Vec::new();
        for path in known.newest.keys() {
            if self.content(path).is_some() || self.content(&format!("unverified/{path}")).is_some() {
                continue;
            }
            missing.push(path);
            let elsewhere = self.texts("file").chain(self.texts("link")).any(|file| file.contains(path.as_str()));
            let above = path.match_indices('/').any(|(slash, _)| told.contains(&path[..slash]));
            if !(elsewhere || above || told.contains(path.as_str()) || about_all) {
                self.lines.iter().for_each(|line| println!("{line}"));
                panic!("{path}: not a word about it");
            }
        }
        // If a snapshot's root is gone with all headers, nobody can tell: it shares its inodes with the others.
        let has_strays = self.texts("file").any(|file| file.contains("lost+found/"));
        let nobody_knows = about_all && !has_strays;
        assert!(
            missing.is_empty() || nobody_knows || self.status == 1,
            "{missing:?} are missing, and the exit status is 0"
        );
    }
}

fn inode_of(path: &Path) -> u64 {
    std::os::unix::fs::MetadataExt::ino(&fs::symlink_metadata(path).unwrap())
}
