//! A line: one file as a JSON object.

use core::fmt::{self, Display, Write};

use super::Hex;
use crate::fs::Attributes;
use crate::media::FileKind;

/// A file's line, without the newline. Keys whose value isn't known or doesn't apply are left out.
pub struct Line<'a> {
    path: &'a [u8],
    kind: FileKind,
    /// What is known of it.
    pub attributes: Option<&'a Attributes>,
    /// The digest of a regular file's content.
    pub sha256: Option<[u8; 32]>,
    /// Where a symbolic link leads.
    pub target: Option<&'a [u8]>,
    error: Option<&'a dyn Display>,
}

impl<'a> Line<'a> {
    /// A line that says no more than the directory entry does.
    pub fn new(path: &'a [u8], kind: FileKind) -> Self {
        Self { path, kind, attributes: None, sha256: None, target: None, error: None }
    }

    pub(super) fn with_error<'e>(&self, error: &'e dyn Display) -> Line<'e>
    where
        'a: 'e,
    {
        Line { error: Some(error), ..*self }
    }
}

impl Display for Line<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_char('{')?;
        write_bytes(f, "path", self.path)?;
        write!(f, ",\"type\":\"{}\"", type_name(self.kind))?;
        if let Some(attributes) = self.attributes {
            let Attributes { mode, uid, gid, links, mtime, size, device: (major, minor), .. } = attributes;
            let mtime_ns = u128::from(mtime.microseconds) * 1000;
            write!(
                f,
                ",\"mode\":\"{mode:04o}\",\"uid\":{uid},\"gid\":{gid},\"nlink\":{links},\"mtime_ns\":{mtime_ns}"
            )?;
            match self.kind {
                FileKind::Regular | FileKind::Symlink => write!(f, ",\"size\":{size}")?,
                FileKind::CharDevice | FileKind::BlockDevice => write!(f, ",\"rdev\":[{major},{minor}]")?,
                _ => {}
            }
        }
        if let Some(digest) = &self.sha256 {
            write!(f, ",\"sha256\":\"{}\"", Hex(digest))?;
        }
        if let Some(target) = self.target {
            f.write_char(',')?;
            write_bytes(f, "target", target)?;
        }
        if let Some(error) = self.error {
            f.write_str(",\"error\":\"")?;
            write!(Escaped(f), "{error}")?;
            f.write_char('"')?;
        }
        f.write_char('}')
    }
}

/// The name of a file's type in manifests.
pub fn type_name(kind: FileKind) -> &'static str {
    match kind {
        FileKind::Directory => "dir",
        FileKind::Regular => "file",
        FileKind::Fifo => "fifo",
        FileKind::CharDevice => "cdev",
        FileKind::BlockDevice => "bdev",
        FileKind::Symlink => "symlink",
        FileKind::Socket => "socket",
        FileKind::Whiteout => "whiteout",
    }
}

/// Writes a key and its text, or the key with `_hex` and hexadecimal digits if the text isn't UTF-8.
fn write_bytes(f: &mut fmt::Formatter<'_>, key: &str, bytes: &[u8]) -> fmt::Result {
    match core::str::from_utf8(bytes) {
        Ok(text) => {
            write!(f, "\"{key}\":\"")?;
            Escaped(f).write_str(text)?;
            f.write_char('"')
        }
        Err(_) => write!(f, "\"{key}_hex\":\"{}\"", Hex(bytes)),
    }
}

/// Writes text as the inside of a JSON string.
struct Escaped<'f, 'b>(&'f mut fmt::Formatter<'b>);

impl Write for Escaped<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        text.chars().try_for_each(|letter| match letter {
            '"' => self.0.write_str("\\\""),
            '\\' => self.0.write_str("\\\\"),
            control if control.is_control() => write!(self.0, "\\u{:04x}", u32::from(control)),
            other => self.0.write_char(other),
        })
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use std::string::ToString;

    use super::*;
    use crate::media::{Inum, ModifyTid, Timestamp};

    const ATTRIBUTES: Attributes = Attributes {
        inum: Inum(5),
        kind: FileKind::Regular,
        mode: 0o644,
        uid: 1,
        gid: 2,
        links: 3,
        size: 4,
        stored_bytes: 0,
        unstored_bytes: 0,
        device: (8, 9),
        parent: Inum(1),
        atime: Timestamp { microseconds: 0 },
        mtime: Timestamp { microseconds: u64::MAX },
        ctime: Timestamp { microseconds: 0 },
        btime: Timestamp { microseconds: 0 },
        flags: 0,
        comp_algo: 0,
        check_algo: 0,
        modify_tid: ModifyTid(0),
    };

    #[test]
    fn lines_are_json_with_keys_in_order() {
        let mut line = Line::new(b"a/\"b\\\n\xc3\xa4\xc2\x80", FileKind::Regular);
        line.attributes = Some(&ATTRIBUTES);
        line.sha256 = Some([0xab; 32]);
        let expected = r#"{"path":"a/\"b\\\u000aä\u0080","type":"file","mode":"0644","uid":1,"gid":2,"nlink":3,"#
            .to_string()
            + r#""mtime_ns":18446744073709551615000,"size":4,"sha256":"#;
        let text = line.to_string();
        assert_eq!(text.strip_prefix(&expected), Some(&*std::format!("\"{}\"}}", "ab".repeat(32))));
    }

    #[test]
    fn bytes_that_are_no_text_are_hexadecimal() {
        let mut line = Line::new(b"\xff", FileKind::Symlink);
        line.target = Some(b"x\xfe");
        let text = line.with_error(&"no \"good\"").to_string();
        assert_eq!(text, r#"{"path_hex":"ff","type":"symlink","target_hex":"78fe","error":"no \"good\""}"#);
        let mut device = Line::new(b"d", FileKind::CharDevice);
        device.attributes = Some(&ATTRIBUTES);
        assert!(device.to_string().ends_with(r#""mtime_ns":18446744073709551615000,"rdev":[8,9]}"#));
    }
}
