//! Files that a writer replaces by one version after another, each durable before the next, with content that identifies the
//! version.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};

use hammer2_core::random::Random;
use rustix::fs::Advice;

const SIZES: [usize; 6] = [10, 600, 5_000, 65_536, 70_000, 200_000];

/// A file of a writer.
pub struct Versions {
    directory: PathBuf,
    writer: u64,
    file: usize,
}

impl Versions {
    /// The file of this number of a writer, below the root of a mount.
    pub fn of(root: &Path, writer: u64, file: usize) -> Self {
        Self { directory: root.join(format!("writer{writer}")), writer, file }
    }

    fn path(&self) -> PathBuf {
        self.directory.join(format!("file{}", self.file))
    }

    /// Bytes that identify the file and version; half of them compress.
    fn content(&self, version: u64) -> Vec<u8> {
        let mut random = Random::new(self.writer << 48 | (self.file as u64) << 40 | version);
        let mut byte = || match random.index(512) {
            letter @ 0..=255 => letter as u8,
            _ => 7,
        };
        std::iter::repeat_with(&mut byte).take(SIZES[version as usize % SIZES.len()]).collect()
    }

    /// Replaces it by a version, durably.
    ///
    /// # Errors
    /// An error of the mount; the version may be there all the same, now or later.
    pub fn replace(&self, version: u64) -> io::Result<()> {
        fs::create_dir_all(&self.directory)?;
        let new = self.directory.join("new");
        write_durably(&new, &self.content(version))?;
        fs::rename(&new, self.path())?;
        File::open(&self.directory)?.sync_all()
    }

    /// The version of the file: the durable one, or perhaps another that was under way; 0 is none.
    ///
    /// # Errors
    ///
    /// It can't be read, or is neither.
    pub fn find(&self, durable: u64, under_way: Option<u64>) -> io::Result<u64> {
        let path = self.path();
        let found = match read_anew(&path) {
            Ok(found) => Some(found),
            Err(error) if error.kind() == ErrorKind::NotFound => None,
            Err(error) => return Err(io::Error::new(error.kind(), format!("{}: {error}", path.display()))),
        };
        let is = |version: u64| match &found {
            Some(found) => version > 0 && *found == self.content(version),
            None => version == 0,
        };
        let there = [Some(durable), under_way].into_iter().flatten().find(|version| is(*version));
        there.ok_or_else(|| {
            let (path, bytes) = (path.display(), found.map(|found| found.len()));
            io::Error::other(format!("{path} is neither version {durable} nor {under_way:?}: {bytes:?} bytes"))
        })
    }
}

/// Reads a file from the mount's server, not from the host's cache.
///
/// # Errors
///
/// What the mount says.
pub fn read_anew(path: &Path) -> io::Result<Vec<u8>> {
    let mut file = File::open(path)?;
    rustix::fs::fadvise(&file, 0, None, Advice::DontNeed)?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Makes a file durably.
///
/// # Errors
///
/// What the mount says.
pub fn write_durably(path: &Path, content: &[u8]) -> io::Result<()> {
    let mut file = File::create(path)?;
    file.write_all(content)?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_there_is_told_from_what_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let file = Versions::of(folder.path(), 1, 3);
        assert_eq!(file.find(0, None).unwrap(), 0);
        assert!(file.find(1, Some(2)).is_err());
        file.replace(2).unwrap();
        assert_eq!((file.find(1, Some(2)).unwrap(), file.find(2, None).unwrap()), (2, 2));
        assert!(file.find(1, Some(3)).is_err() && file.find(0, None).is_err());
        fs::copy(folder.path().join("writer1/file3"), folder.path().join("writer1/file4")).unwrap();
        assert!(Versions::of(folder.path(), 1, 4).find(2, None).is_err(), "another file's");
    }
}
