//! Loop devices, detached when they are dropped.

use std::path::{Path, PathBuf};
use std::process::Command;

/// A loop device for an image.
pub(crate) struct Loop {
    path: PathBuf,
}

impl Loop {
    /// Attaches an image.
    pub(crate) fn of(image: &Path) -> Self {
        let output = Command::new("losetup").args(["--find", "--show"]).arg(image).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        Self { path: PathBuf::from(String::from_utf8(output.stdout).unwrap().trim()) }
    }

    /// Tells the kernel, which may not read tables itself, of its partitions.
    pub(crate) fn add_partitions(&self) {
        assert!(Command::new("partx").arg("--add").arg(&self.path).status().unwrap().success());
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn name(&self) -> &str {
        self.path.to_str().unwrap()
    }
}

impl Drop for Loop {
    fn drop(&mut self) {
        let _ = Command::new("partx").arg("--delete").arg(&self.path).output();
        let _ = Command::new("losetup").arg("--detach").arg(&self.path).status();
    }
}

/// A filesystem of the kernel, mounted until this is dropped.
pub(crate) struct KernelMount(PathBuf);

impl KernelMount {
    pub(crate) fn of(device: &str, directory: PathBuf) -> Self {
        std::fs::create_dir_all(&directory).unwrap();
        assert!(Command::new("mount").arg(device).arg(&directory).status().unwrap().success());
        Self(directory)
    }
}

impl Drop for KernelMount {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.0).status();
    }
}
