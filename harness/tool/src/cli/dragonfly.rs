//! The command line of DragonFly's hammer2(8): options before the directive, `-s PATH` for the filesystem, directives with other
//! names, and advice for those that don't exist here. It is translated into a command line of ours before that is parsed.

use std::ffi::{OsStr, OsString};
use std::path::Path;

use hammer2_host::mount_table::{Mount, mounts};
use hammer2_host::unsynced;

use super::Failure;
use super::size::parse_size;
use crate::admin::socket::MOUNT_TYPE;

/// Our options that stand before the command and have a value.
const WITH_VALUE: [&str; 3] = ["--memory", "--deadline", "--as-of"];

/// Directives about a whole filesystem, which may be named by `-s` instead.
const OF_FILESYSTEM: [&str; 11] = [
    "info",
    "pfs-list",
    "volume-list",
    "volhdr",
    "bulkfree",
    "cleanup",
    "growfs",
    "freemap",
    "show",
    "fsck",
    "snapshot",
];

/// Directives about a PFS of the filesystem, whose label comes last.
const OF_LABEL: [&str; 4] = ["pfs-create", "pfs-delete", "pfs-clid", "pfs-fsid"];

/// Directives that are about everything mounted, when no filesystem is named.
const OF_ALL_MOUNTS: [&str; 3] = ["pfs-list", "volume-list", "cleanup"];

/// Directives that go down a tree with `-r`.
const RECURSIVE: [&str; 3] = ["setcomp", "setcheck", "rm"];

/// Directives by other names, and what they become.
const RENAMED: [(&str, &[&str]); 6] = [
    ("setcrc32", &["setcheck", "crc32"]),
    ("setxxhash64", &["setcheck", "xxhash64"]),
    ("setsha192", &["setcheck", "sha192"]),
    ("clrcheck", &["setcheck", "none"]),
    ("snapshot-debug", &["snapshot"]),
    ("bulkfree-async", &["bulkfree"]),
];

/// Directives that don't exist here, and what is used instead.
const REFUSED: [(&str, &str); 15] = [
    ("connect", "clusters are made of disks and exports here: `hammer2 cluster add` takes one in"),
    ("disconnect", "clusters are made of disks and exports here: `hammer2 cluster remove` gives one up"),
    ("status", "`hammer2 cluster status` says how a cluster is, `hammer2 info` what a filesystem is"),
    (
        "service",
        "there is no service: an NBD server lends a disk to other machines, and `hammer2 mount` takes nbd://HOST/EXPORT",
    ),
    ("leaf", "there is no service: `hammer2 mount` serves a PFS"),
    ("shell", "there is no service to be debugged: the log of a mount says what happens to it"),
    ("debugspan", "there is no service to be debugged: the log of a mount says what happens to it"),
    ("rsainit", "there is no service that needs keys: an NBD server is reached through a tunnel (ssh, WireGuard)"),
    ("rsaenc", "there is no service that needs keys"),
    ("rsadec", "there is no service that needs keys"),
    (
        "emergency-mode-enable",
        "it isn't needed: room is kept back for removing, so `rm` works on a full filesystem, and `hammer2 bulkfree DIR` gives \
         the space back",
    ),
    ("emergency-mode-disable", "there is no emergency mode that could be on"),
    ("dumpchain", "`hammer2 show NODE` prints the topology; what is in memory only nobody sees"),
    ("chaindump", "`hammer2 show NODE` prints the topology; what is in memory only nobody sees"),
    ("setcrc64", "`hammer2 setxxhash64` is the check code of 64 bits"),
];

/// The options before the directive.
#[derive(Default)]
struct Before {
    /// Our own options, unchanged.
    ours: Vec<OsString>,
    filesystem: Option<OsString>,
    kind: Option<OsString>,
    clid: Option<OsString>,
    recursive: bool,
    force: bool,
}

/// The arguments behind the program's name as a command line of ours.
pub(super) fn translated(arguments: Vec<OsString>) -> Result<Vec<OsString>, Failure> {
    let mut rest = arguments.into_iter();
    let (before, directive) = Before::read(&mut rest)?;
    let Some(directive) = directive else { return Ok(before.ours) };
    let name = directive.to_string_lossy().into_owned();
    if let Some((_, instead)) = REFUSED.iter().find(|(refused, _)| *refused == name) {
        return Err(Failure::usage(format_args!("{name}: {instead}")));
    }
    let renamed = RENAMED.iter().find(|(renamed, _)| *renamed == name);
    let words: Vec<OsString> =
        renamed.map_or_else(|| vec![directive], |(_, words)| words.iter().map(Into::into).collect());
    let name = words[0].to_string_lossy().into_owned();
    let rest: Vec<OsString> = rest.collect();
    let Before { mut ours, filesystem, kind, clid, recursive, force } = before;
    ours.extend(words);
    if name == "pfs-create" {
        ours.extend(kind.into_iter().flat_map(|kind| ["-t".into(), kind]));
        ours.extend(clid.into_iter().flat_map(|clid| ["-u".into(), clid]));
    }
    ours.extend((recursive && RECURSIVE.contains(&&name[..])).then(|| "-r".into()));
    ours.extend((force && name == "pfs-delete").then(|| "-f".into()));
    ours.extend(filesystems(&name, filesystem, &rest)?);
    ours.extend(rest);
    Ok(ours)
}

impl Before {
    /// Reads what stands before the directive, and the directive.
    fn read(arguments: &mut impl Iterator<Item = OsString>) -> Result<(Self, Option<OsString>), Failure> {
        let mut before = Self::default();
        while let Some(argument) = arguments.next() {
            let text = argument.to_string_lossy().into_owned();
            let Some(letters) = text.strip_prefix('-').filter(|letters| !letters.is_empty()) else {
                return Ok((before, Some(argument)));
            };
            let is_known = |letter: char| "adfqrv".contains(letter);
            match letters.chars().next() {
                Some(letter @ ('s' | 't' | 'u' | 'm')) => {
                    let attached = Some(&letters[1..]).filter(|value| !value.is_empty());
                    let value = attached.map(Into::into).or_else(|| arguments.next());
                    let value = value.ok_or_else(|| Failure::Usage {
                        message: format!("-{letter} needs a value"),
                        help: Some("hammer2 --help".to_owned()),
                    })?;
                    before.note(letter, value)?;
                }
                _ if letters.chars().all(is_known) => {
                    before.recursive |= letters.contains('r');
                    before.force |= letters.contains('f');
                }
                _ => {
                    before.ours.push(argument);
                    if WITH_VALUE.contains(&&text[..]) {
                        before.ours.extend(arguments.next());
                    }
                }
            }
        }
        Ok((before, None))
    }

    fn note(&mut self, letter: char, value: OsString) -> Result<(), Failure> {
        match letter {
            's' => self.filesystem = Some(value),
            't' => self.kind = Some(value),
            'u' => self.clid = Some(value),
            _ => {
                let bytes = parse_size(&value.to_string_lossy())
                    .map_err(|why| Failure::usage(format_args!("-m {}: {why}", value.display())))?;
                let mebibytes = (bytes >> 20).clamp(2, u16::MAX.into());
                self.ours.extend(["--memory".into(), mebibytes.to_string().into()]);
            }
        }
        Ok(())
    }
}

/// The filesystems that a directive is about and that its own arguments don't name.
fn filesystems(directive: &str, named: Option<OsString>, rest: &[OsString]) -> Result<Vec<OsString>, Failure> {
    let places: Vec<&OsString> =
        rest.iter().filter(|argument| !argument.as_encoded_bytes().starts_with(b"-")).collect();
    let is_filesystem = OF_FILESYSTEM.contains(&directive);
    let is_label = OF_LABEL.contains(&directive);
    if let Some(named) = named {
        if !is_filesystem && !is_label {
            return Err(Failure::usage(format_args!(
                "-s {}: `{directive}` takes what it is about behind it, as in `hammer2 {directive} PATH`",
                named.display()
            )));
        }
        // A filesystem named behind the directive takes precedence. For a snapshot, that argument may be the label.
        let is_given = is_filesystem
            && match (directive, &places[..]) {
                ("snapshot", [only]) => unsynced::exists(Path::new(only)),
                (_, places) => !places.is_empty(),
            };
        return Ok(if is_given { Vec::new() } else { vec![named] });
    }
    match &places[..] {
        [] if OF_ALL_MOUNTS.contains(&directive) => {
            Ok(our_mounts().into_iter().map(|mount| mount.directory.into()).collect())
        }
        // The filesystem of the current directory is meant.
        [_] if is_label => Ok(mount_of_working_directory().into_iter().collect()),
        [] if directive == "snapshot" => Ok(mount_of_working_directory().into_iter().collect()),
        _ => Ok(Vec::new()),
    }
}

fn our_mounts() -> Vec<Mount> {
    mounts().into_iter().filter(|mount| mount.kind == MOUNT_TYPE).collect()
}

fn mount_of_working_directory() -> Option<OsString> {
    let device = unsynced::device(Path::new(OsStr::new("."))).ok()?;
    our_mounts().into_iter().rev().find(|mount| mount.device == device).map(|mount| mount.directory.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn translate(line: &str) -> Result<String, String> {
        let words = line.split_whitespace().map(OsString::from).collect();
        let translated = translated(words).map_err(|failure| failure.to_string())?;
        Ok(translated.iter().map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" "))
    }

    #[test]
    fn options_come_before_the_directive() {
        for (line, expected) in [
            ("", ""),
            ("--help", "--help"),
            ("--memory 8 ls a.img", "--memory 8 ls a.img"),
            ("ls -l a.img", "ls -l a.img"),
            ("-s a.img pfs-list", "pfs-list a.img"),
            ("-sa.img -vv pfs-list --json", "pfs-list a.img --json"),
            ("-s a.img pfs-list b.img", "pfs-list b.img"),
            ("-s a.img -t slave -u ID pfs-create HOME", "pfs-create -t slave -u ID a.img HOME"),
            ("-f -s a.img pfs-delete HOME", "pfs-delete -f a.img HOME"),
            ("-s a.img pfs-clid HOME", "pfs-clid a.img HOME"),
            ("-s a.img snapshot", "snapshot a.img"),
            ("-s a.img snapshot LABEL", "snapshot a.img LABEL"),
            ("-s a.img snapshot b.img LABEL", "snapshot b.img LABEL"),
            ("-m 1g bulkfree a.img", "--memory 1024 bulkfree a.img"),
            ("-r setsha192 a.img:/x", "setcheck sha192 -r a.img:/x"),
            ("setcrc32 a.img:/x b.img:/y", "setcheck crc32 a.img:/x b.img:/y"),
            ("-q ls a.img", "ls a.img"),
        ] {
            assert_eq!(translate(line).as_deref(), Ok(expected), "{line}");
        }
    }

    #[test]
    fn what_doesnt_exist_says_what_to_use() {
        for (directive, instead) in REFUSED {
            assert_eq!(translate(directive), Err(format!("{directive}: {instead}")));
        }
        assert!(translate("-s").unwrap_err().contains("-s needs a value"));
        assert!(translate("-m lots bulkfree a").unwrap_err().contains("-m lots: not a number of bytes"));
        assert!(translate("-s a.img ls").unwrap_err().contains("`hammer2 ls PATH`"));
    }
}
