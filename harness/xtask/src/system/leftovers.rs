//! What programs leave behind that were ended in the middle: mounts, loop devices, and processes that have left their group, as
//! servers of mounts do.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use std::{fs, thread};

use rustix::mount::{UnmountFlags, unmount};
use rustix::process::{Pid, Signal, kill_process};

/// The variable by which a process is known that was started by something that works in a folder: its value is the folder.
pub(crate) const WORKS_IN: &str = "HAMMER2_WORKS_IN";

/// How long what is killed may take to be gone.
const PATIENCE: Duration = Duration::from_secs(10);

/// Ends what was left behind in a folder, whatever state it is in.
pub(crate) fn end(folder: &Path) {
    let begun = Instant::now();
    loop {
        let left = processes(folder);
        for process in &left {
            let _ = kill_process(*process, Signal::KILL);
        }
        if left.is_empty() || begun.elapsed() > PATIENCE {
            break;
        }
        thread::sleep(Duration::from_millis(20));
    }
    unmount_all(folder);
    detach_all(folder);
}

/// Takes off what is mounted below a folder: emptying the folder must not reach into it.
pub(crate) fn unmount_all(folder: &Path) {
    let table = fs::read("/proc/self/mountinfo").unwrap_or_default();
    for place in mounts(&table, folder) {
        if unmount(&place, UnmountFlags::DETACH).is_err() {
            // Who isn't root may end what is theirs only by this.
            helped_by("fusermount3", &["-u", "-q", "-z"], &place);
        }
    }
}

/// Runs a program that tidies up, also when a signal has ended all others; it may be missing, and may fail.
fn helped_by(program: &str, words: &[&str], place: &Path) {
    let mut command = Command::new(program);
    command.args(words).arg(place).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let _ = command.status();
}

/// Where something is mounted below a folder, by the kernel's table; what is mounted on top comes first.
fn mounts(table: &[u8], folder: &Path) -> Vec<PathBuf> {
    let lines = table.split(|byte| *byte == b'\n');
    let places = lines.filter_map(|line| line.split(|byte| *byte == b' ').nth(4)).map(unescaped);
    let mut below: Vec<PathBuf> = places.filter(|place| place.starts_with(folder)).collect();
    below.reverse();
    below
}

/// A path of the kernel's table, in which spaces and the like are three octal digits.
fn unescaped(text: &[u8]) -> PathBuf {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((first, after)) = rest.split_first() {
        let digits = after.get(..3).filter(|_| *first == b'\\').and_then(|digits| std::str::from_utf8(digits).ok());
        if let Some(byte) = digits.and_then(|digits| u8::from_str_radix(digits, 8).ok()) {
            bytes.push(byte);
            rest = &after[3..];
        } else {
            bytes.push(*first);
            rest = after;
        }
    }
    PathBuf::from(OsStr::from_bytes(&bytes))
}

/// Processes that were started by what works in a folder or below, but for this one.
fn processes(folder: &Path) -> Vec<Pid> {
    let own = std::process::id().to_string();
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let numbers = entries.filter_map(|entry| entry.file_name().into_string().ok()).filter(|name| *name != own);
    let theirs = numbers.filter(|name| {
        // Of others' processes this can't be read, and they aren't ours.
        fs::read(format!("/proc/{name}/environ")).is_ok_and(|variables| works_in(&variables, folder))
    });
    theirs.filter_map(|name| name.parse().ok().and_then(Pid::from_raw)).collect()
}

/// Whether variables of a process say that it works in a folder or below.
fn works_in(variables: &[u8], folder: &Path) -> bool {
    let prefix = [WORKS_IN.as_bytes(), b"="].concat();
    let values = variables.split(|byte| *byte == 0).filter_map(|variable| variable.strip_prefix(&prefix[..]));
    values.map(OsStr::from_bytes).any(|value| Path::new(value).starts_with(folder))
}

/// Lets go of loop devices whose file is in a folder.
fn detach_all(folder: &Path) {
    for entry in fs::read_dir("/sys/block").into_iter().flatten().flatten() {
        let file = fs::read(entry.path().join("loop/backing_file")).unwrap_or_default();
        if Path::new(OsStr::from_bytes(file.trim_ascii_end())).starts_with(folder) {
            helped_by("losetup", &["--detach"], &Path::new("/dev").join(entry.file_name()));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};
    use std::process::{Command, Stdio};

    use super::{WORKS_IN, end, mounts, processes, works_in};

    #[test]
    fn mounts_below_a_folder_are_found_topmost_first() {
        let table = b"22 1 0:21 / / rw - ext4 /dev/a rw\n\
            40 22 0:30 / /tmp/x rw - tmpfs none rw\n\
            41 40 0:31 / /tmp/x/with\\040space rw - fuse h rw\n\
            42 22 0:32 / /tmp/xy rw - fuse h rw\n";
        let found = mounts(table, Path::new("/tmp/x"));
        assert_eq!(found, [PathBuf::from("/tmp/x/with space"), PathBuf::from("/tmp/x")]);
    }

    #[test]
    fn what_works_elsewhere_is_left_alone() {
        let variables = format!("HOME=/root\0{WORKS_IN}=/tmp/x/mount\0");
        assert!(works_in(variables.as_bytes(), Path::new("/tmp/x")));
        for other in ["/tmp/x/mount/below", "/tmp/x/mo", "/tmp/y"] {
            assert!(!works_in(variables.as_bytes(), Path::new(other)), "{other}");
        }
        assert!(!works_in(b"HOME=/tmp/x\0", Path::new("/tmp/x")));
    }

    #[test]
    fn a_server_that_has_left_its_group_is_ended() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut server = Command::new("setsid");
        server.args(["sleep", "1000"]).env(WORKS_IN, folder.path()).stdin(Stdio::null());
        let mut server = server.spawn().expect("setsid");
        while processes(folder.path()).is_empty() {
            assert!(server.try_wait().expect("its state").is_none(), "it has ended by itself");
        }
        end(folder.path());
        assert!(!server.wait().expect("its end").success());
        assert!(processes(folder.path()).is_empty());
    }
}
