//! A machine in QEMU that runs the kernel: its console, and how it ends.

use std::error::Error;
use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread::{sleep, spawn};
use std::time::{Duration, Instant};

use crate::settings::Settings;

/// QEMU's exit status when the kernel has passed.
const PASSED: i32 = 33;

/// How long the kernel may take for anything that the runner waits for.
const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) struct Machine {
    qemu: Child,
    lines: Receiver<String>,
    /// The last lines, to explain a failure.
    last: Vec<String>,
    errors: PathBuf,
}

impl Machine {
    /// Starts the kernel with a command line. `devices` are the disks, as QEMU's arguments.
    pub(crate) fn start(
        settings: &Settings,
        folder: &Path,
        command_line: &str,
        devices: &[String],
    ) -> Result<Self, Box<dyn Error>> {
        let errors = folder.join("qemu.log");
        let mut qemu = Command::new("qemu-system-x86_64")
            .args(["-accel", &settings.accel, "-machine", "pc", "-nodefaults", "-no-reboot", "-display", "none"])
            .args(["-m", &settings.memory.to_string(), "-smp", &settings.cpus.to_string()])
            .args(["-serial", "stdio", "-device", "isa-debug-exit,iobase=0xf4,iosize=4"])
            .args(["-qmp", &format!("unix:{},server=on,wait=off", folder.join("qmp").display())])
            .args(devices)
            .arg("-kernel")
            .arg(&settings.kernel)
            .args(["-append", &format!("{command_line} {}", settings.kernel_options())])
            .env("TMPDIR", folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(File::create(&errors)?)
            .spawn()
            .map_err(|error| format!("can't start QEMU: {error}"))?;
        let (sender, lines) = channel();
        let console = BufReader::new(qemu.stdout.take().ok_or("QEMU has no console")?);
        let mut log = File::options().append(true).create(true).open(&settings.console)?;
        let tells = settings.tell;
        spawn(move || {
            for line in console.split(b'\n') {
                let Ok(line) = line else { break };
                let line = String::from_utf8_lossy(&line).into_owned();
                // A log that can't be written to is no reason to stop.
                let _ = writeln!(log, "{line}");
                if tells {
                    println!("{line}");
                }
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        Ok(Self { qemu, lines, last: Vec::new(), errors })
    }

    /// Waits for a line that has `text` in it.
    pub(crate) fn wait_for(&mut self, text: &str) -> Result<String, Box<dyn Error>> {
        self.wait_until(text, |line| line.contains(text))
    }

    /// Waits until so many more epochs are durable.
    pub(crate) fn wait_for_epochs(&mut self, count: u32) -> Result<(), Box<dyn Error>> {
        for _ in 0..count {
            self.wait_until("an epoch", |line| line.starts_with("epoch "))?;
        }
        Ok(())
    }

    fn wait_until(&mut self, what: &str, is_it: impl Fn(&str) -> bool) -> Result<String, Box<dyn Error>> {
        let end = Instant::now() + PATIENCE;
        loop {
            match self.lines.recv_timeout(end.saturating_duration_since(Instant::now())) {
                Ok(line) => {
                    let (found, broken) = (is_it(&line), line.starts_with("FAILED") || line.starts_with("PANIC"));
                    self.last.push(line.clone());
                    if found {
                        return Ok(line);
                    }
                    if broken {
                        return Err(line.into());
                    }
                }
                Err(RecvTimeoutError::Timeout) => return Err(format!("no `{what}` in {PATIENCE:?}").into()),
                Err(RecvTimeoutError::Disconnected) => {
                    let said = std::fs::read_to_string(&self.errors).unwrap_or_default();
                    let said = said.lines().next().unwrap_or("nothing");
                    return Err(format!("QEMU has ended before `{what}`; it has said {said}").into());
                }
            }
        }
    }

    /// Types something on the console.
    pub(crate) fn order(&mut self, letter: u8) -> Result<(), Box<dyn Error>> {
        let stdin = self.qemu.stdin.as_mut().ok_or("QEMU has no console")?;
        stdin.write_all(&[letter])?;
        Ok(stdin.flush()?)
    }

    /// True if some line so far has `text` in it.
    pub(crate) fn has_said(&mut self, text: &str) -> bool {
        self.last.extend(self.lines.try_iter());
        self.last.iter().any(|line| line.contains(text))
    }

    /// Makes the kernel end, which must succeed.
    pub(crate) fn end(mut self) -> Result<(), Box<dyn Error>> {
        self.order(b'e')?;
        self.wait_for("cluster: ended")?;
        self.passed()
    }

    /// Waits for the end of QEMU; the kernel must have passed.
    pub(crate) fn passed(mut self) -> Result<(), Box<dyn Error>> {
        let end = Instant::now() + PATIENCE;
        loop {
            match self.qemu.try_wait()? {
                Some(status) if status.code() == Some(PASSED) => return Ok(()),
                Some(status) => {
                    self.last.extend(self.lines.try_iter());
                    let why = self.last.iter().rev().find(|line| line.starts_with("FAILED"));
                    return Err(why.cloned().unwrap_or(format!("QEMU ended with {status}")).into());
                }
                None if Instant::now() > end => return Err(format!("no end in {PATIENCE:?}").into()),
                None => sleep(Duration::from_millis(5)),
            }
        }
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.qemu.kill();
        let _ = self.qemu.wait();
    }
}
