//! Where things are: the checkout, what is built of it, and what lies beside it.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// The variable by which a script says where the checkout is.
const ROOT: &str = "HAMMER2_ROOT";
/// The variable by which a step says where all programs of the project are built already.
pub(crate) const PROGRAMS: &str = "HAMMER2_PROGRAMS";

/// A checkout of the project.
#[derive(Clone, Debug)]
pub(crate) struct Checkout {
    root: PathBuf,
    target: PathBuf,
}

impl Checkout {
    /// The one that the scripts belong to.
    pub(crate) fn here() -> Self {
        let root = env::var_os(ROOT).map_or_else(
            || Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap_or(Path::new("/")).to_path_buf(),
            PathBuf::from,
        );
        Self::at(root, env::var_os("CARGO_TARGET_DIR"))
    }

    /// A checkout, and the folder that the environment names for what is built; without one it is `target`.
    fn at(root: PathBuf, target: Option<OsString>) -> Self {
        let target = root.join(target.filter(|name| !name.is_empty()).unwrap_or_else(|| "target".into()));
        Self { root, target }
    }

    /// Its topmost folder.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// The folder for what is built.
    pub(crate) fn target(&self) -> &Path {
        &self.target
    }

    /// Where programs for tests are: with assertions.
    pub(crate) fn debug(&self) -> PathBuf {
        self.target.join("debug")
    }

    /// The folder with volumes and checkers of others.
    pub(crate) fn shared(&self) -> PathBuf {
        self.root.parent().unwrap_or(Path::new("/")).join("shared")
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::Checkout;

    #[test]
    fn a_target_folder_is_relative_to_the_checkout() {
        let target = |name: Option<&str>| Checkout::at("/a/b".into(), name.map(Into::into)).target().to_path_buf();
        assert_eq!(target(None), Path::new("/a/b/target"));
        assert_eq!(target(Some("")), Path::new("/a/b/target"));
        assert_eq!(target(Some("built")), Path::new("/a/b/built"));
        assert_eq!(target(Some("/built")), Path::new("/built"));
        assert_eq!(Checkout::at("/a/b".into(), None).shared(), Path::new("/a/shared"));
    }
}
