//! A line of the manifest.

use core::fmt::{self, Write};

use crate::fs::Attributes;
use crate::media::FileKind;
use crate::memory::{self, Heap, NoMemory, Vec};

/// A JSON object in the making.
pub(super) struct Line {
    text: Vec<u8>,
}

impl Line {
    pub(super) fn new(heap: Heap) -> Self {
        Self { text: Vec::new_in(heap) }
    }

    /// Begins a line with what every kind of file has; without attributes, with the name and type only.
    pub(super) fn start(
        &mut self,
        path: &[u8],
        attributes: Option<&Attributes>,
        kind: FileKind,
    ) -> Result<(), NoMemory> {
        self.text.clear();
        memory::extend(&mut self.text, b"{")?;
        self.name("path", path)?;
        self.print(format_args!(", \"type\": \"{}\"", type_name(kind)))?;
        if let Some(a) = attributes {
            self.print(format_args!(", \"mode\": \"{:04o}\"", a.mode))?;
            self.number("uid", a.uid.into())?;
            self.number("gid", a.gid.into())?;
            self.number("nlink", a.links)?;
            self.print(format_args!(", \"mtime_ns\": {}", a.mtime.nanoseconds()))?;
        }
        Ok(())
    }

    pub(super) fn number(&mut self, key: &str, value: u64) -> Result<(), NoMemory> {
        self.print(format_args!(", \"{key}\": {value}"))
    }

    pub(super) fn device(&mut self, (major, minor): (u32, u32)) -> Result<(), NoMemory> {
        self.print(format_args!(", \"rdev\": [{major}, {minor}]"))
    }

    pub(super) fn hex(&mut self, key: &str, bytes: &[u8]) -> Result<(), NoMemory> {
        self.key(key)?;
        memory::extend(&mut self.text, b"\"")?;
        bytes.iter().try_for_each(|byte| self.print(format_args!("{byte:02x}")))?;
        memory::extend(&mut self.text, b"\"")
    }

    /// A name or path: as a string when it is UTF-8, else in hexadecimal under `KEY_hex`.
    pub(super) fn name(&mut self, key: &str, name: &[u8]) -> Result<(), NoMemory> {
        match core::str::from_utf8(name) {
            Ok(text) => {
                self.key(key)?;
                self.string(format_args!("{text}"))
            }
            Err(_) => {
                self.key(key)?;
                // The key was closed with a quote, a colon and a space.
                self.text.truncate(self.text.len() - 3);
                memory::extend(&mut self.text, b"_hex\": \"")?;
                name.iter().try_for_each(|byte| self.print(format_args!("{byte:02x}")))?;
                memory::extend(&mut self.text, b"\"")
            }
        }
    }

    pub(super) fn error(&mut self, why: &dyn fmt::Display) -> Result<(), NoMemory> {
        self.key("error")?;
        self.string(format_args!("{why}"))
    }

    /// The whole line with its newline.
    pub(super) fn end(&mut self) -> Result<&[u8], NoMemory> {
        memory::extend(&mut self.text, b"}\n")?;
        Ok(&self.text)
    }

    fn key(&mut self, key: &str) -> Result<(), NoMemory> {
        let comma = if self.text.len() > 1 { ", " } else { "" };
        self.print(format_args!("{comma}\"{key}\": "))
    }

    fn string(&mut self, text: fmt::Arguments<'_>) -> Result<(), NoMemory> {
        memory::extend(&mut self.text, b"\"")?;
        write!(Escaped(&mut self.text), "{text}").map_err(|_| NoMemory)?;
        memory::extend(&mut self.text, b"\"")
    }

    fn print(&mut self, text: fmt::Arguments<'_>) -> Result<(), NoMemory> {
        write!(Plain(&mut self.text), "{text}").map_err(|_| NoMemory)
    }
}

struct Plain<'t>(&'t mut Vec<u8>);

impl Write for Plain<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        memory::extend(self.0, text.as_bytes()).map_err(|_| fmt::Error)
    }
}

/// Text inside a JSON string.
struct Escaped<'t>(&'t mut Vec<u8>);

impl Write for Escaped<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for byte in text.bytes() {
            match byte {
                b'"' | b'\\' => memory::extend(self.0, &[b'\\', byte]).map_err(|_| fmt::Error)?,
                0..0x20 | 0x7f => write!(Plain(self.0), "\\u{byte:04x}")?,
                _ => memory::push(self.0, byte).map_err(|_| fmt::Error)?,
            }
        }
        Ok(())
    }
}

fn type_name(kind: FileKind) -> &'static str {
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

#[cfg(test)]
mod tests {
    extern crate std;

    use super::*;
    use allocator_api2::alloc::Global;
    use std::string::String;

    static HEAP: Global = Global;

    fn line(path: &[u8]) -> String {
        let mut line = Line::new(&HEAP);
        line.start(path, None, FileKind::Socket).unwrap();
        line.error(&"say \"no\"").unwrap();
        String::from_utf8(line.end().unwrap().into()).unwrap()
    }

    #[test]
    fn names_of_any_bytes() {
        assert_eq!(line(b"a/b"), "{\"path\": \"a/b\", \"type\": \"socket\", \"error\": \"say \\\"no\\\"\"}\n");
        assert_eq!(
            line(b"a\n\\"),
            "{\"path\": \"a\\u000a\\\\\", \"type\": \"socket\", \"error\": \"say \\\"no\\\"\"}\n"
        );
        assert_eq!(line(b"\xff"), "{\"path_hex\": \"ff\", \"type\": \"socket\", \"error\": \"say \\\"no\\\"\"}\n");
    }
}
