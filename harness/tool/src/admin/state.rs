//! What is known of scrubs on this machine: the disks have no place for it.
//!
//! In `/var/lib/hammer2`, a user's in `$XDG_STATE_HOME/hammer2` or `~/.local/state/hammer2`; where `HAMMER2_STATE` says
//! otherwise, there. Where it can't be kept, nobody knows of it.

use std::env;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use rustix::process::geteuid;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// What is kept under a name, if it is there and makes sense.
pub(super) fn read<T: DeserializeOwned>(name: &str) -> Option<T> {
    serde_json::from_slice(&fs::read(place(name).ok()?).ok()?).ok()
}

/// Keeps something under a name. Whoever reads it meanwhile sees what was there before, or all of it.
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

/// Keeps it no more.
pub(super) fn forget(name: &str) {
    // It may not be there.
    let _ = place(name).map(fs::remove_file);
}

fn place(name: &str) -> io::Result<PathBuf> {
    let folder =
        folder().ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "no folder to keep it in: set HOME"))?;
    Ok(folder.join("scrub").join(name))
}

/// Where what this machine knows is kept.
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
