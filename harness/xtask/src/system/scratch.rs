//! A folder for what is needed for a while. It goes away, with all that is mounted or at work in it.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use tempfile::{Builder, TempDir};

use super::leftovers;
use crate::trouble::{About, Done};

/// A new folder, in `TMPDIR` or /tmp.
pub(crate) struct Scratch {
    folder: TempDir,
}

impl Scratch {
    /// `hammer2-NAME.` is what the folder's name begins with.
    ///
    /// # Errors
    ///
    /// No folder can be made there.
    pub(crate) fn new(name: &str) -> Done<Self> {
        let place = std::env::temp_dir();
        let prefix = format!("hammer2-{name}.");
        let mut builder = Builder::new();
        let private = builder.prefix(&prefix).permissions(Permissions::from_mode(0o700));
        let folder = private.tempdir_in(&place).about(place.display())?;
        Ok(Self { folder })
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// A folder in it, for one part of the work. Others' programs get through to what is in there, but can't list it.
    pub(crate) fn part(&self, name: &str) -> Done<PathBuf> {
        let part = self.path().join(name);
        fs::create_dir(&part).about(part.display())?;
        for folder in [self.path(), &part] {
            let mode = fs::metadata(folder).about(folder.display())?.permissions().mode();
            fs::set_permissions(folder, Permissions::from_mode(mode | 0o111)).about(folder.display())?;
        }
        Ok(part)
    }

    /// Removes a part, but nothing that is mounted in it.
    pub(crate) fn remove(part: &Path) {
        leftovers::unmount_all(part);
        let _ = fs::remove_dir_all(part);
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        leftovers::end(self.path());
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::Scratch;

    #[test]
    fn others_get_through_a_part_and_nothing_stays() {
        let scratch = Scratch::new("test").expect("a folder");
        let part = scratch.part("one").expect("a part");
        assert_eq!(fs::metadata(scratch.path()).expect("a folder").permissions().mode() & 0o077, 0o011);
        fs::write(part.join("file"), "content").expect("a file");
        let path = scratch.path().to_path_buf();
        Scratch::remove(&part);
        assert!(!part.exists() && path.exists());
        drop(scratch);
        assert!(!path.exists());
    }
}
