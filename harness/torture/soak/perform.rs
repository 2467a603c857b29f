//! Doing a step of the model on a directory of the host.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, symlink};
use std::path::Path;

use hammer2_model::{Step, bytes};
use rustix::fs::{CWD, FallocateFlags, RenameFlags};

/// Does a step below `root`.
pub(crate) fn perform(step: &Step, root: &Path) -> io::Result<()> {
    let open = |path: &String| OpenOptions::new().write(true).open(root.join(path));
    match step {
        Step::Create(path) => File::create_new(root.join(path)).map(drop),
        Step::Mkdir(path) => fs::create_dir(root.join(path)),
        Step::Symlink(path, target) => symlink(target, root.join(path)),
        Step::Write(path, offset, len, kind) => open(path)?.write_all_at(&bytes(*offset, *len, *kind), *offset),
        Step::Truncate(path, size) => open(path)?.set_len(*size),
        Step::Punch(path, offset, len) => {
            let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
            Ok(rustix::fs::fallocate(open(path)?, flags, *offset, *len)?)
        }
        Step::Clone(from, offset, to, to_offset, len) => {
            let (from, to) = (File::open(root.join(from))?, open(to)?);
            // What is appended to the source meanwhile, if it is the same file, isn't meant.
            let end = (offset + len).min(from.metadata()?.len());
            let (mut at, mut to_at) = (*offset, *to_offset);
            while at < end {
                let left = usize::try_from(end - at).unwrap_or(usize::MAX);
                if rustix::fs::copy_file_range(&from, Some(&mut at), &to, Some(&mut to_at), left)? == 0 {
                    break;
                }
            }
            Ok(())
        }
        Step::Link(path, new) => fs::hard_link(root.join(path), root.join(new)),
        Step::Unlink(path) => fs::remove_file(root.join(path)),
        Step::Rmdir(path) => fs::remove_dir(root.join(path)),
        Step::Rename(path, new) => fs::rename(root.join(path), root.join(new)),
        Step::Exchange(path, other) => {
            Ok(rustix::fs::renameat_with(CWD, root.join(path), CWD, root.join(other), RenameFlags::EXCHANGE)?)
        }
        Step::Fsync(path) => File::open(root.join(path))?.sync_all(),
        Step::Append(..) | Step::Methods(..) | Step::Grow | Step::Sync | Step::Snapshot(_) | Step::Bulkfree => {
            Err(io::ErrorKind::Unsupported.into())
        }
    }
}
