//! Options after `-o`: those of mount(8) and fstab(5), and our own, for which a line of fstab has no other place.

use std::path::PathBuf;

use clap::ValueEnum;
use fuser::MountOption;
use rustix::mount::MountFlags;
use rustix::process::geteuid;

use super::WithoutQuorum;
use crate::cli::Failure;

/// Ignored options: those for mount(8), systemd or users of fstab, those that are always in force here, and those that the kernel
/// lists for a mount, which mount(8) repeats at a remount.
const UNHEARD: [&str; 38] = [
    "",
    "defaults",
    "default_permissions",
    "_netdev",
    "auto",
    "noauto",
    "nofail",
    "user",
    "nouser",
    "users",
    "nousers",
    "owner",
    "noowner",
    "group",
    "nogroup",
    "relatime",
    "norelatime",
    "strictatime",
    "nostrictatime",
    "diratime",
    "nodiratime",
    "lazytime",
    "nolazytime",
    "iversion",
    "noiversion",
    "mand",
    "nomand",
    "silent",
    "loud",
    "comment",
    "fsname",
    "subtype",
    "user_id",
    "group_id",
    "rootmode",
    "max_read",
    "blksize",
    "uhelper",
];

/// The effect of a list of options.
#[derive(Default)]
pub(super) struct MountOptions {
    /// Nothing is changed; the last of `ro` and `rw` counts.
    pub(super) read_only: Option<bool>,
    /// Other users may use it, too.
    pub(super) allow_other: bool,
    /// Options for the kernel.
    pub(super) kernel: Vec<MountOption>,
    /// An existing mount gets other options.
    pub(super) remount: bool,
    /// Memory for the filesystem, in MiB.
    pub(super) memory_mib: Option<u16>,
    /// Seconds a device may take to answer.
    pub(super) deadline_seconds: Option<u16>,
    /// Nobody else can reach the volumes.
    pub(super) local: bool,
    /// Equal blocks are shared.
    pub(super) dedup: bool,
    /// Threads that compress and decompress.
    pub(super) workers: Option<u16>,
    /// Seconds between syncs.
    pub(super) sync_every_seconds: Option<u16>,
    /// What becomes of changes without a quorum.
    pub(super) without_quorum: Option<WithoutQuorum>,
    /// Where messages go.
    pub(super) log: Option<PathBuf>,
    /// The folder of programs that are run for each event.
    pub(super) hooks: Option<PathBuf>,
}

impl MountOptions {
    /// Parses lists of options. With `sloppy`, unknown options are ignored.
    pub(super) fn read(options: &[String], sloppy: bool) -> Result<Self, Failure> {
        let is_root = geteuid().is_root();
        let kernel = if is_root { vec![MountOption::Suid, MountOption::Dev] } else { Vec::new() };
        let mut read = Self { allow_other: is_root, kernel, ..Self::default() };
        for option in options {
            if !read.take(option)? && !sloppy {
                return Err(Failure::unusable(format_args!("-o {option}: no such option; see hammer2 mount --help")));
            }
        }
        Ok(read)
    }

    /// Takes note of an option; false if it is unknown.
    fn take(&mut self, option: &str) -> Result<bool, Failure> {
        let (name, value) = option.split_once('=').map_or((option, None), |(name, value)| (name, Some(value)));
        match name {
            "ro" => self.read_only = Some(true),
            "rw" => self.read_only = Some(false),
            "remount" => self.remount = true,
            "allow_other" => self.allow_other = true,
            "suid" => self.set(MountOption::Suid, &MountOption::NoSuid),
            "nosuid" => self.set(MountOption::NoSuid, &MountOption::Suid),
            "dev" => self.set(MountOption::Dev, &MountOption::NoDev),
            "nodev" => self.set(MountOption::NoDev, &MountOption::Dev),
            "exec" => self.set(MountOption::Exec, &MountOption::NoExec),
            "noexec" => self.set(MountOption::NoExec, &MountOption::Exec),
            "atime" => self.set(MountOption::Atime, &MountOption::NoAtime),
            "noatime" => self.set(MountOption::NoAtime, &MountOption::Atime),
            "sync" => self.set(MountOption::Sync, &MountOption::Async),
            "async" => self.set(MountOption::Async, &MountOption::Sync),
            "dirsync" => self.set(MountOption::DirSync, &MountOption::Async),
            "local" => self.local = true,
            "dedup" => self.dedup = true,
            "memory" => self.memory_mib = Some(number(option, value, 2)?),
            "deadline" => self.deadline_seconds = Some(number(option, value, 1)?),
            "workers" => self.workers = Some(number(option, value, 0)?),
            "sync-every" => self.sync_every_seconds = Some(number(option, value, 0)?),
            "without-quorum" => {
                let policy = value.and_then(|value| WithoutQuorum::from_str(value, true).ok());
                let policy = policy.ok_or_else(|| wrong(option, "it is `fail` or `wait`"))?;
                self.without_quorum = Some(policy);
            }
            "log" => {
                let path = value.filter(|path| path.starts_with('/'));
                self.log = Some(path.ok_or_else(|| wrong(option, "it is a path from the root"))?.into());
            }
            "hooks" => {
                let path = value.filter(|path| path.starts_with('/'));
                self.hooks = Some(path.ok_or_else(|| wrong(option, "it is a path from the root"))?.into());
            }
            _ => return Ok(UNHEARD.contains(&name) || name.starts_with("x-") || name.starts_with("X-")),
        }
        Ok(true)
    }

    fn set(&mut self, option: MountOption, opposite: &MountOption) {
        self.kernel.retain(|other| other != opposite);
        if !self.kernel.contains(&option) {
            self.kernel.push(option);
        }
    }

    /// The same for the system call that changes the options of a mount.
    pub(super) fn flags(&self) -> MountFlags {
        let flag = |option: &MountOption| match option {
            MountOption::NoSuid => MountFlags::NOSUID,
            MountOption::NoDev => MountFlags::NODEV,
            MountOption::NoExec => MountFlags::NOEXEC,
            MountOption::NoAtime => MountFlags::NOATIME,
            MountOption::Sync => MountFlags::SYNCHRONOUS,
            MountOption::DirSync => MountFlags::DIRSYNC,
            _ => MountFlags::empty(),
        };
        let flags = self.kernel.iter().map(flag).collect::<MountFlags>();
        if self.read_only == Some(true) { flags | MountFlags::RDONLY } else { flags }
    }
}

/// The value of an option that is a number, and no less than `least`.
fn number(option: &str, value: Option<&str>, least: u16) -> Result<u16, Failure> {
    let number = value.and_then(|value| value.parse().ok()).filter(|number| *number >= least);
    number.ok_or_else(|| wrong(option, &format!("it is a number from {least} to {}", u16::MAX)))
}

fn wrong(option: &str, what: &str) -> Failure {
    Failure::unusable(format_args!("-o {option}: {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(options: &str) -> Result<MountOptions, String> {
        let options: Vec<String> = options.split(',').map(str::to_owned).collect();
        MountOptions::read(&options, false).map_err(|failure| failure.to_string())
    }

    #[test]
    fn the_last_of_opposites_counts() {
        let options = read("ro,nosuid,noatime,rw,suid").unwrap();
        assert_eq!(options.read_only, Some(false));
        assert!(options.kernel.contains(&MountOption::Suid) && !options.kernel.contains(&MountOption::NoSuid));
        assert_eq!(options.flags(), MountFlags::NOATIME);
        assert_eq!(read("defaults,nodev,ro").unwrap().flags(), MountFlags::NODEV | MountFlags::RDONLY);
    }

    #[test]
    fn lines_of_fstab_have_what_is_not_for_us() {
        let unheard = "defaults,_netdev,nofail,user,user=me,x-systemd.automount,x-gvfs-hide,X-mount.mkdir=755,comment=mine,\
                       relatime,user_id=0,group_id=0,default_permissions,max_read=131072";
        let options = read(unheard).unwrap();
        assert!(options.read_only.is_none() && !options.remount && options.log.is_none());
        let own = read(
            "remount,local,dedup,memory=128,deadline=9,sync-every=0,workers=0,without-quorum=wait,log=/var/log/h2",
        )
        .unwrap();
        assert!(own.remount && own.local && own.dedup && own.without_quorum == Some(WithoutQuorum::Wait));
        let numbers = (own.memory_mib, own.deadline_seconds, own.sync_every_seconds);
        assert_eq!(numbers, (Some(128), Some(9), Some(0)));
        assert_eq!(own.workers, Some(0));
        assert_eq!(own.log, Some("/var/log/h2".into()));
    }

    #[test]
    fn what_makes_no_sense_is_named() {
        for wrong in [
            "nonsense",
            "memory=1",
            "memory=lots",
            "memory",
            "without-quorum=maybe",
            "log=here",
            "deadline=0",
            "workers=all",
        ] {
            let said = read(&format!("ro,{wrong}")).err().unwrap_or_default();
            assert!(said.starts_with(&format!("-o {wrong}: ")), "{said}");
        }
        assert!(MountOptions::read(&["nonsense".into()], true).is_ok(), "somebody wants it sloppy");
    }
}
