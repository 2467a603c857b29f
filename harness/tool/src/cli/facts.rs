//! Facts about a file, as lines and as JSON.

use std::fmt::{self, Display};

use hammer2_core::manifest::type_name;
use hammer2_core::media::FileKind;
use serde_json::{Map, Value, json};

use super::methods::{check_name, compression_name};
use super::output::insert_bytes;
use crate::admin::FileFacts;

/// The facts about a file as a JSON object.
pub(super) fn json_of(path: &[u8], file: &FileFacts) -> Value {
    let mut object = Map::new();
    insert_bytes(&mut object, "path", path);
    let mut insert = |key: &str, value: Value| object.insert(key.to_owned(), value);
    insert("inum", file.inum.into());
    insert("type", kind_of(file).map_or("unknown", type_name).into());
    insert("mode", format!("{:04o}", file.mode).into());
    insert("uid", file.uid.into());
    insert("gid", file.gid.into());
    insert("nlink", file.links.into());
    insert("size", file.size.into());
    insert("stored_bytes", file.stored_bytes.into());
    if matches!(kind_of(file), Some(FileKind::CharDevice | FileKind::BlockDevice)) {
        insert("rdev", json!([file.device.0, file.device.1]));
    }
    insert("parent", file.parent.into());
    for (key, time) in [
        ("atime_us", file.atime_us),
        ("mtime_us", file.mtime_us),
        ("ctime_us", file.ctime_us),
        ("btime_us", file.btime_us),
    ] {
        insert(key, time.into());
    }
    insert("compression", compression_name(file.compression).into());
    insert("check", check_name(file.check).into());
    insert("flags", file.flags.into());
    insert("modify_tid", file.modify_tid.into());
    if let Some(target) = &file.target {
        insert_bytes(&mut object, "target", target);
    }
    Value::Object(object)
}

/// The type of a file, if this program knows it.
pub(super) fn kind_of(file: &FileFacts) -> Option<FileKind> {
    FileKind::from_code(file.kind).ok()
}

/// Type and permissions as `ls -l` shows them.
pub(super) struct ModeLetters(pub(super) FileKind, pub(super) u32);

impl Display for ModeLetters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(kind, mode) = *self;
        let mut letters = [b'-'; 10];
        letters[0] = match kind {
            FileKind::Directory => b'd',
            FileKind::Regular => b'-',
            FileKind::Fifo => b'p',
            FileKind::CharDevice => b'c',
            FileKind::BlockDevice => b'b',
            FileKind::Symlink => b'l',
            FileKind::Socket => b's',
            FileKind::Whiteout => b'w',
        };
        for (place, letter) in b"rwxrwxrwx".iter().enumerate() {
            if mode & 0o400 >> place != 0 {
                letters[1 + place] = *letter;
            }
        }
        for (bit, place, set) in [(0o4000, 3, b's'), (0o2000, 6, b's'), (0o1000, 9, b't')] {
            if mode & bit != 0 {
                letters[place] = if letters[place] == b'x' { set } else { set.to_ascii_uppercase() };
            }
        }
        f.pad(str::from_utf8(&letters).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_are_shown_as_ls_does() {
        assert_eq!(ModeLetters(FileKind::Regular, 0o644).to_string(), "-rw-r--r--");
        assert_eq!(ModeLetters(FileKind::Directory, 0o1777).to_string(), "drwxrwxrwt");
        assert_eq!(ModeLetters(FileKind::Regular, 0o6640).to_string(), "-rwSr-S---");
    }
}
