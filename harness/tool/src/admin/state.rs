//! What this machine knows of scrubs; the disks have no room for it.
//! It is in `/var/lib/hammer2`, for a user in `$XDG_STATE_HOME/hammer2` or `~/.local/state/hammer2`, or in the folder that
//! `HAMMER2_STATE` names. If it can't be written there, it is lost.

use std::env;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use rustix::process::geteuid;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// The value kept under a name, if it is there and can be parsed.
pub(super) fn read<T: DeserializeOwned>(name: &str) -> Option<T> {
    serde_json::from_slice(&fs::read(place(name).ok()?).ok()?).ok()
}

/// Keeps a value under a name. A concurrent reader sees the old value or the new one.
pub(super) fn keep(name: &str, what: &impl Serialize) -> io::Result<()> {
    let place = place(name)?;
    let of_place = |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", place.display()));
    let keep = || {
        fs::create_dir_all(place.parent().unwrap_or(&place))?;
        let whole = place.with_extension(format!("{}.tmp", std::process::id()));
        fs::write(&whole, serde_json::to_vec(what)?)?;
        fs::rename(&whole, &place)
    };
    keep().map_err(of_place)
}

/// Removes the value.
pub(super) fn forget(name: &str) {
    // There may be none.
    let _ = place(name).map(fs::remove_file);
}

fn place(name: &str) -> io::Result<PathBuf> {
    let folder =
        folder().ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "no folder to keep it in: set HOME"))?;
    Ok(folder.join("scrub").join(name))
}

/// The folder where this machine's values are kept.
fn folder() -> Option<PathBuf> {
    let of = |name: &str| env::var_os(name).map(PathBuf::from).filter(|path: &PathBuf| Path::is_absolute(path));
    if let Some(said) = of("HAMMER2_STATE") {
        return Some(said);
    }
    if geteuid().is_root() {
        return Some("/var/lib/hammer2".into());
    }
    of("XDG_STATE_HOME").or_else(|| Some(of("HOME")?.join(".local/state"))).map(|base| base.join("hammer2"))
}
