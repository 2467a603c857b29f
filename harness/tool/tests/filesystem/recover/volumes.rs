//! The volumes of a filesystem as sparse files.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::process::Command;

use sha2::{Digest, Sha256};
use tempfile::TempDir;

pub(crate) struct Volumes {
    folder: TempDir,
    pub(crate) paths: Vec<PathBuf>,
    /// The files, each with its place in the address space.
    files: Vec<(u64, File)>,
}

impl Volumes {
    /// Opens files of these names and sizes in a folder; missing ones are made, and blank.
    pub(crate) fn new(folder: TempDir, sizes: &[(String, u64)]) -> Self {
        let (mut files, mut paths, mut base) = (Vec::new(), Vec::new(), 0);
        for (name, bytes) in sizes {
            let path = folder.path().join(name);
            let file = File::options().read(true).write(true).create(true).truncate(false).open(&path).unwrap();
            file.set_len(*bytes).unwrap();
            paths.push(path);
            files.push((base, file));
            base += bytes;
        }
        Self { folder, paths, files }
    }

    pub(crate) fn copy(&self) -> Self {
        let folder = TempDir::new().unwrap();
        let mut sizes = Vec::new();
        for path in &self.paths {
            let copied = Command::new("cp").arg("--sparse=always").arg(path).arg(folder.path()).status().unwrap();
            assert!(copied.success());
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            sizes.push((name, fs::metadata(path).unwrap().len()));
        }
        Self::new(folder, &sizes)
    }

    /// The argument that names them all.
    pub(crate) fn argument(&self) -> String {
        self.paths.iter().map(|path| path.to_str().unwrap()).collect::<Vec<_>>().join(":")
    }

    pub(crate) fn folder(&self) -> &std::path::Path {
        self.folder.path()
    }

    pub(crate) fn read(&self, offset: u64, bytes: usize) -> Vec<u8> {
        let mut buffer = vec![0; bytes];
        let (base, file) = self.files.iter().rev().find(|(base, _)| *base <= offset).unwrap();
        file.read_exact_at(&mut buffer, offset - base).unwrap();
        buffer
    }

    /// Writes bytes to the volume at this offset, as far as they fit.
    pub(crate) fn write(&self, offset: u64, bytes: &[u8]) {
        let (base, file) = self.files.iter().rev().find(|(base, _)| *base <= offset).unwrap();
        let room = file.metadata().unwrap().len().saturating_sub(offset - base);
        file.write_all_at(&bytes[..bytes.len().min(room as usize)], offset - base).unwrap();
    }

    /// A digest of the parts that aren't holes.
    pub(crate) fn digest(&self) -> Vec<u8> {
        let mut digest = Sha256::new();
        for (_, file) in &self.files {
            let (mut at, end) = (0, file.metadata().unwrap().len());
            while let Ok(data) = rustix::fs::seek(file, rustix::fs::SeekFrom::Data(at)) {
                let hole = rustix::fs::seek(file, rustix::fs::SeekFrom::Hole(data)).unwrap().min(end);
                let mut buffer = vec![0; (hole - data) as usize];
                file.read_exact_at(&mut buffer, data).unwrap();
                digest.update(data.to_le_bytes());
                digest.update(&buffer);
                at = hole;
            }
            digest.update(end.to_le_bytes());
        }
        digest.finalize().to_vec()
    }
}
