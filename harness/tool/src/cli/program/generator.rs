//! `hammer2-generator`, as systemd.generator(7) calls it: at boot, lines of fstab(5) with a label or an id wait until enough of
//! their disks are there.
//! To systemd's own generator, `LABEL=` and `UUID=` mean a device, but a cluster isn't one: the mount would wait for one of its
//! disks, and end with it. So it is mounted by the name that we search for, and needs no device.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Parser;

use super::Program;
use crate::cli::failure::{self, ExitStatuses, Failure, Outcome};
use crate::cli::fstab::{FSTAB, Line};

/// Make mounts of fstab(5) named @LABEL, LABEL=LABEL or UUID=UUID wait at boot for a quorum of their disks
///
/// It writes a drop-in for the mount's unit, which then waits for hammer2-wait@.service, and mounts by the name instead of a
/// device. Lines with `noauto` wait for nothing.
#[derive(Parser)]
#[command(version, max_term_width = 120, after_help = "Exit status: 0 it is done, 1 it failed, 2 wrong usage.")]
pub(super) struct Generator {
    /// Where units are written; the other two folders that systemd names aren't used
    #[arg(value_name = "DIR", num_args = 1..=3, required = true)]
    folders: Vec<PathBuf>,
}

impl Program for Generator {
    const USAGE_STATUS: u8 = ExitStatuses::HAMMER2.unusable;

    fn run(&self) -> ExitCode {
        // The same variable as of systemd's own generator for fstab.
        let fstab = std::env::var_os("SYSTEMD_FSTAB").unwrap_or_else(|| OsString::from(FSTAB));
        let written = match fs::read(&fstab) {
            Ok(content) => write_all(&content, &self.folders[0]),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error),
        };
        let failed = |error| Failure::failed(format_args!("{}: {error}", fstab.display()));
        failure::conclude(written.map(|()| Outcome::Good).map_err(failed), &ExitStatuses::HAMMER2)
    }
}

fn write_all(fstab: &[u8], folder: &Path) -> io::Result<()> {
    for line in Line::all(fstab).into_iter().filter(is_named) {
        let waits = !line.has("noauto");
        let Line { spec: name, directory: place, .. } = line;
        let drop_ins = folder.join(format!("{}.mount.d", escaped_path(&place)));
        let mut unit = String::from("# Written by hammer2-generator\n");
        if waits {
            let service = format!("hammer2-wait@{}.service", escaped(name.as_encoded_bytes()));
            unit += &format!("[Unit]\nRequires={service}\nAfter={service}\n");
        }
        if let Some((what, device)) = tagged(name.as_encoded_bytes()) {
            unit += &format!("[Mount]\nWhat={}\n", what.replace('%', "%%"));
            // A check of that device would wait for it, and the mount looks at the headers itself.
            let check = format!("systemd-fsck@{}.service", escaped_path(Path::new(&device)));
            fs::write(folder.join(check), NO_CHECK)?;
        } else if !waits {
            continue;
        }
        fs::create_dir_all(&drop_ins)?;
        fs::write(drop_ins.join("50-hammer2.conf"), unit)?;
    }
    Ok(())
}

/// The unit in place of the check of a device that doesn't exist.
const NO_CHECK: &str = "\
# Written by hammer2-generator
[Unit]
Description=No check of a HAMMER2 filesystem before it is mounted
DefaultDependencies=no

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/bin/true
";

/// The name for mount.hammer2 of a tag of fstab(5), and the device that systemd takes it for.
fn tagged(name: &[u8]) -> Option<(String, String)> {
    let text = String::from_utf8_lossy(name);
    let (tag, value) = text.split_once('=')?;
    match tag {
        "LABEL" => Some((format!("@{value}"), format!("/dev/disk/by-label/{}", device_name(value)))),
        "UUID" => Some((format!("@UUID={value}"), format!("/dev/disk/by-uuid/{}", device_name(value)))),
        _ => None,
    }
}

/// A name as udev escapes it in names of devices.
fn device_name(name: &str) -> String {
    let one = |letter: char| match letter {
        letter if letter.is_ascii_alphanumeric() || "#+-.:=@_".contains(letter) || !letter.is_ascii() => letter.into(),
        letter => format!("\\x{:02x}", u32::from(letter)),
    };
    name.chars().map(one).collect()
}

/// True for a line that names its disks by a label or an id.
fn is_named(line: &Line) -> bool {
    let name = line.spec.as_bytes();
    [&b"@"[..], b"LABEL=", b"UUID="].iter().any(|tag| name.len() > tag.len() && name.starts_with(tag))
}

/// A path as part of a unit's name.
fn escaped_path(path: &Path) -> String {
    let parts: Vec<&[u8]> =
        path.as_os_str().as_bytes().split(|byte| *byte == b'/').filter(|part| !part.is_empty()).collect();
    if parts.is_empty() { "-".to_owned() } else { escaped(&parts.join(&b'/')) }
}

/// Text as part of a unit's name, as systemd-escape(1) escapes it.
fn escaped(text: &[u8]) -> String {
    let is_plain =
        |place: usize, byte: u8| byte.is_ascii_alphanumeric() || b":_".contains(&byte) || (byte == b'.' && place > 0);
    let one = |(place, byte): (usize, &u8)| match *byte {
        b'/' => "-".to_owned(),
        byte if is_plain(place, byte) => char::from(byte).to_string(),
        byte => format!("\\x{byte:02x}"),
    };
    text.iter().enumerate().map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_that_name_no_disks_are_told_from_others() {
        let is_named = |spec: &str| is_named(&Line { spec: spec.into(), directory: "/".into(), options: Vec::new() });
        assert!(["@HOME", "LABEL=A B", "UUID=1-2"].into_iter().all(is_named));
        assert!(!["@", "LABEL=", "PARTLABEL=HOME", "/dev/sdb", "a.img@HOME"].into_iter().any(is_named));
    }

    #[test]
    fn tags_are_names_to_us_and_devices_to_systemd() {
        let known = |tag: &str| tagged(tag.as_bytes());
        assert_eq!(known("LABEL=A B"), Some(("@A B".into(), "/dev/disk/by-label/A\\x20B".into())));
        assert_eq!(known("UUID=1-2"), Some(("@UUID=1-2".into(), "/dev/disk/by-uuid/1-2".into())));
        assert_eq!(known("@HOME"), None);
    }

    #[test]
    fn names_are_escaped_as_systemd_does() {
        assert_eq!(escaped(b"@HOME-1"), "\\x40HOME\\x2d1");
        assert_eq!(escaped_path(Path::new("/mnt/a b/.c/")), "mnt-a\\x20b-.c");
        assert_eq!(escaped_path(Path::new("/.x")), "\\x2ex");
        assert_eq!(escaped_path(Path::new("/")), "-");
    }
}
