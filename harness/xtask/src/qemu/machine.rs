//! A machine for the test kernel, as the command line of QEMU.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use super::disk::{self, Disk};
use crate::trouble::Done;

/// How QEMU runs the CPU.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Accelerator {
    /// It translates the code.
    Tcg,
    /// Linux lends the CPU.
    Kvm,
}

impl Accelerator {
    /// QEMU's name for it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Tcg => "tcg",
            Self::Kvm => "kvm",
        }
    }
}

/// A machine that boots the test kernel.
#[derive(Clone, Debug)]
pub(crate) struct Machine {
    /// How the CPU is run.
    pub(crate) accelerator: Accelerator,
    /// How many CPUs there are; the kernel uses one.
    pub(crate) cpus: u64,
    /// Memory, in MiB.
    pub(crate) memory_mib: u64,
    /// The kernel, an executable for multiboot.
    pub(crate) kernel: PathBuf,
    /// Where QEMU puts what is written to a disk that is to stay as it is.
    pub(crate) temporary: PathBuf,
}

impl Machine {
    /// QEMU, with these disks and this command line for the kernel.
    ///
    /// # Errors
    ///
    /// There are too many disks.
    pub(crate) fn command(&self, disks: &[Disk], append: &str) -> Done<Command> {
        let mut command = Command::new("qemu-system-x86_64");
        command.args(self.arguments(disks, append)?);
        command.env("TMPDIR", &self.temporary).stdin(Stdio::null());
        Ok(command)
    }

    fn arguments(&self, disks: &[Disk], append: &str) -> Done<Vec<OsString>> {
        let mut arguments: Vec<OsString> = vec!["-accel".into(), self.accelerator.name().into()];
        arguments.extend(["-machine", "pc", "-smp"].map(OsString::from));
        arguments.extend([self.cpus.to_string().into(), "-m".into(), self.memory_mib.to_string().into()]);
        // The kernel says how it went by a write to a port of the exit device.
        arguments.extend(
            [
                "-nodefaults",
                "-no-reboot",
                "-display",
                "none",
                "-serial",
                "stdio",
                "-device",
                "isa-debug-exit,iobase=0xf4,iosize=4",
            ]
            .map(OsString::from),
        );
        arguments.extend(disk::options(disks)?);
        arguments.extend(["-kernel".into(), self.kernel.clone().into_os_string(), "-append".into(), append.into()]);
        Ok(arguments)
    }
}

#[cfg(test)]
mod tests {
    use super::{Accelerator, Machine};
    use crate::qemu::disk::{Disk, Use};

    #[test]
    fn the_command_line_is_what_was_typed_before() {
        let machine = Machine {
            accelerator: Accelerator::Kvm,
            cpus: 2,
            memory_mib: 64,
            kernel: "/target/release/hammer2-qemu".into(),
            temporary: "/tmp/x".into(),
        };
        let disks = [Disk::File("/a.img".into(), Use::Snapshot)];
        let command = machine.command(&disks, "mode=walk nodes=0").expect("a command");
        let line: Vec<&str> = command.get_args().map(|word| word.to_str().expect("a word")).collect();
        let expected = "-accel kvm -machine pc -smp 2 -m 64 -nodefaults -no-reboot -display none -serial stdio \
                        -device isa-debug-exit,iobase=0xf4,iosize=4 \
                        -drive if=none,id=disk0,format=raw,file=/a.img,snapshot=on -device virtio-blk-pci,drive=disk0 \
                        -kernel /target/release/hammer2-qemu -append";
        assert_eq!(line[..line.len() - 1].join(" "), expected);
        // One word, whatever is in it.
        assert_eq!(line.last(), Some(&"mode=walk nodes=0"));
    }
}
