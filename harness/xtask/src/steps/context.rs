//! What a step has to work with.

use std::env;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::build::{building, cargo};
use crate::checkout::{Checkout, PROGRAMS};
use crate::system::command::{OURSELVES, Run, program};
use crate::system::need::Needs;
use crate::trouble::{Done, Trouble};

/// The variable by which tests and steps are told to do their long form.
pub(crate) const FULL: &str = "HAMMER2_FULL";

/// What a step has to work with.
pub(crate) struct Context {
    /// Where things are.
    pub(crate) checkout: Checkout,
    /// A folder for the step, which goes away.
    pub(crate) folder: PathBuf,
    /// What gets what is missing.
    pub(crate) needs: Needs,
}

impl Context {
    /// Of a step that works in a folder.
    pub(crate) fn new(checkout: &Checkout, folder: PathBuf) -> Self {
        Self { checkout: checkout.clone(), folder, needs: Needs::new(checkout, "test") }
    }

    /// Whether the long form is wanted.
    pub(crate) fn is_full(&self) -> bool {
        env::var_os(FULL).is_some_and(|value| !value.is_empty())
    }

    /// A path in the step's folder.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Cargo in the checkout.
    pub(crate) fn cargo(&self, words: &[&str]) -> Command {
        cargo(&self.checkout, words)
    }

    /// Builds tests, examples and tools, all in one: built by themselves, they would have the core with other features, and anew.
    ///
    /// # Errors
    ///
    /// Something doesn't build.
    pub(crate) fn build_all(&self) -> Done {
        building(&self.checkout, &["build", "--workspace", "--all-targets"]).run()
    }

    /// The tests of the tool's suite below a name that are left out usually.
    pub(crate) fn ignored_tests(&self, suite: &str, name: &str) -> Command {
        self.cargo(&["test", "--quiet", "--workspace", "--test", suite, name, "--", "--ignored"])
    }

    /// The folder where all programs of the project are built, with assertions.
    pub(crate) fn programs(&self) -> PathBuf {
        self.checkout.debug()
    }

    /// The tool, with these words.
    pub(crate) fn tool(&self, words: &[&str]) -> Command {
        program(self.programs().join("hammer2"), words)
    }

    /// A script, with these words; it finds everything built.
    pub(crate) fn script(&self, name: &str, words: &[&str]) -> Command {
        let mut script = program(self.checkout.root().join("scripts").join(name), words);
        script.env("CARGO_TARGET_DIR", self.checkout.target()).env(PROGRAMS, self.programs());
        script
    }

    /// `scripts/boot`, with these words.
    pub(crate) fn boot(&self, words: &[&str]) -> Command {
        // The script would have cargo look whether this program is what it is.
        let mut boot = program(OURSELVES, &["boot"]);
        boot.args(words).env("CARGO_TARGET_DIR", self.checkout.target()).env(PROGRAMS, self.programs());
        boot
    }

    /// A file of shell functions of `harness/xtask/steps`, for what is a sequence of others' programs.
    pub(crate) fn shell(&self, file: &str, words: &[&str]) -> Command {
        let mut shell = program("bash", &[]);
        shell.arg(self.checkout.root().join("harness/xtask/steps").join(file)).args(words);
        shell.env("root", self.checkout.root()).env("temporary", &self.folder);
        shell.env("tool", self.programs().join("hammer2")).current_dir(self.checkout.root());
        shell
    }

    /// The folder of golden volumes.
    ///
    /// # Errors
    ///
    /// They aren't here: the step is skipped.
    pub(crate) fn golden(&self) -> Done<PathBuf> {
        let golden = self.checkout.shared().join("golden");
        if golden.is_dir() { Ok(golden) } else { skip(format!("no golden volumes at {}", golden.display())) }
    }

    /// The command of the independent checker, which gets an environment of Python of its own.
    ///
    /// # Errors
    ///
    /// It isn't here, and the step is skipped; or what it needs can't be had.
    pub(crate) fn independent_checker(&self) -> Done<Vec<String>> {
        let folder = self.checkout.shared().join("tools/h2check");
        let checker = folder.join("h2check.py");
        if !checker.exists() {
            return skip(format!("no checker at {}", folder.display()));
        }
        self.needs.program("python3", "python3")?;
        let environment = self.checkout.target().join("h2check");
        let python = environment.join("bin/python");
        let has = |python: &Path, modules: &str| {
            let import = format!("import {modules}");
            let mut python = program(python, &["-c", &import]);
            python.stderr(std::process::Stdio::null()).code().is_ok_and(|code| code == 0)
        };
        if !has(&python, "google_crc32c, lz4.block, xxhash") {
            if !has(Path::new("python3"), "ensurepip, venv") {
                self.needs.package("python3-venv", "venv of python3")?;
            }
            crate::system::words::say!("installing the Python packages of the checker into {}", environment.display());
            program("python3", &["-m", "venv", "--clear"]).arg(&environment).run()?;
            let mut pip = program(environment.join("bin/pip"), &["install", "--quiet", "--disable-pip-version-check"]);
            pip.arg("--requirement").arg(folder.join("requirements.txt")).run()?;
        }
        Ok(vec![python.display().to_string(), "-B".to_owned(), checker.display().to_string()])
    }
}

/// Ends the step, as it can't be run here.
pub(crate) fn skip<T>(why: impl std::fmt::Display) -> Done<T> {
    Err(Trouble::Skipped(why.to_string()))
}

/// The volumes of a filesystem as one argument: paths between colons.
pub(crate) fn node(images: &[PathBuf]) -> String {
    let texts: Vec<&str> = images.iter().map(|path| path.to_str().unwrap_or_default()).collect();
    texts.join(":")
}

/// The golden volumes of a name: the only volume, or all of a filesystem.
///
/// # Errors
///
/// The folder can't be read.
pub(crate) fn volumes(golden: &Path, name: &str) -> Done<Vec<PathBuf>> {
    use crate::trouble::About;
    let mut found: Vec<PathBuf> = Vec::new();
    for entry in std::fs::read_dir(golden).about(golden.display())? {
        let path = entry.about(golden.display())?.path();
        let file = path.file_name().map(OsStr::as_bytes).and_then(|name| std::str::from_utf8(name).ok());
        if file.and_then(filesystem_of).is_some_and(|of| of == name) {
            found.push(path);
        }
    }
    // Volumes that have numbers come in their order, after one that has none.
    found.sort();
    found.sort_by_key(|path| path.as_os_str().len());
    Ok(found)
}

/// The name of the filesystem that a volume belongs to, by the name of its file: `NAME.img.zst` or `NAME-vN.img.zst`.
pub(crate) fn filesystem_of(file: &str) -> Option<&str> {
    let volume = file.strip_suffix(".img.zst")?;
    let number = volume.rsplit_once("-v").filter(|(_, number)| !number.is_empty());
    let name = number.filter(|(_, number)| number.bytes().all(|byte| byte.is_ascii_digit()));
    Some(name.map_or(volume, |(name, _)| name))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::{Path, PathBuf};

    use super::{filesystem_of, node, volumes};

    #[test]
    fn volumes_of_a_filesystem_belong_together() {
        assert_eq!(filesystem_of("p01-basic.img.zst"), Some("p01-basic"));
        assert_eq!(filesystem_of("p25-multi-v2.img.zst"), Some("p25-multi"));
        assert_eq!(filesystem_of("p25-vx.img.zst"), Some("p25-vx"));
        assert_eq!(filesystem_of("p25-v.img.zst"), Some("p25-v"));
        assert_eq!(filesystem_of("README"), None);
        let folder = tempfile::tempdir().expect("a folder");
        for name in ["a-v1.img.zst", "a-v0.img.zst", "a.img.zst", "ab.img.zst", "a.txt"] {
            fs::write(folder.path().join(name), "").expect("a file");
        }
        let found = volumes(folder.path(), "a").expect("volumes");
        let names: Vec<_> = found.iter().map(|path| path.file_name().expect("a name")).collect();
        assert_eq!(names, ["a.img.zst", "a-v0.img.zst", "a-v1.img.zst"]);
        assert_eq!(node(&[PathBuf::from("/a"), PathBuf::from("/b")]), "/a:/b");
        assert!(volumes(Path::new("/no such folder"), "a").is_err());
    }
}
