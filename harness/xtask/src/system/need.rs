//! What a command needs and may be missing. It is installed by `scripts/need.sh`, the one that installs: what this program needs
//! itself, a linker, can't be left to this program.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::{env, fs};

use super::group::code;
use super::signals;
use crate::checkout::Checkout;
use crate::trouble::{About, Done, Trouble};

/// What installs, and in whose name it says so.
#[derive(Clone, Debug)]
pub(crate) struct Needs {
    checkout: Checkout,
    name: String,
}

impl Needs {
    /// For a script of this name.
    pub(crate) fn new(checkout: &Checkout, name: &str) -> Self {
        Self { checkout: checkout.clone(), name: name.to_owned() }
    }

    /// A program, from a package of the distribution when it is missing.
    ///
    /// # Errors
    ///
    /// It is missing and can't be installed.
    pub(crate) fn program(&self, program: &str, package: &str) -> Done {
        // The script looks once more: somebody else may have installed it while this waited.
        if is_there(program) { Ok(()) } else { self.ask("need", &[program, package]) }
    }

    /// A package of the distribution; `what` is what is missing without it.
    pub(crate) fn package(&self, package: &str, what: &str) -> Done {
        self.ask("install_package", &[package, what])
    }

    /// The program of a crate, which is built when it isn't there.
    pub(crate) fn tool_crate(&self, name: &str, version: &str) -> Done<PathBuf> {
        let path = self.checkout.target().join("tools/bin").join(name);
        if !is_program(&path) {
            self.ask("tool_crate", &[name, version])?;
        }
        Ok(path)
    }

    /// Calls a function of the script. What asks for a password needs the terminal, so this is no process group of its own.
    fn ask(&self, function: &str, words: &[&str]) -> Done {
        // Steps run at the same time, and the distribution's packages are installed by one at a time.
        let folder = self.checkout.target();
        fs::create_dir_all(folder).about(folder.display())?;
        let alone = File::create(folder.join("installing.lock")).about(folder.display())?;
        alone.lock().about("what else installs")?;
        signals::check()?;
        let mut command = Command::new("bash");
        command.args(["-euc", ". \"$root/scripts/need.sh\"; \"$@\"", &self.name, function]).args(words);
        command.env("root", self.checkout.root()).env("CARGO_TARGET_DIR", self.checkout.target());
        let status = command.stdin(Stdio::inherit()).status().about("bash")?;
        signals::check()?;
        // It has said what is wrong.
        if code(status) == 0 { Ok(()) } else { Err(Trouble::unusable("")) }
    }
}

/// Whether there is a program of this name where programs are looked for.
pub(crate) fn is_there(program: &str) -> bool {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path).any(|folder| is_program(&folder.join(program)))
}

fn is_program(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    fs::metadata(path).is_ok_and(|file| file.is_file() && file.permissions().mode() & 0o111 != 0)
}

#[cfg(test)]
mod tests {
    use super::is_there;

    #[test]
    fn programs_are_found_by_name() {
        assert!(is_there("sh"));
        assert!(!is_there("no-such-program"));
        // A folder is none.
        assert!(!is_there("."));
    }
}
