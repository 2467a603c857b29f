//! `hammer2-generator`, as systemd.generator(7) calls it: what fstab(5) names by a label waits at boot until enough of its disks
//! are there.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Parser;

use super::Program;
use crate::cli::failure::{self, ExitStatuses, Failure, Outcome};
use crate::mount_table::unescaped;

/// Types of our mounts in fstab(5).
const TYPES: [&[u8]; 2] = [b"hammer2", b"fuse.hammer2"];

/// Have mounts of fstab(5) that are named @LABEL wait at boot for a quorum of their disks
///
/// It writes a drop-in for the mount's unit, which then waits for hammer2-wait@.service. Lines with `noauto` wait for nothing.
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
        // As systemd's own generator for fstab has it.
        let fstab = std::env::var_os("SYSTEMD_FSTAB").unwrap_or_else(|| OsString::from("/etc/fstab"));
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
    for line in fstab.split(|byte| *byte == b'\n') {
        let Some((name, place)) = waiting(line) else { continue };
        let drop_ins = folder.join(format!("{}.mount.d", escaped_path(&place)));
        let service = format!("hammer2-wait@{}.service", escaped(name.as_encoded_bytes()));
        fs::create_dir_all(&drop_ins)?;
        let unit = format!("# Written by hammer2-generator\n[Unit]\nRequires={service}\nAfter={service}\n");
        fs::write(drop_ins.join("50-hammer2.conf"), unit)?;
    }
    Ok(())
}

/// What a line of fstab(5) mounts, and where, if it is ours, at boot, and named by what its disks say.
fn waiting(line: &[u8]) -> Option<(OsString, PathBuf)> {
    let mut fields = line.split(|byte| b" \t".contains(byte)).filter(|field| !field.is_empty());
    let (name, place, kind) = (fields.next()?, fields.next()?, fields.next()?);
    let mut options = fields.next().unwrap_or_default().split(|byte| *byte == b',');
    let is_named = name.len() > 1 && name.starts_with(b"@");
    let is_ours = TYPES.contains(&kind) && place.starts_with(b"/");
    (is_named && is_ours && !options.any(|option| option == b"noauto"))
        .then(|| (unescaped(name).into_os_string(), unescaped(place)))
}

/// A path as part of a unit's name.
fn escaped_path(path: &Path) -> String {
    let parts: Vec<&[u8]> =
        path.as_os_str().as_bytes().split(|byte| *byte == b'/').filter(|part| !part.is_empty()).collect();
    if parts.is_empty() { "-".to_owned() } else { escaped(&parts.join(&b'/')) }
}

/// Text as part of a unit's name, as systemd-escape(1) has it.
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
    fn lines_that_wait_are_told_from_others() {
        let found = |line: &str| {
            waiting(line.as_bytes()).map(|(name, place)| format!("{} {}", name.display(), place.display()))
        };
        assert_eq!(found("@HOME /home hammer2 defaults 0 0"), Some("@HOME /home".into()));
        assert_eq!(found("@A\\040B\t/a\\040b\tfuse.hammer2"), Some("@A B /a b".into()));
        for other in [
            "",
            "#@HOME /home hammer2 defaults 0 0",
            "@HOME /home ext4 defaults 0 0",
            "@HOME /home hammer2 noatime,noauto 0 0",
            "/dev/sdb /home hammer2 defaults 0 0",
            "@HOME none hammer2",
            "@HOME /home",
        ] {
            assert_eq!(found(other), None, "{other}");
        }
    }

    #[test]
    fn names_are_escaped_as_systemd_does() {
        assert_eq!(escaped(b"@HOME-1"), "\\x40HOME\\x2d1");
        assert_eq!(escaped_path(Path::new("/mnt/a b/.c/")), "mnt-a\\x20b-.c");
        assert_eq!(escaped_path(Path::new("/.x")), "\\x2ex");
        assert_eq!(escaped_path(Path::new("/")), "-");
    }
}
