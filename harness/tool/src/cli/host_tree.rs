//! A directory of the host that files are copied into, and never past.
//!
//! Names and links come from media and are hostile. Every step down is an open relative to the directory above that follows
//! no symbolic link, everything is made new, and nothing that exists is written to, replaced or removed: so nothing outside
//! the directory changes, whatever an image says.

use std::fs::{self, File};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

use hammer2_core::fs::{Attributes, ROOT_PATH};
use hammer2_core::media::{FileKind, Timestamp};
use rustix::fs::{AtFlags, FileType, Gid, Mode, OFlags, RenameFlags, Timespec, Timestamps, Uid};
use rustix::io::Errno;

/// Nobody else may look in before everything is in place.
const PRIVATE_DIRECTORY: Mode = Mode::RWXU;
const PRIVATE_FILE: Mode = Mode::RUSR.union(Mode::WUSR);
/// Linux cuts off device numbers beyond 12 and 20 bits.
const MAX_DEVICE_MAJOR: u32 = (1 << 12) - 1;
const MAX_DEVICE_MINOR: u32 = (1 << 20) - 1;
const DIRECTORY: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// A directory to copy into.
pub(super) struct HostTree {
    root: OwnedFd,
    /// The directory itself was made here.
    made_root: bool,
    /// The directory used last, with its path: the next one is mostly the same, or below it.
    last: Option<(Vec<u8>, OwnedFd)>,
    /// Owners can be set.
    privileged: bool,
}

impl HostTree {
    /// Opens a directory of the host's user, making it when it isn't there.
    pub(super) fn open_or_make(path: &Path) -> io::Result<Self> {
        let made_root = match fs::DirBuilder::new().mode(PRIVATE_DIRECTORY.bits()).create(path) {
            Ok(()) => true,
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => false,
            Err(error) => return Err(error),
        };
        // Here, the user may name a symbolic link.
        let root = rustix::fs::open(path, DIRECTORY - OFlags::NOFOLLOW, Mode::empty())?;
        Ok(Self { root, made_root, last: None, privileged: rustix::process::geteuid().is_root() })
    }

    /// Makes a directory, or finds it there already.
    pub(super) fn make_directory(&mut self, path: &[u8]) -> io::Result<()> {
        if path == ROOT_PATH {
            return Ok(());
        }
        let (parent, name) = self.place(path)?;
        match rustix::fs::mkdirat(parent, name, PRIVATE_DIRECTORY) {
            Ok(()) => Ok(()),
            // A symbolic link to a directory doesn't count as one.
            Err(Errno::EXIST) => Ok(rustix::fs::openat(parent, name, DIRECTORY, Mode::empty()).map(drop)?),
            Err(error) => Err(error.into()),
        }
    }

    /// Makes the directories a path is in, or finds them there already.
    pub(super) fn make_parents(&mut self, path: &[u8]) -> io::Result<()> {
        let slashes = path.iter().enumerate().filter(|(_, byte)| **byte == b'/').map(|(slash, _)| slash);
        slashes.into_iter().try_for_each(|slash| self.make_directory(&path[..slash]))
    }

    /// Gives a file that was made before another name, which nothing may have.
    pub(super) fn move_file(&mut self, existing: &[u8], path: &[u8]) -> io::Result<()> {
        let (old_parent, old_name) = self.place(existing)?;
        let old_parent = old_parent.try_clone()?;
        let (parent, name) = self.place(path)?;
        Ok(rustix::fs::renameat_with(&old_parent, old_name, parent, name, RenameFlags::NOREPLACE)?)
    }

    /// Makes an empty file.
    pub(super) fn make_file(&mut self, path: &[u8]) -> io::Result<File> {
        let (parent, name) = self.place(path)?;
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        Ok(rustix::fs::openat(parent, name, flags, PRIVATE_FILE)?.into())
    }

    /// Removes a file that was just made.
    pub(super) fn remove_file(&mut self, path: &[u8]) -> io::Result<()> {
        let (parent, name) = self.place(path)?;
        Ok(rustix::fs::unlinkat(parent, name, AtFlags::empty())?)
    }

    /// Makes another name for a file made before.
    pub(super) fn make_link(&mut self, existing: &[u8], path: &[u8]) -> io::Result<()> {
        let (old_parent, old_name) = self.place(existing)?;
        let old_parent = old_parent.try_clone()?;
        let (parent, name) = self.place(path)?;
        Ok(rustix::fs::linkat(&old_parent, old_name, parent, name, AtFlags::empty())?)
    }

    /// Makes a symbolic link, a pipe, a socket or a device node, with its attributes.
    pub(super) fn make_special(&mut self, path: &[u8], file: &Attributes, target: &[u8]) -> io::Result<()> {
        let privileged = self.privileged;
        let (parent, name) = self.place(path)?;
        let file_type = match file.kind {
            FileKind::Symlink => FileType::Symlink,
            FileKind::Fifo => FileType::Fifo,
            FileKind::Socket => FileType::Socket,
            FileKind::CharDevice => FileType::CharacterDevice,
            FileKind::BlockDevice => FileType::BlockDevice,
            FileKind::Directory | FileKind::Regular | FileKind::Whiteout => {
                return Err(io::Error::new(io::ErrorKind::Unsupported, "the host has no such kind of file"));
            }
        };
        if file_type == FileType::Symlink {
            rustix::fs::symlinkat(target, parent, name)?;
        } else {
            let (major, minor) = file.device;
            if major > MAX_DEVICE_MAJOR || minor > MAX_DEVICE_MINOR {
                let message = format!("the host has no device numbers as large as {major},{minor}");
                return Err(io::Error::new(io::ErrorKind::Unsupported, message));
            }
            let device = rustix::fs::makedev(major, minor);
            rustix::fs::mknodat(parent, name, file_type, PRIVATE_FILE, device)?;
        }
        if privileged {
            let (uid, gid) = owner(file);
            rustix::fs::chownat(parent, name, uid, gid, AtFlags::SYMLINK_NOFOLLOW)?;
        }
        if file_type != FileType::Symlink {
            // It was made just above, so it isn't a link that could be followed.
            rustix::fs::chmodat(parent, name, mode(file, privileged), AtFlags::empty())?;
        }
        Ok(rustix::fs::utimensat(parent, name, &times(file), AtFlags::SYMLINK_NOFOLLOW)?)
    }

    /// Sets owner, permissions and times of a file.
    pub(super) fn finish_file(&self, host: &File, file: &Attributes) -> io::Result<()> {
        self.finish(host, file)
    }

    /// Sets owner, permissions and times of a directory; nothing may be made in it any more.
    pub(super) fn finish_directory(&mut self, path: &[u8], directory: &Attributes) -> io::Result<()> {
        if path == ROOT_PATH && !self.made_root {
            return Ok(());
        }
        let host = self.directory(if path == ROOT_PATH { b"" } else { path })?.try_clone()?;
        self.finish(&host, directory)
    }

    fn finish(&self, host: impl std::os::fd::AsFd, file: &Attributes) -> io::Result<()> {
        if self.privileged {
            let (uid, gid) = owner(file);
            rustix::fs::fchown(&host, uid, gid)?;
        }
        rustix::fs::fchmod(&host, mode(file, self.privileged))?;
        Ok(rustix::fs::futimens(&host, &times(file))?)
    }

    /// The directory a path is in, and its name there.
    fn place<'p>(&mut self, path: &'p [u8]) -> io::Result<(&OwnedFd, &'p [u8])> {
        let slash = path.iter().rposition(|byte| *byte == b'/');
        let (parent, name) = slash.map_or((&b""[..], path), |slash| (&path[..slash], &path[slash + 1..]));
        check_name(name)?;
        Ok((self.directory(parent)?, name))
    }

    /// The directory at a path, empty for the root.
    fn directory(&mut self, path: &[u8]) -> io::Result<&OwnedFd> {
        if path.is_empty() {
            return Ok(&self.root);
        }
        let (mut at, rest) = match self.last.take() {
            Some((last, fd)) if last == path => (Some(fd), &path[path.len()..]),
            Some((last, fd)) if path.starts_with(&last) && path.get(last.len()) == Some(&b'/') => {
                (Some(fd), &path[last.len() + 1..])
            }
            _ => (None, path),
        };
        for name in rest.split(|byte| *byte == b'/').filter(|_| !rest.is_empty()) {
            check_name(name)?;
            let parent = at.as_ref().unwrap_or(&self.root);
            at = Some(rustix::fs::openat(parent, name, DIRECTORY, Mode::empty())?);
        }
        let opened = self.last.insert((path.to_vec(), at.expect("a path has at least one name")));
        Ok(&opened.1)
    }
}

/// Refuses names that would lead elsewhere.
fn check_name(name: &[u8]) -> io::Result<()> {
    if matches!(name, b"" | b"." | b"..") || name.iter().any(|byte| matches!(byte, 0 | b'/')) {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "a name no file of the host can have"));
    }
    Ok(())
}

fn owner(file: &Attributes) -> (Option<Uid>, Option<Gid>) {
    // To the host, the highest number means "no change".
    let real = |id: u32| (id != u32::MAX).then_some(id);
    (real(file.uid).map(Uid::from_raw), real(file.gid).map(Gid::from_raw))
}

/// A program must not run with the rights of somebody the file doesn't belong to.
fn mode(file: &Attributes, privileged: bool) -> Mode {
    let mode = Mode::from_raw_mode(file.mode);
    if privileged { mode } else { mode - Mode::SUID - Mode::SGID }
}

fn times(file: &Attributes) -> Timestamps {
    let time = |Timestamp { microseconds }: Timestamp| Timespec {
        tv_sec: (microseconds / 1_000_000).cast_signed(),
        tv_nsec: (microseconds % 1_000_000).cast_signed() * 1000,
    };
    Timestamps { last_access: time(file.atime), last_modification: time(file.mtime) }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{FileTypeExt, MetadataExt, symlink};

    use hammer2_core::media::{Inum, ModifyTid};
    use tempfile::TempDir;

    use super::*;

    fn file_of(kind: FileKind) -> Attributes {
        let time = Timestamp { microseconds: 1_000_000_500_000 };
        Attributes {
            inum: Inum(2),
            kind,
            mode: 0o6750,
            uid: 12,
            gid: 34,
            links: 1,
            size: 0,
            stored_bytes: 0,
            unstored_bytes: 0,
            device: (1, 3),
            parent: Inum::PFS_ROOT,
            atime: time,
            mtime: time,
            ctime: time,
            btime: time,
            flags: 0,
            comp_algo: 0,
            check_algo: 0,
            modify_tid: ModifyTid(1),
        }
    }

    /// A tree inside a folder that holds something else, too.
    fn tree() -> (TempDir, HostTree) {
        let folder = TempDir::new().unwrap();
        fs::create_dir(folder.path().join("outside")).unwrap();
        fs::write(folder.path().join("outside/file"), "untouched").unwrap();
        let tree = HostTree::open_or_make(&folder.path().join("in")).unwrap();
        (folder, tree)
    }

    #[test]
    fn forbidden_names_are_refused() {
        let (folder, mut tree) = tree();
        tree.make_directory(b"a").unwrap();
        let long = [b'x'; 256];
        for path in
            [&b".."[..], b"../x", b"a/../../x", b"/etc/x", b"a//x", b"a/.", b"a/..", b"a\0b", b"", b"./x", &long]
        {
            assert!(tree.make_file(path).is_err(), "{path:?}");
            assert!(path == ROOT_PATH || tree.make_directory(path).is_err(), "{path:?}");
            assert!(tree.make_special(path, &file_of(FileKind::Symlink), b"t").is_err(), "{path:?}");
        }
        assert_eq!(fs::read_dir(folder.path().join("in/a")).unwrap().count(), 0);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
    }

    #[test]
    fn links_lead_nowhere() {
        let (folder, mut tree) = tree();
        let outside = folder.path().join("outside");
        // One link was there before, the other comes from the image.
        symlink(&outside, folder.path().join("in/old")).unwrap();
        tree.make_special(b"new", &file_of(FileKind::Symlink), outside.to_str().unwrap().as_bytes()).unwrap();
        tree.make_special(b"file", &file_of(FileKind::Symlink), b"../outside/file").unwrap();
        for link in [&b"old"[..], b"new"] {
            assert!(tree.make_directory(link).is_err());
            assert!(tree.make_file(&[link, b"/evil"].concat()).is_err());
            assert!(tree.make_directory(&[link, b"/evil"].concat()).is_err());
            assert!(tree.make_link(&[link, b"/file"].concat(), b"stolen").is_err());
            assert!(tree.finish_directory(link, &file_of(FileKind::Directory)).is_err());
        }
        assert!(tree.make_file(b"file").is_err(), "a link is not written through");
        assert_eq!(fs::read_dir(&outside).unwrap().count(), 1);
        assert_eq!(fs::read(outside.join("file")).unwrap(), b"untouched");
        assert_ne!(fs::metadata(&outside).unwrap().mtime(), 1_000_000);
    }

    #[test]
    fn what_exists_is_not_changed() {
        let (folder, mut tree) = tree();
        fs::write(folder.path().join("in/file"), "mine").unwrap();
        fs::create_dir(folder.path().join("in/folder")).unwrap();
        assert!(tree.make_file(b"file").is_err() && tree.make_directory(b"file").is_err());
        tree.make_directory(b"folder").unwrap();
        tree.make_file(b"folder/added").unwrap();
        assert_eq!(fs::read(folder.path().join("in/file")).unwrap(), b"mine");
    }

    #[test]
    fn attributes_are_kept() {
        let (folder, mut tree) = tree();
        let path = |name: &str| folder.path().join("in").join(name);
        tree.make_directory(b"d").unwrap();
        let host = tree.make_file(b"d/f").unwrap();
        tree.finish_file(&host, &file_of(FileKind::Regular)).unwrap();
        tree.make_link(b"d/f", b"d/g").unwrap();
        tree.make_special(b"d/pipe", &file_of(FileKind::Fifo), b"").unwrap();
        tree.make_special(b"d/link", &file_of(FileKind::Symlink), b"/no/where").unwrap();
        tree.finish_directory(b"d", &file_of(FileKind::Directory)).unwrap();
        let special = if tree.privileged { 0o6000 } else { 0 };
        for name in ["d", "d/f", "d/pipe", "d/link"] {
            let found = fs::symlink_metadata(path(name)).unwrap();
            assert_eq!((found.mtime(), found.mtime_nsec()), (1_000_000, 500_000_000), "{name}");
            assert!(name == "d/link" || found.mode() & 0o7777 == 0o750 | special, "{name}");
            assert!(!tree.privileged || (found.uid(), found.gid()) == (12, 34), "{name}");
        }
        assert_eq!(fs::metadata(path("d/g")).unwrap().nlink(), 2);
        assert!(fs::symlink_metadata(path("d/pipe")).unwrap().file_type().is_fifo());
        assert_eq!(fs::read_link(path("d/link")).unwrap(), Path::new("/no/where"));
    }

    #[test]
    fn paths_may_be_deep_and_jump_about() {
        let (folder, mut tree) = tree();
        let mut path = b"0".to_vec();
        tree.make_directory(&path).unwrap();
        for depth in 1..300 {
            path.extend_from_slice(format!("/{depth}").as_bytes());
            tree.make_directory(&path).unwrap();
            tree.make_file(format!("0/file{depth}").as_bytes()).unwrap();
        }
        assert_eq!(fs::read_dir(folder.path().join("in/0")).unwrap().count(), 300);
    }
}
