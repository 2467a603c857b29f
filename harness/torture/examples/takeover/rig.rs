//! Two machines that may mount, three with disks, and checks of the mount when the machine that has it fails.

use std::error::Error;
use std::path::PathBuf;
use std::thread::sleep;
use std::time::{Duration, Instant};

use hammer2_torture::images::{Images, LABEL};
use hammer2_torture::program::run;
use rustix::process::Signal;

use crate::Settings;
use crate::failures::{Failure, Kind};
use crate::load::Load;
use crate::machine::{DiskMachine, Host, Progress};
use crate::network::{DISKS, HOSTS, Network};
use crate::record::Outcome;

const DISK_BYTES: u64 = 512 << 20;
/// How soon everything must be in service again.
const LIMIT: Duration = Duration::from_secs(15);
/// How long the runner waits for anything that must happen.
const PATIENCE: Duration = Duration::from_secs(90);
const BETWEEN_LOOKS: Duration = Duration::from_millis(10);

/// The machines, the load, and who has the mount.
pub(crate) struct Rig {
    // The mounts end before the disks, and those before the network.
    hosts: Vec<Host>,
    disks: Vec<DiskMachine>,
    network: Network,
    load: Load,
    active: usize,
    images: Images,
}

impl Rig {
    /// Makes the machines and a cluster of three masters, and mounts it on the first machine.
    pub(crate) fn create(settings: &Settings, seed: u64) -> Result<Self, Box<dyn Error>> {
        let images = Images::create(&settings.tool, settings.folder.join(format!("seed{seed}")), &[DISK_BYTES; DISKS])?;
        let names = images.names();
        let cluster = ["cluster", "create", "-L", LABEL].into_iter().chain(names.iter().map(String::as_str));
        images.tool(&cluster.collect::<Vec<_>>())?;
        let network = Network::new(format!("h2-{}-{seed}", std::process::id()), (seed % 256) as u8)?;
        let serve = |(disk, image): (usize, &PathBuf)| DiskMachine::start(&network, disk, image);
        let disks = images.paths.iter().enumerate().map(serve).collect::<Result<_, _>>()?;
        let host = |number| Host::new(&network, number, &settings.tool, &images.folder);
        let hosts = (0..HOSTS).map(host).collect::<Result<_, _>>()?;
        let mut rig = Self { hosts, disks, network, load: Load::new(), active: 0, images };
        rig.wait("the first mount", |rig| Ok(rig.hosts[0].try_to_mount()? == Progress::Mounted))?;
        rig.load.move_to(&rig.hosts[0].root)?;
        rig.wait_for_changes()?;
        Ok(rig)
    }

    /// Waits for something; returns how long that took.
    fn wait(
        &mut self,
        what: &str,
        mut is_so: impl FnMut(&mut Self) -> Result<bool, Box<dyn Error>>,
    ) -> Result<Duration, Box<dyn Error>> {
        let start = Instant::now();
        while !is_so(self)? {
            if start.elapsed() > PATIENCE {
                let said: Vec<String> = self.hosts.iter().map(Host::said).collect::<Result<_, _>>()?;
                return Err(format!("no end of waiting for {what}; the machines say: {}", said.join(" || ")).into());
            }
            sleep(BETWEEN_LOOKS);
        }
        Ok(start.elapsed())
    }

    fn wait_for_changes(&mut self) -> Result<(), Box<dyn Error>> {
        let now = Instant::now();
        self.wait("changes", |rig| Ok(rig.load.all_since(now))).map(drop)
    }

    fn reserve(&mut self) -> &mut Host {
        &mut self.hosts[1 - self.active]
    }

    /// Makes the machine in reserve try to mount for so long; true as soon as it is mounted there.
    fn try_for(&mut self, duration: Duration) -> Result<bool, Box<dyn Error>> {
        let end = Instant::now() + duration;
        loop {
            if self.reserve().try_to_mount()? == Progress::Mounted {
                return Ok(true);
            }
            if Instant::now() >= end {
                return Ok(false);
            }
            sleep(BETWEEN_LOOKS);
        }
    }

    /// Makes the machine that has the mount fail, checks what follows, and waits until everything is in step again.
    pub(crate) fn suffer(&mut self, failure: &Failure) -> Result<Outcome, Box<dyn Error>> {
        let before: u64 = self.load.changes().iter().sum();
        let attempts = self.reserve().attempts;
        if self.try_for(failure.lead)? {
            return Err("it was mounted on a second machine while the first had it".into());
        }
        self.load.slowest();
        let failed = Instant::now();
        self.fail(failure)?;
        let has_moved = match failure.kind {
            Kind::Killed | Kind::Stopped | Kind::Majority => {
                self.wait("the take-over", |rig| Ok(rig.reserve().try_to_mount()? == Progress::Mounted))?;
                true
            }
            Kind::Dozing | Kind::Minority => self.try_for(failure.lasts)?,
        };
        let mut in_service_after = None;
        if has_moved {
            in_service_after = Some(self.move_service(failed)?);
            if matches!(failure.kind, Kind::Killed | Kind::Stopped | Kind::Majority) {
                sleep(failure.lasts);
            }
        }
        let mended = Instant::now();
        self.mend(failure)?;
        let has_moved = has_moved
            || self.settle()? && {
                in_service_after = Some(self.move_service(failed)?);
                true
            };
        if has_moved {
            self.end_the_other(failure.kind)?;
        }
        self.wait_for_changes()?;
        let in_service_after = in_service_after.unwrap_or_else(|| self.load.slowest());
        self.load.judge()?;
        if in_service_after > LIMIT {
            return Err(format!("in service again after {:.1} s only", in_service_after.as_secs_f32()).into());
        }
        self.wait_until_in_step()?;
        let changes = self.load.changes().iter().sum::<u64>() - before;
        // The machine that came into service needed its last attempt for that.
        let reserve = if has_moved { self.active } else { 1 - self.active };
        let refusals = self.hosts[reserve].attempts - attempts - u64::from(has_moved);
        let (kind, what) = (failure.kind, failure.describe());
        Ok(Outcome { kind, what, has_moved, in_service_after, in_step_after: mended.elapsed(), refusals, changes })
    }

    fn fail(&mut self, failure: &Failure) -> Result<(), Box<dyn Error>> {
        if matches!(failure.kind, Kind::Stopped | Kind::Dozing) {
            self.hosts[self.active].signal(Signal::STOP)?;
        }
        for (disk, how) in &failure.cuts {
            self.network.cut(self.active, *disk, *how)?;
        }
        if failure.kind == Kind::Killed {
            self.hosts[self.active].kill();
        }
        Ok(())
    }

    /// Mends the failure; the machine that had the mount may be in reserve by now, or not.
    fn mend(&mut self, failure: &Failure) -> Result<(), Box<dyn Error>> {
        for host in 0..HOSTS {
            for (disk, _) in &failure.cuts {
                self.network.mend(host, *disk)?;
            }
            if matches!(failure.kind, Kind::Stopped | Kind::Dozing) && !self.hosts[host].has_ended()? {
                self.hosts[host].signal(Signal::CONT)?;
            }
        }
        Ok(())
    }

    /// Puts the machine in reserve into service: acknowledged changes must be there, and the load goes on.
    fn move_service(&mut self, failed: Instant) -> Result<Duration, Box<dyn Error>> {
        self.active = 1 - self.active;
        self.load.move_to(&self.hosts[self.active].root)?;
        self.wait_for_changes()?;
        Ok(failed.elapsed())
    }

    /// Waits until the attempt of the machine in reserve has ended and one of the two is in service; it tries again while the
    /// other isn't. True if the one in reserve is.
    fn settle(&mut self) -> Result<bool, Box<dyn Error>> {
        self.wait("the end of an attempt to mount", |rig| {
            let reserve = rig.reserve();
            Ok(reserve.is_mounted() || reserve.has_ended()?)
        })?;
        if self.reserve().is_mounted() && !self.reserve().has_ended()? {
            return Ok(true);
        }
        let (now, mut has_moved) = (Instant::now(), false);
        self.wait("either machine to be in service", |rig| {
            has_moved = !rig.load.all_since(now) && rig.reserve().try_to_mount()? == Progress::Mounted;
            Ok(has_moved || rig.load.all_since(now))
        })?;
        Ok(has_moved)
    }

    /// Checks that the machine that had the mount acknowledges nothing any more, and ends it.
    fn end_the_other(&mut self, kind: Kind) -> Result<(), Box<dyn Error>> {
        let other = self.reserve();
        if kind != Kind::Killed {
            let late = format!("of={}", other.root.join("late").display());
            let write = ["60", "dd", "if=/dev/zero", &late, "bs=512", "count=1", "conv=fsync", "status=none"];
            if run("timeout", &write).is_ok() {
                return Err("who was in service before says that something is durable".into());
            }
        }
        if other.unmount()? && kind != Kind::Killed {
            return Err("who was in service before ends as if nothing were lost".into());
        }
        Ok(())
    }

    fn wait_until_in_step(&mut self) -> Result<(), Box<dyn Error>> {
        let root = self.hosts[self.active].root.display().to_string();
        self.wait("all disks to be in step", |rig| {
            sleep(Duration::from_millis(200));
            let active = rig.active;
            Ok(rig.hosts[active].take_in_the_rest() && rig.hosts[active].tool(&["cluster", "status", &root]).is_ok())
        })?;
        Ok(())
    }

    /// Ends everything: acknowledged changes must be there, and each disk, by itself, must be whole and hold the same as the
    /// others.
    pub(crate) fn finish(mut self) -> Result<(), Box<dyn Error>> {
        self.load.stop();
        self.load.compare(&self.hosts[self.active].root)?;
        self.load.judge()?;
        if !self.hosts[self.active].unmount()? {
            return Err(format!("it isn't unmounted well: {}", self.hosts[self.active].said()?).into());
        }
        self.disks.clear();
        self.images.hold_the_same()
    }
}
