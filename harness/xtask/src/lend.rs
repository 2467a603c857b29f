//! What this program lends the scripts that boot Linux: files that can be disks, and options of QEMU for disks.

use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use crate::checkout::Checkout;
use crate::qemu::disk::{self, Disk, Use};
use crate::qemu::image::attachable;
use crate::system::need::Needs;
use crate::system::words::say;
use crate::trouble::{About, Done, Trouble};

/// `image PATH UNPACKED`: prints the path of a file that QEMU can attach; what is compressed is unpacked.
///
/// # Errors
///
/// It is no image, or there are other words.
pub(crate) fn image(checkout: &Checkout, name: &str, words: lexopt::Parser) -> Done {
    let words = all(words)?;
    let [path, unpacked] = &words[..] else { return Err(Trouble::unusable("image takes PATH UNPACKED")) };
    let path = path.to_str().ok_or_else(|| Trouble::unusable("a path that is no text"))?;
    let file = attachable(path, unpacked, &Needs::new(checkout, name))?;
    say!("{}", file.display());
    Ok(())
}

/// `drives snapshot|unsafe FILE...`: prints QEMU's options for these disks, each with a zero byte behind it.
///
/// # Errors
///
/// There are too many, or other words.
pub(crate) fn drives(words: lexopt::Parser) -> Done {
    let words = all(words)?;
    let Some((usage, files)) = words.split_first() else { return Err(Trouble::unusable("drives takes FILE...")) };
    let usage = match usage.to_str() {
        Some("snapshot") => Use::Snapshot,
        Some("unsafe") => Use::Unsafe,
        _ => return Err(Trouble::unusable(format!("no use of a disk: {}", usage.display()))),
    };
    let disks: Vec<Disk> = files.iter().map(|file| Disk::File(file.clone(), usage)).collect();
    let mut text = Vec::new();
    for option in disk::options(&disks)? {
        text.extend_from_slice(option.as_bytes());
        text.push(0);
    }
    io::stdout().write_all(&text).about("standard output")
}

fn all(mut words: lexopt::Parser) -> Done<Vec<PathBuf>> {
    let words = words.raw_args().map_err(Trouble::unusable)?;
    Ok(words.map(PathBuf::from).collect())
}
