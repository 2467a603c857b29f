//! Limits for the files below directories.

use hammer2_core::fs::{Error, FileSystem, Quota, ROOT_PATH, TreeWalk};
use hammer2_core::media::{FileKind, Inum};
use serde::{Deserialize, Serialize};

use super::Refused;

/// The limits of a directory, and how much of them is used.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct QuotaFacts {
    /// Its path from the root of the filesystem.
    pub path: Vec<u8>,
    /// Its number.
    pub inum: u64,
    /// Bytes that are used.
    pub bytes_used: u64,
    /// The limit in bytes; 0 is no limit.
    pub bytes_limit: u64,
    /// Inodes that are used.
    pub inodes_used: u64,
    /// The limit in inodes; 0 is no limit.
    pub inodes_limit: u64,
}

impl QuotaFacts {
    fn of(quota: &Quota, path: &[u8]) -> Self {
        Self {
            path: path.to_vec(),
            inum: quota.directory.0,
            bytes_used: quota.used.bytes,
            bytes_limit: quota.limit.bytes,
            inodes_used: quota.used.inodes,
            inodes_limit: quota.limit.inodes,
        }
    }
}

/// The limits that apply to the content of a directory, the nearest first; with `below`, those of it and of all directories below
/// it.
pub async fn quotas_of(fs: &FileSystem, path: &[u8], below: bool) -> Result<Vec<QuotaFacts>, Refused> {
    let failed = |error| refused(path, error);
    let directory = fs.resolve(path).await.map_err(failed)?;
    if fs.attributes(directory).await.map_err(failed)?.kind != FileKind::Directory {
        return Err(failed(Error::NotADirectory));
    }
    if below {
        return own_of_all(fs, directory, path).await.map_err(failed);
    }
    let quotas = fs.quotas(directory).await.map_err(failed)?;
    let mut facts = Vec::new();
    for quota in &quotas {
        let path = path_above(fs, path, quota.directory).await.map_err(failed)?;
        facts.push(QuotaFacts::of(quota, &path));
    }
    Ok(facts)
}

/// The path of one of the directories that a path leads through.
async fn path_above(fs: &FileSystem, path: &[u8], directory: Inum) -> Result<Vec<u8>, Error> {
    let mut found = Vec::new();
    for name in path.split(|byte| *byte == b'/').filter(|name| !name.is_empty()) {
        if fs.resolve(&found).await? == directory {
            break;
        }
        found.push(b'/');
        found.extend_from_slice(name);
    }
    Ok(if found.is_empty() { b"/".to_vec() } else { found })
}

async fn own_of_all(fs: &FileSystem, directory: Inum, path: &[u8]) -> Result<Vec<QuotaFacts>, Error> {
    let mut facts = Vec::new();
    let path = path.strip_suffix(b"/").unwrap_or(path);
    let mut walk = TreeWalk::new(fs.heap(), fs, directory)?;
    while let Some(found) = walk.next().await? {
        if found.kind != FileKind::Directory {
            continue;
        }
        let whole = match found.path {
            ROOT_PATH if path.is_empty() => b"/".to_vec(),
            ROOT_PATH => path.to_vec(),
            below => [path, b"/", below].concat(),
        };
        let quotas = fs.quotas(found.inum).await?;
        let own = quotas.iter().filter(|quota| quota.directory == found.inum);
        facts.extend(own.map(|quota| QuotaFacts::of(quota, &whole)));
    }
    Ok(facts)
}

/// Gives a directory limits; 0 is no limit, and `None` leaves a limit as it is.
pub async fn set_quota(fs: &FileSystem, path: &[u8], bytes: Option<u64>, inodes: Option<u64>) -> Result<(), Refused> {
    let failed = |error| refused(path, error);
    let directory = fs.resolve(path).await.map_err(failed)?;
    fs.set_quota(directory, bytes, inodes).await.map_err(failed)?;
    fs.sync().await.map_err(failed)
}

fn refused(path: &[u8], error: Error) -> Refused {
    let path = path.escape_ascii();
    match error {
        Error::NotADirectory => {
            Refused::unusable(format_args!("{path}: not a directory: only directories have quotas"))
        }
        Error::NotFound | Error::NameTooLong => Refused::unusable(format_args!("{path}: {error}")),
        _ => Refused::failed(format_args!("{path}: {error}")),
    }
}
