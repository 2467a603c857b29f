//! The places where processes of this machine find each other: sockets and locks, in directories that only their owner can write
//! to.
//! Root's are below `/run/hammer2`, a user's below `$XDG_RUNTIME_DIR/hammer2`, by default `/run/user/UID/hammer2`. Names in
//! Linux's abstract namespace would need no directory, but any process can take those.

use std::env;
use std::fs::{self, DirBuilder};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use rustix::fs::Mode;
use rustix::process::{Uid, geteuid};

/// Root's directory.
const OF_ROOT: &str = "/run/hammer2";

/// Our folder in the directory that the system makes for a user.
const OURS: &str = "hammer2";

/// Who may look into a directory; only its owner ever writes to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Readers {
    /// Its owner.
    Owner,
    /// Everybody, as far as the parent directory lets them.
    All,
}

/// A folder below this user's own directory; made if it is missing.
pub fn own(folder: &str, readers: Readers) -> io::Result<PathBuf> {
    let root_only = geteuid().is_root().then(|| PathBuf::from(OF_ROOT));
    let mut outcome = Err(io::Error::new(ErrorKind::NotFound, "there is no $XDG_RUNTIME_DIR"));
    for base in root_only.into_iter().chain(of_user(geteuid())) {
        // A user who is root only in a user namespace has a user's directory.
        outcome = provide(&base, Readers::All).and_then(|()| {
            let path = base.join(folder);
            provide(&path, readers).map(|()| path)
        });
        if outcome.is_ok() {
            break;
        }
    }
    outcome
}

/// The possible places of a user's folder; for users other than the caller, the system's default.
pub fn of(user: Uid, folder: &str) -> impl Iterator<Item = PathBuf> {
    let root_only = user.is_root().then(|| PathBuf::from(OF_ROOT));
    root_only.into_iter().chain(of_user(user)).map(move |base| base.join(folder))
}

fn of_user(user: Uid) -> Option<PathBuf> {
    let default = || PathBuf::from(format!("/run/user/{}", user.as_raw()));
    let own = || env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from).filter(|path| path.is_absolute());
    let base = if user == geteuid() { own().unwrap_or_else(default) } else { default() };
    base.is_dir().then(|| base.join(OURS))
}

/// Makes a directory if it is missing; fails if another user can write to it, or to its parent.
fn provide(path: &Path, readers: Readers) -> io::Result<()> {
    let mode = match readers {
        Readers::Owner => 0o700,
        Readers::All => 0o755,
    };
    path.parent().map_or(Ok(()), is_safe)?;
    match DirBuilder::new().mode(mode).create(path) {
        // The umask of the process may have removed permissions.
        Ok(()) => rustix::fs::chmod(path, Mode::from_raw_mode(mode))?,
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
        Err(error) => return Err(named(path, error)),
    }
    is_safe(path)
}

/// Fails if another user could put something into a directory.
fn is_safe(path: &Path) -> io::Result<()> {
    let facts = fs::symlink_metadata(path).map_err(|error| named(path, error))?;
    let is_own = facts.uid() == geteuid().as_raw() || facts.uid() == Uid::ROOT.as_raw();
    if facts.is_dir() && is_own && facts.mode() & 0o022 == 0 {
        return Ok(());
    }
    let why = "no directory that only its owner can write to";
    Err(named(path, io::Error::new(ErrorKind::PermissionDenied, why)))
}

fn named(path: &Path, error: io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use tempfile::TempDir;

    use super::*;

    #[test]
    fn what_others_could_write_to_is_not_used() {
        let folder = TempDir::new().unwrap();
        let path = |name: &str| folder.path().join(name);
        assert!(provide(&path("own"), Readers::Owner).is_ok() && provide(&path("own"), Readers::Owner).is_ok());
        assert_eq!(fs::metadata(path("own")).unwrap().mode() & 0o777, 0o700);
        assert!(provide(&path("own/shown"), Readers::All).is_ok());
        assert_eq!(fs::metadata(path("own/shown")).unwrap().mode() & 0o777, 0o755);
        symlink(path("own"), path("link")).unwrap();
        fs::write(path("file"), "").unwrap();
        fs::create_dir(path("open")).unwrap();
        fs::set_permissions(path("open"), PermissionsExt::from_mode(0o777)).unwrap();
        for wrong in ["link", "file", "open", "open/below"] {
            let error = provide(&path(wrong), Readers::Owner).unwrap_err();
            assert!(error.to_string().contains("only its owner"), "{wrong}: {error}");
        }
    }
}
