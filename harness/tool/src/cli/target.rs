//! How a filesystem is named on the command line: `NODE[+NODE...][@LABEL][:/PATH]`, a node being `IMG[:IMG2...]`. An image is a
//! file, a block device, or an export of an NBD server, `nbd://HOST[:PORT]/EXPORT`. `@LABEL`, `LABEL=LABEL` and `UUID=UUID` stand
//! for the nodes on which such a PFS is found.
//!
//! File names may hold `@`, `+` and `:`, so the text alone can't always say where a part ends. The rules, in order:
//!
//! 1. An argument that is the name of an existing file is that file.
//! 2. An argument that begins with `@LABEL`, `LABEL=` or `UUID=` names a filesystem whose disks are searched for.
//! 3. The label begins at the first `@` after which neither `/` nor another `@` comes before the argument's end or the
//!    `:/` of a path. An empty label means none: `a@b.img@` is a file with an `@`, and `IMG@:/PATH` says where the images
//!    end.
//! 4. Without such an `@`, the path begins at the first `:/` after which no names of possible volumes follow. A directory isn't
//!    one, nor is a file with other content: most paths in a filesystem exist on the host, too.
//! 5. Before that, `:` separates images and `+` nodes, except in names of existing files.
//!
//! An export, at the beginning or behind `+` or `:`, is a single name, whatever characters it has; its own `@`, `+` and `:` are
//! written %40, %2B and %3A.

use std::ffi::OsStr;
use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use clap::builder::{OsStringValueParser, TypedValueParser};
use hammer2_core::cluster::MAX_NODES;
use hammer2_host::device::ExportAddress;
use hammer2_host::unsynced;

use super::named::{Disks, Name};
use super::output::Shown;
use super::volume_file;

/// The filesystem, and perhaps the path in it, that a command is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// The nodes, each with the images of its volumes.
    pub nodes: Vec<Vec<PathBuf>>,
    /// The PFS; none for the default one.
    pub label: Option<Vec<u8>>,
    /// The path inside it, absolute.
    pub path: Vec<u8>,
}

/// Why an argument names no filesystem.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TargetError {
    /// Two separators without a name between them, or none at all.
    #[error("'{0}': an image has no name; write IMG[:IMG2...][@LABEL][:/PATH]")]
    EmptyImage(String),
    /// A name of which no disks are found, or no single filesystem.
    #[error("{0}")]
    Unfound(String),
    /// More nodes than a cluster may have.
    #[error("'{0}': a cluster has at most {MAX_NODES} nodes")]
    TooManyNodes(String),
}

impl Target {
    /// Reads an argument, asking the host which files exist, and which of them can be volumes.
    pub fn parse(argument: &OsStr) -> Result<Self, TargetError> {
        let host = Host { exists: &unsynced::exists, can_be_volume: &volume_file::can_be_volume, find: &Name::find };
        let target = Self::parse_with(argument.as_bytes(), &host)?;
        if target.nodes.len() > MAX_NODES {
            return Err(TargetError::TooManyNodes(argument.to_string_lossy().into_owned()));
        }
        Ok(target)
    }

    /// A node by itself.
    pub(super) fn of_node(images: &[PathBuf]) -> Self {
        Self { nodes: vec![images.to_vec()], label: None, path: b"/".to_vec() }
    }

    /// The images of a single node; none when several nodes are named.
    pub fn only_node(&self) -> Option<&Vec<PathBuf>> {
        match &self.nodes[..] {
            [only] => Some(only),
            _ => None,
        }
    }

    /// The directory that this names instead of an image, if it does.
    pub fn directory(&self) -> Option<&Path> {
        match &self.only_node()?[..] {
            [only] if self.label.is_none() && unsynced::is_directory(only) => Some(only),
            _ => None,
        }
    }

    /// All images.
    pub fn images(&self) -> impl Iterator<Item = &PathBuf> {
        self.nodes.iter().flatten()
    }

    /// [`parse`](Self::parse) for clap.
    pub(super) fn parser() -> impl TypedValueParser<Value = Self> {
        OsStringValueParser::new().try_map(|argument| Self::parse(&argument))
    }

    fn parse_with(whole: &[u8], host: &Host<'_>) -> Result<Self, TargetError> {
        if !names(whole, host.exists)
            && let Some((name, path)) = Name::split(whole).map_err(TargetError::Unfound)?
        {
            let Disks { nodes, label } = (host.find)(&name).map_err(TargetError::Unfound)?;
            return Ok(Self { nodes, label, path: path.to_vec() });
        }
        let (argument, exports) = set_exports_aside(whole);
        let argument = &argument[..];
        let exists = |name: &[u8]| names(name, host.exists);
        let (nodes, label, path) = if exists(argument) {
            (argument, None, None)
        } else if let Some((nodes, label, path)) = split_at_label(argument) {
            (nodes, Some(label).filter(|label| !label.is_empty()), path)
        } else {
            let (nodes, path) = split_at_path(argument, &|name| names(name, host.can_be_volume));
            (nodes, None, path)
        };
        let nodes = split_nodes(nodes, &exists);
        if nodes.iter().flatten().any(|image| image.is_empty()) {
            return Err(TargetError::EmptyImage(String::from_utf8_lossy(whole).into_owned()));
        }
        let path_of = |image: &&[u8]| PathBuf::from(OsStr::from_bytes(&put_back(image, &exports)));
        Ok(Self {
            nodes: nodes.iter().map(|images| images.iter().map(path_of).collect()).collect(),
            label: label.map(|label| put_back(label, &exports)),
            path: put_back(path.unwrap_or(b"/"), &exports),
        })
    }
}

/// Answers of the host about files.
struct Host<'h> {
    exists: &'h dyn Fn(&Path) -> bool,
    can_be_volume: &'h dyn Fn(&Path) -> bool,
    find: &'h dyn Fn(&Name) -> Result<Disks, String>,
}

/// True for the name of an export, or of a file for which `is_so` holds.
fn names(name: &[u8], is_so: &dyn Fn(&Path) -> bool) -> bool {
    is_export(name) || (!name.is_empty() && is_so(Path::new(OsStr::from_bytes(name))))
}

/// The nodes and the PFS, as an argument without a path.
impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let volumes = |images: &Vec<PathBuf>| {
            images.iter().map(|image| image.display().to_string()).collect::<Vec<_>>().join(":")
        };
        f.write_str(&self.nodes.iter().map(volumes).collect::<Vec<_>>().join("+"))?;
        match &self.label {
            Some(label) => write!(f, "@{}", Shown(label)),
            None => Ok(()),
        }
    }
}

/// The argument with each export replaced by as many NULs as its number, counted from 1: an argument has no other NULs.
fn set_exports_aside(mut argument: &[u8]) -> (Vec<u8>, Vec<&[u8]>) {
    let (mut rest, mut exports) = (Vec::new(), Vec::new());
    while let Some(byte) = argument.first() {
        let begins = rest.last().is_none_or(|last| b"+:".contains(last));
        let length = ExportAddress::length_at(argument).filter(|_| begins);
        if let Some(length) = length {
            exports.push(&argument[..length]);
            rest.resize(rest.len() + exports.len(), 0);
        } else {
            rest.push(*byte);
        }
        argument = &argument[length.unwrap_or(1)..];
    }
    (rest, exports)
}

/// A part of the argument as it was.
fn put_back(part: &[u8], exports: &[&[u8]]) -> Vec<u8> {
    let pieces = part.chunk_by(|one, next| (*one == 0) == (*next == 0));
    pieces.flat_map(|piece| if is_export(piece) { exports[piece.len() - 1] } else { piece }).copied().collect()
}

/// True for a placeholder of an export.
fn is_export(image: &[u8]) -> bool {
    !image.is_empty() && image.iter().all(|byte| *byte == 0)
}

type Parts<'a> = (&'a [u8], &'a [u8], Option<&'a [u8]>);

/// Rule 3: nodes, label and path.
fn split_at_label(argument: &[u8]) -> Option<Parts<'_>> {
    let ats = argument.iter().enumerate().filter(|(_, byte)| **byte == b'@').map(|(at, _)| at);
    ats.filter_map(|at| {
        let (nodes, rest) = (&argument[..at], &argument[at + 1..]);
        let path_at = rest.windows(2).position(|pair| pair == b":/");
        let label = &rest[..path_at.unwrap_or(rest.len())];
        let path = path_at.map(|colon| &rest[colon + 1..]);
        label.iter().all(|byte| !b"/@".contains(byte)).then_some((nodes, label, path))
    })
    .next()
}

/// Rule 4: nodes and path.
fn split_at_path<'a>(argument: &'a [u8], is_volume: &dyn Fn(&[u8]) -> bool) -> (&'a [u8], Option<&'a [u8]>) {
    let colons = argument.windows(2).enumerate().filter(|(_, pair)| pair == b":/").map(|(colon, _)| colon);
    for colon in colons {
        let piece = argument[colon + 1..].split(|byte| *byte == b':').next().unwrap_or_default();
        if !is_volume(piece) && !piece.split(|byte| *byte == b'+').all(is_volume) {
            return (&argument[..colon], Some(&argument[colon + 1..]));
        }
    }
    (argument, None)
}

/// Rule 5: the images of each node.
fn split_nodes<'a>(nodes: &'a [u8], exists: &dyn Fn(&[u8]) -> bool) -> Vec<Vec<&'a [u8]>> {
    if exists(nodes) {
        return vec![vec![nodes]];
    }
    let mut split = vec![vec![]];
    for piece in nodes.split(|byte| *byte == b':') {
        let images: Vec<_> = if exists(piece) { vec![piece] } else { piece.split(|byte| *byte == b'+').collect() };
        for (index, image) in images.into_iter().enumerate() {
            if index > 0 {
                split.push(vec![]);
            }
            split.last_mut().expect("there is one from the start").push(image);
        }
    }
    split
}

#[cfg(test)]
mod tests {
    use super::*;

    const VOLUMES: [&str; 7] = ["a.img", "/d/b.img", "/d/c.img", "x@y.img", "p+q.img", "col:on", "/d/m+n"];
    /// Other paths that exist on the host.
    const OTHERS: [&str; 4] = ["/", "/etc", "/etc/passwd", "/d"];

    fn parse(argument: &str) -> Result<String, TargetError> {
        let is_one_of = |files: &[&str], path: &Path| files.iter().any(|file| Path::new(file) == path);
        let can_be_volume = |path: &Path| is_one_of(&VOLUMES, path);
        let exists = |path: &Path| can_be_volume(path) || is_one_of(&OTHERS, path);
        let find = |name: &Name| match name {
            Name::Label(label) if label == b"WORK" => {
                Ok(Disks { nodes: vec![vec!["a.img".into()], vec!["b".into()]], label: Some(label.clone()) })
            }
            other => Err(other.to_string()),
        };
        let host = Host { exists: &exists, can_be_volume: &can_be_volume, find: &find };
        let target = Target::parse_with(argument.as_bytes(), &host)?;
        let node = |images: &Vec<PathBuf>| images.iter().map(|image| image.display().to_string()).collect::<Vec<_>>();
        let nodes: Vec<_> = target.nodes.iter().map(|images| node(images).join(" , ")).collect();
        let label = target.label.map_or("-".into(), |label| String::from_utf8(label).unwrap());
        Ok(format!("{} | {label} | {}", nodes.join(" + "), String::from_utf8(target.path).unwrap()))
    }

    #[test]
    fn arguments_are_split_as_documented() {
        let cases = [
            ("a.img", "a.img | - | /"),
            ("missing.img", "missing.img | - | /"),
            ("a.img@DATA", "a.img | DATA | /"),
            ("a.img@DATA:/dir/file", "a.img | DATA | /dir/file"),
            ("a.img:/dir/file", "a.img | - | /dir/file"),
            ("a.img:/", "a.img | - | /"),
            ("/d/b.img:/d/c.img", "/d/b.img , /d/c.img | - | /"),
            ("/d/b.img:/d/c.img@DATA:/d/c.img", "/d/b.img , /d/c.img | DATA | /d/c.img"),
            ("/d/b.img:/d/c.img:/dir:1", "/d/b.img , /d/c.img | - | /dir:1"),
            ("/d/b.img:/d/none.img@DATA", "/d/b.img , /d/none.img | DATA | /"),
            ("a.img:none.img", "a.img , none.img | - | /"),
            ("a.img@:/d/c.img", "a.img | - | /d/c.img"),
            ("a.img@DATA:/x@y:/z", "a.img | DATA | /x@y:/z"),
            ("/tmp/a@b/c.img", "/tmp/a@b/c.img | - | /"),
            ("/tmp/a@b/c.img@DATA", "/tmp/a@b/c.img | DATA | /"),
            ("x@y.img", "x@y.img | - | /"),
            ("x@y.img@DATA", "x@y.img | DATA | /"),
            ("u@v.img@", "u@v.img | - | /"),
            ("col:on", "col:on | - | /"),
            ("col:on@DATA", "col:on | DATA | /"),
            ("p+q.img@DATA", "p+q.img | DATA | /"),
            ("a.img+b.img", "a.img + b.img | - | /"),
            ("a.img:none+/d/b.img:/d/c.img@DATA:/p", "a.img , none + /d/b.img , /d/c.img | DATA | /p"),
            ("a.img:/d/b.img+/d/c.img", "a.img , /d/b.img + /d/c.img | - | /"),
            ("a.img:/d/m+n:p+q.img", "a.img , /d/m+n , p+q.img | - | /"),
            ("a.img:/etc", "a.img | - | /etc"),
            ("a.img:/etc/passwd", "a.img | - | /etc/passwd"),
            ("/d/b.img:/d/c.img:/d", "/d/b.img , /d/c.img | - | /d"),
            ("a.img+/d/b.img:/", "a.img + /d/b.img | - | /"),
            ("/d", "/d | - | /"),
            ("nbd://h:1/e:/", "nbd://h:1/e | - | /"),
            ("nbd://h:1/e:/etc/passwd", "nbd://h:1/e | - | /etc/passwd"),
            ("nbd://h:1/e", "nbd://h:1/e | - | /"),
            ("nbd://h:1/e@DATA:/dir/file", "nbd://h:1/e | DATA | /dir/file"),
            ("nbd://h/e/f:/dir:1", "nbd://h/e/f | - | /dir:1"),
            ("nbd://h@:/dir", "nbd://h | - | /dir"),
            ("nbd://h:1/e+a.img+nbd://[::1]:2/e@DATA:/p", "nbd://h:1/e + a.img + nbd://[::1]:2/e | DATA | /p"),
            ("a.img:nbd://h/1:nbd://h/2+nbd://h/3", "a.img , nbd://h/1 , nbd://h/2 + nbd://h/3 | - | /"),
            ("/d/b.img:/d/c.img+nbd://h/e:/p", "/d/b.img , /d/c.img + nbd://h/e | - | /p"),
            ("@WORK", "a.img + b | WORK | /"),
            ("LABEL=WORK:/dir/file", "a.img + b | WORK | /dir/file"),
            ("a.img@DATA:/x+nbd://h/e:nbd://h/f", "a.img | DATA | /x+nbd://h/e:nbd://h/f"),
        ];
        for (argument, expected) in cases {
            assert_eq!(parse(argument).as_deref(), Ok(expected), "{argument}");
        }
    }

    #[test]
    fn nameless_images_are_refused() {
        for argument in ["", ":/path", "a.img:", "a.img::b.img", "a.img+", "+a.img@DATA", "@"] {
            assert!(matches!(parse(argument), Err(TargetError::EmptyImage(_))), "{argument}");
        }
    }

    #[test]
    fn names_that_nothing_has_are_told() {
        assert_eq!(parse("@HOME"), Err(TargetError::Unfound("@HOME".into())));
        assert!(matches!(parse("UUID=nonsense"), Err(TargetError::Unfound(_))));
    }

    #[test]
    fn no_cluster_has_nine_nodes() {
        let error = Target::parse(OsStr::new("a+b+c+d+e+f+g+h+i@DATA")).unwrap_err();
        assert!(error.to_string().contains("at most 8 nodes"));
    }
}
