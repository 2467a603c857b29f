//! A mount from beginning to end, on its own stack, whichever thread is inside.

use core::cell::Cell;
use core::ffi::c_void;
use core::future::{Future, poll_fn};
use core::pin::Pin;
use core::task::Poll;

use hammer2_core::cluster::{Cluster, PfsSelector};
use hammer2_core::fs::{Error, FileSystem, MountError, MountOptions};
use hammer2_core::io::{DeviceInfo, DeviceName, Disk, DiskOptions, boxed_device};
use hammer2_core::memory::{self, Box, Heap, NoMemory, Vec};
use hammer2_kmod_shim::budget::Budget;
use hammer2_kmod_shim::executor::{Executor, Machine};
use hammer2_kmod_shim::timer::Timer;

use crate::abi::{Config, op};
use crate::attendant;
use crate::crew::{Crew, Job};
use crate::device::{LinuxDevice, Shared};
use crate::foreman::Foreman;
use crate::heap::Kvmalloc;
use crate::host::{self, Ktime, Mount, Severity, Wall, say};
use crate::mailbox::{Call, Mailbox};
use crate::operations;

const ENOMEM: i32 = 12;
const EINVAL: i32 = 22;
const EROFS: i32 = 30;

/// The memory of tasks, which isn't part of the mount's budget: there are no more tasks than callers.
static TASKS: Kvmalloc = Kvmalloc;

/// The number of tasks that can wait for an alarm at the same time; with more, alarms ring early.
const ALARMS: usize = 256;

/// The heap is larger than the memory that the mount is told it has, as the core asks for.
const fn with_spare(memory_bytes: usize) -> usize {
    memory_bytes + memory_bytes / 4 + (4 << 20)
}

/// What the core is given for as long as it is mounted.
struct Site {
    budget: Budget<Kvmalloc>,
    timer: Timer<Ktime>,
    devices: Vec<LinuxDevice>,
    /// The names of the devices, to which errors refer.
    _names: Vec<&'static str>,
}

/// Drives the executor.
struct Driver<'s> {
    mount: Mount,
    site: &'s Site,
    mailbox: &'s Mailbox,
    seen: Cell<u64>,
}

impl Machine for Driver<'_> {
    fn turn(&self) {
        let events = self.mount.events();
        if self.seen.replace(events) != events {
            self.site.devices.iter().for_each(LinuxDevice::turn);
            self.mailbox.ring();
        }
        self.site.timer.ring_due();
    }

    fn breathe(&self) {
        if self.mount.shall_stop() {
            self.mount.wait(self.seen.get(), 0);
        }
    }

    fn wait(&self, _: &dyn Fn() -> bool) {
        let deadline = self.site.timer.next_alarm().map_or(u64::MAX, |at| at.nanoseconds);
        self.mount.wait(self.seen.get(), deadline);
    }
}

/// Mounts, serves and unmounts.
pub(crate) fn serve(mount: Mount, config: &Config) {
    host::log();
    host::lend_checks();
    let site = match Site::new(config) {
        Ok(site) => Box::leak(site),
        Err(NoMemory) => return mount.opened(-ENOMEM),
    };
    // The core's references to its site have no end; the site is taken back below.
    let site_pointer: *mut Site = site;
    // SAFETY: nothing else leads there but what is made of this reference.
    let site: &'static Site = unsafe { &*site_pointer };
    if let Err(NoMemory) = try_serve(mount, config, site) {
        say(Severity::Error, format_args!("there is no memory to unmount with: what wasn't synced is lost"));
    }
    let mut given_back = true;
    // Each device is waited for, whatever the others do.
    site.devices.iter().for_each(|device| given_back &= device.drain());
    if !given_back {
        return mount.abandon(site_pointer.cast());
    }
    // SAFETY: all holders of references are gone: the filesystem with its disks, the executors with their tasks. The devices have
    // given back every buffer.
    unsafe { forget(site_pointer.cast()) };
}

/// Frees what was lent to a mount that has ended.
///
/// # Safety
///
/// `site` is what [`serve`] made, nothing else refers to it, and the devices have given back every buffer.
pub(crate) unsafe fn forget(site: *mut c_void) {
    let site_pointer: *mut Site = site.cast();
    // SAFETY: the caller's promise.
    let site = unsafe { &mut *site_pointer };
    // Requests that were given up have left buffers there. They go back to the budget, which must not have moved by then.
    site.devices.clear();
    let (used, peak_kib) = (site.budget.used_bytes(), site.budget.peak_bytes().div_ceil(1024));
    match used {
        0 => say(Severity::Notice, format_args!("the core took {peak_kib} KiB of memory at most")),
        left => say(Severity::Warning, format_args!("{left} bytes of memory were not given back")),
    }
    // SAFETY: `serve` leaked it, and nothing refers to it.
    drop(unsafe { Box::from_raw_in(site_pointer, &TASKS as Heap) });
}

impl Site {
    fn new(config: &Config) -> Result<Box<Self>, NoMemory> {
        // SAFETY: `hammer2_serve` was promised that so many are there.
        let given = unsafe { core::slice::from_raw_parts(config.devices, config.device_count as usize) };
        let mut names = Vec::new_in(&TASKS as Heap);
        for device in given {
            // SAFETY: the same, of the name, and nothing that speaks of a device is left when `serve` returns.
            let name: &'static [u8] = unsafe { device.name.bytes() };
            memory::push(&mut names, core::str::from_utf8(name).unwrap_or("disk"))?;
        }
        // SAFETY: the site keeps the names, none of which is added or removed, for as long as anything speaks of a device.
        let lasting: &'static [&'static str] = unsafe { core::slice::from_raw_parts(names.as_ptr(), names.len()) };
        let mut devices = Vec::new_in(&TASKS as Heap);
        for (device, name) in given.iter().zip(lasting) {
            let info = DeviceInfo {
                name: DeviceName::new(name),
                size_bytes: device.size_bytes,
                queue_depth: config.queue_depth as u16,
                read_only: device.is_read_only != 0,
                // The mount holds it exclusively.
                is_shared: false,
            };
            memory::push(&mut devices, LinuxDevice::new(&TASKS, info, device.device)?)?;
        }
        let budget = Budget::new(Kvmalloc, with_spare(config.memory_bytes as usize));
        memory::boxed(&TASKS, Self { budget, timer: Timer::new(&TASKS, Ktime, ALARMS)?, devices, _names: names })
    }

    /// The disks of each node.
    fn nodes(&'static self, config: &Config) -> Result<Vec<Vec<Disk>>, NoMemory> {
        let heap: Heap = &self.budget;
        let mut nodes: Vec<Vec<Disk>> = Vec::new_in(heap);
        // SAFETY: as in `new`.
        let given = unsafe { core::slice::from_raw_parts(config.devices, config.device_count as usize) };
        for (device, of) in self.devices.iter().zip(given) {
            let disk = Disk::new(heap, boxed_device(heap, Shared(device))?, &self.timer, DiskOptions::default())?;
            while nodes.len() <= of.node as usize {
                memory::push(&mut nodes, Vec::new_in(heap))?;
            }
            memory::push(&mut nodes[of.node as usize], disk)?;
        }
        Ok(nodes)
    }
}

fn pinned<F: Future>(heap: Heap, make: impl FnOnce() -> F) -> Result<Pin<Box<F>>, NoMemory> {
    Ok(Box::into_pin(memory::boxed(heap, make())?))
}

fn try_serve(mount: Mount, config: &Config, site: &'static Site) -> Result<(), NoMemory> {
    let mailbox = Mailbox::default();
    let driver = Driver { mount, site, mailbox: &mailbox, seen: Cell::new(0) };
    let opened =
        pinned(&TASKS, || open(config, site)).and_then(|opening| Ok(Executor::new(&TASKS)?.block_on(&driver, opening)));
    let fs = match opened.unwrap_or(Err(ENOMEM)) {
        Ok(fs) => fs,
        Err(errno) => {
            mount.opened(-errno);
            return Ok(());
        }
    };
    mount.opened(0);
    let unmount = serve_requests(&driver, &fs, config)?;
    let ending = pinned(&TASKS, || Box::into_inner(fs).unmount())?;
    let ended = Executor::new(&TASKS)?.block_on(&driver, ending);
    if let Some(mut unmount) = unmount {
        unmount.answer(match ended {
            Ok(_) => 0,
            Err(error) => {
                say(Severity::Error, format_args!("{error}; what was changed since the last sync is lost"));
                -i64::from(error.errno())
            }
        });
    }
    Ok(())
}

/// Serves requests until one asks to unmount; returns that request.
fn serve_requests(driver: &Driver<'_>, fs: &FileSystem, config: &Config) -> Result<Option<Call>, NoMemory> {
    let (mount, mailbox) = (driver.mount, driver.mailbox);
    let (crew, foreman) = (Crew::new(), Foreman::new(fs, config.is_writable != 0));
    let executor = Executor::new(&TASKS)?;
    if config.is_writable != 0 {
        executor.spawn(attendant::look_after(fs, mailbox, config.sync_seconds))?;
        executor.spawn(foreman.work(fs, mailbox))?;
    }
    let (spawner, crew, foreman) = (&executor, &crew, &foreman);
    let served = poll_fn(move |cx| {
        while let Some(call) = mount.next_call() {
            if call.op() == op::UNMOUNT {
                mailbox.end(call);
                continue;
            }
            if let Some(job) = crew.hand(Job { call, begun: mailbox.begin() }) {
                // Without memory for it, the call is dropped, and so answered with an error.
                let _ = spawner.spawn(work(fs, foreman, crew, job));
            }
        }
        match mailbox.poll_ended(cx) {
            Poll::Ready(()) => Poll::Ready(mailbox.take_unmount()),
            Poll::Pending => Poll::Pending,
        }
    });
    Ok(executor.block_on(driver, served))
}

/// Does a job, and then others until enough tasks wait for one.
async fn work<'m>(fs: &FileSystem, foreman: &Foreman, crew: &Crew<'m>, job: Job<'m>) {
    let mut next = Some(job);
    while let Some(Job { call, begun }) = next {
        operations::perform(fs, foreman, call).await;
        drop(begun);
        next = crew.next().await;
    }
}

/// Opens the nodes and mounts the PFS; if that fails, the log says why.
async fn open(config: &Config, site: &'static Site) -> Result<Box<FileSystem>, i32> {
    let heap: Heap = &site.budget;
    // SAFETY: `hammer2_serve` was promised that the label stays as it is.
    let label = unsafe { config.label.bytes() };
    let selector = if label.is_empty() { PfsSelector::Default } else { PfsSelector::Label(label) };
    let options = MountOptions { memory_bytes: config.memory_bytes as usize, spare_nodes: 0 };
    let mounted = async {
        let cluster = open_nodes(heap, site.nodes(config)?, options).await?;
        FileSystem::mount_pfs(heap, cluster, selector, options).await
    };
    let refuse = |error: MountError| {
        say(Severity::Error, format_args!("it can't be mounted: {error}"));
        match error {
            MountError::NoMemory(NoMemory) => ENOMEM,
            MountError::Op(error) => Error::from(error).errno(),
            MountError::NotWritable(_) => EROFS,
            _ => EINVAL,
        }
    };
    let mut fs = mounted.await.map_err(refuse)?;
    if config.is_writable != 0 {
        static WALL: Wall = Wall;
        fs = fs.make_writable(&WALL).await.map_err(refuse)?;
    }
    memory::boxed(heap, fs).map_err(|NoMemory| ENOMEM)
}

async fn open_nodes(heap: Heap, mut nodes: Vec<Vec<Disk>>, options: MountOptions) -> Result<Cluster, MountError> {
    if nodes.len() == 1
        && let Some(disks) = nodes.pop()
    {
        return FileSystem::open_cluster(heap, disks, options).await;
    }
    let mut refused = |node, error: &_| {
        say(
            Severity::Error,
            format_args!("node {}: {error}; it is mounted without that, if enough are left", node + 1),
        );
    };
    FileSystem::open_nodes(heap, nodes, options, &mut refused).await
}
