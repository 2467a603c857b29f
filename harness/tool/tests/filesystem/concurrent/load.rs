//! One run: a volume, its mount, and its users.

use std::cell::Cell;
use std::ops::Range;
use std::rc::Rc;

use allocator_api2::alloc::Global;
use hammer2_core::cluster::PfsSelector;
use hammer2_core::fs::{Error, FileSystem, MountOptions, NewFile, TimeSource};
use hammer2_core::io::{Disk, DiskOptions, MemoryDisk, boxed_device};
use hammer2_core::media::{FileKind, Inum};
use hammer2_core::memory::{Heap, Vec as HeapVec, push};
use hammer2_core::newfs::{NewfsOptions, newfs};
use hammer2_core::random::Random;
use hammer2_host::virtual_time::{LONGEST_SILENCE, SlowDevice, Task, Temper, VirtualClock, run, run_all};

use super::content::{self, CELL_BYTES, Content, Moment};
use crate::ticks::Ticks;

const HEAP: Heap = &Global;
const VOLUME_BYTES: u64 = 256 << 20;
/// Cells of a file: 4 MiB.
const CELLS: usize = 8192;
const FILES: usize = 4;
/// Cells of a piece that is kept by itself when it is written to a block that isn't in memory.
const CELLS_OF_PIECE: usize = 8;
/// How long a user waits before repeating an operation that failed on a silent device.
const PATIENCE_NANOSECONDS: u64 = 500_000_000;

/// One run.
pub(crate) struct Run {
    seed: u64,
    random: Random,
    clock: &'static VirtualClock,
    disk: Rc<MemoryDisk>,
    temper: Rc<Temper>,
    depth: u16,
    memory_bytes: usize,
    devices: Cell<u64>,
}

/// The state that users of the filesystem share.
struct Shared<'r> {
    fs: &'r FileSystem,
    clock: &'static VirtualClock,
    files: Vec<(Inum, Content)>,
    moment: Cell<Moment>,
    values: Cell<u64>,
}

impl Run {
    pub(crate) fn new(seed: u64) -> Self {
        let mut random = Random::new(seed);
        let depth = random.pick(&[1, 2, 3, 4, 8, 16, 32, 64]);
        let memory_bytes = random.pick(&[2 << 20, 4 << 20, 16 << 20]);
        Self {
            seed,
            depth,
            memory_bytes,
            temper: Rc::new(Temper::new(random.next_u64())),
            random,
            clock: Box::leak(Box::default()),
            disk: Rc::new(MemoryDisk::new(HEAP, VOLUME_BYTES)),
            devices: Cell::new(0),
        }
    }

    fn disks(&self) -> HeapVec<Disk> {
        let number = self.devices.replace(self.devices.get() + 1);
        let device = SlowDevice::new(&self.disk, self.clock, &self.temper, self.depth, number);
        let mut disks = HeapVec::new_in(HEAP);
        let device = boxed_device(HEAP, device).unwrap();
        push(&mut disks, Disk::new(HEAP, device, self.clock, DiskOptions::default()).unwrap()).unwrap();
        disks
    }

    async fn mount(&self) -> FileSystem {
        let options = MountOptions { memory_bytes: self.memory_bytes, spare_nodes: 0 };
        let fs = FileSystem::mount(HEAP, self.disks(), PfsSelector::Default, options).await.unwrap();
        fs.make_writable(&Ticks).await.unwrap()
    }

    fn format(&mut self) {
        let mut ids = Random::new(self.random.next_u64());
        run(self.clock, async {
            let disks = self.disks();
            let references: Vec<&Disk> = disks.iter().collect();
            let options = NewfsOptions::default();
            newfs(&references, &options, HEAP, &mut |bytes| ids.fill(bytes), Ticks.now()).await.unwrap();
        });
    }

    /// Reads blocks while a sync merges them from old content and pieces, with nothing else in memory.
    pub(crate) fn read_what_is_stored_meanwhile(&mut self) {
        println!("H2_SEED={} (depth {})", self.seed, self.depth);
        self.memory_bytes = 4 << 20;
        self.format();
        let fs = run(self.clock, self.mount());
        let mut shared = Shared::new(&fs, self.clock);
        run(self.clock, shared.create_files());
        run(self.clock, shared.write(0, 0..CELLS));
        let Shared { files, moment, values, .. } = shared;
        drop(run(self.clock, fs.unmount()).unwrap());
        let fs = run(self.clock, self.mount());
        let shared = Shared { fs: &fs, clock: self.clock, files, moment, values };
        let cells = pieces(&mut self.random);
        run(self.clock, shared.write(0, cells.clone()));
        let read = |name: &str| -> Task<'_> { (name.to_owned(), Box::pin(shared.read(0, cells.clone()))) };
        let around = cells.start.saturating_sub(1)..(cells.end + 1).min(CELLS);
        let reads_more: Task<'_> = ("reads more".to_owned(), Box::pin(shared.read(0, around)));
        let syncs: Task<'_> = ("syncs".to_owned(), Box::pin(shared.sync(0)));
        let mut order = Random::new(self.random.next_u64());
        run_all(self.clock, vec![read("reads"), syncs, reads_more], &mut order);
    }

    /// Formats, mounts, works, and checks the volume after the power went.
    pub(crate) fn perform(&mut self) {
        let case = format!("H2_SEED={} (depth {}, {} bytes of memory)", self.seed, self.depth, self.memory_bytes);
        println!("{case}");
        self.format();
        let fs = run(self.clock, self.mount());
        let silences = self.random.pick(&[0, 0, 500, 2000]);
        let (files, synced) = {
            let mut shared = Shared::new(&fs, self.clock);
            run(self.clock, shared.create_files());
            self.temper.set_silences(silences);
            let count = 2 + self.random.index(12);
            let tasks = (0..count).map(|number| shared.task(number, &mut self.random)).collect();
            let mut order = Random::new(self.random.next_u64());
            run_all(self.clock, tasks, &mut order);
            self.temper.set_silences(0);
            let synced = shared.tick();
            run(self.clock, shared.until_done(async || fs.sync().await));
            // A sync that had nothing to write hasn't met the last silence.
            run(self.clock, self.clock.sleep(LONGEST_SILENCE));
            run(self.clock, shared.check_all(&fs, synced));
            (shared.files, synced)
        };
        drop(fs);
        run(self.clock, async {
            let fs = self.mount().await;
            let shared = Shared { fs: &fs, clock: self.clock, files, moment: Cell::new(synced), values: Cell::new(0) };
            shared.check_all(&fs, synced).await;
        });
    }
}

impl<'r> Shared<'r> {
    fn new(fs: &'r FileSystem, clock: &'static VirtualClock) -> Self {
        Self { fs, clock, files: Vec::new(), moment: Cell::new(0), values: Cell::new(0) }
    }

    fn tick(&self) -> Moment {
        self.moment.set(self.moment.get() + 1);
        self.moment.get()
    }

    async fn create_files(&mut self) {
        for number in 0..FILES {
            let new = NewFile::new(FileKind::Regular, 0o644);
            let file = self.fs.create(Inum::PFS_ROOT, format!("f{number}").as_bytes(), &new).await.unwrap();
            self.files.push((file, Content::default()));
        }
    }

    /// Repeats an operation until the device answers in time.
    async fn until_done<T>(&self, operation: impl AsyncFn() -> Result<T, Error>) -> T {
        for _ in 0..1000 {
            match operation().await {
                Ok(done) => return done,
                Err(Error::Io(fault)) if fault.is_timeout() => self.clock.sleep(PATIENCE_NANOSECONDS).await,
                Err(error) => panic!("{error}"),
            }
        }
        panic!("the device answers, and nothing is done for minutes");
    }

    /// A user of the files, in one of several ways.
    fn task(&self, number: usize, random: &mut Random) -> Task<'_> {
        let mut random = Random::new(random.next_u64());
        let turns = 5 + random.below(25);
        let kind = random.below(9);
        let name = format!(
            "{number}: {}",
            [
                "reads in order",
                "reads here and there",
                "writes in order",
                "writes",
                "writes",
                "cuts",
                "syncs",
                "writes pieces",
                "looks around"
            ][kind as usize]
        );
        let work = async move {
            for _ in 0..turns {
                let file = random.index(FILES);
                match kind {
                    0 => self.read_in_order(file, &mut random).await,
                    1 => self.read(file, range(&mut random, 300)).await,
                    2 => self.write_in_order(file, &mut random).await,
                    3 => self.write(file, range(&mut random, 600)).await,
                    4 => self.write(file, range(&mut random, 9)).await,
                    5 => self.cut(file, &mut random).await,
                    6 => self.sync(file).await,
                    7 => self.write(file, pieces(&mut random)).await,
                    _ => self.look_around(file, &mut random).await,
                }
            }
        };
        (name, Box::pin(work))
    }

    /// Reads in order, but stops anywhere, so that reading ahead may be in vain.
    async fn read_in_order(&self, file: usize, random: &mut Random) {
        let mut at = random.index(CELLS);
        let step = random.pick(&[8, 128, 256]);
        for _ in 0..random.index(20) {
            let cells = at..(at + step).min(CELLS);
            at = cells.end;
            self.read(file, cells).await;
        }
    }

    async fn read(&self, file: usize, cells: Range<usize>) {
        let (inum, content) = &self.files[file];
        let mut bytes = vec![0; cells.len() * CELL_BYTES];
        let begun = self.tick();
        let offset = (cells.start * CELL_BYTES) as u64;
        let read = self.fs.read(*inum, offset, &mut bytes).await;
        match read {
            Ok(count) => bytes[count..].fill(0),
            Err(Error::Io(fault)) if fault.is_timeout() => return,
            Err(error) => panic!("{error}"),
        }
        self.tick();
        let found = content::values(&bytes).and_then(|values| content.check(cells.start, &values, begun));
        found.unwrap_or_else(|what| panic!("file {file}: {what}"));
    }

    async fn write_in_order(&self, file: usize, random: &mut Random) {
        let mut at = random.index(CELLS);
        let step = random.pick(&[8, 128, 256]);
        for _ in 0..random.index(20) {
            let cells = at..(at + step).min(CELLS);
            at = cells.end;
            self.write(file, cells).await;
        }
    }

    async fn write(&self, file: usize, cells: Range<usize>) {
        if cells.is_empty() {
            return;
        }
        let (inum, _) = &self.files[file];
        // Values are so far apart that the words of two cells never look alike.
        self.values.set(self.values.get() + 1);
        let value = self.values.get() << 32;
        let mut bytes = vec![0; cells.len() * CELL_BYTES];
        content::fill(&mut bytes, value);
        let offset = (cells.start * CELL_BYTES) as u64;
        self.change(file, cells, value, async || self.fs.write(*inum, offset, &bytes).await).await;
    }

    async fn cut(&self, file: usize, random: &mut Random) {
        let (inum, _) = &self.files[file];
        let at = random.index(CELLS);
        if random.below(2) == 0 {
            let size = (at * CELL_BYTES) as u64;
            self.change(file, at..CELLS, 0, async || self.fs.truncate(*inum, size).await).await;
        } else {
            let cells = at..(at + random.index(600)).min(CELLS);
            let (offset, bytes) = ((at * CELL_BYTES) as u64, (cells.len() * CELL_BYTES) as u64);
            self.change(file, cells, 0, async || self.fs.punch(*inum, offset, bytes).await).await;
        }
    }

    /// Repeats a change until it is acknowledged; whether the failed attempts were done is unknown.
    async fn change(
        &self,
        file: usize,
        cells: Range<usize>,
        value: u64,
        operation: impl AsyncFn() -> Result<(), Error>,
    ) {
        let (_, content) = &self.files[file];
        self.until_done(async || {
            let change = content.begin(cells.clone(), value, self.tick());
            operation().await?;
            content.end(change, self.tick());
            Ok(())
        })
        .await;
    }

    /// The content that a successful sync covers is only checked at the end.
    async fn sync(&self, file: usize) {
        let (inum, _) = &self.files[file];
        self.until_done(async || self.fs.fsync(*inum).await).await;
    }

    async fn look_around(&self, file: usize, random: &mut Random) {
        let (inum, _) = &self.files[file];
        let at = (random.index(CELLS) * CELL_BYTES) as u64;
        match random.below(3) {
            0 => self.until_done(async || self.fs.lookup(Inum::PFS_ROOT, b"f0").await.map(drop)).await,
            1 => self.until_done(async || self.fs.attributes(*inum).await.map(drop)).await,
            _ => {
                let seek = async || match self.fs.seek_data(*inum, at).await {
                    Err(Error::NoData) => Ok(0),
                    found => found,
                };
                self.until_done(seek).await;
            }
        }
    }

    /// Compares everything: changes answered before `since` must be there.
    async fn check_all(&self, fs: &FileSystem, since: Moment) {
        for (number, (inum, content)) in self.files.iter().enumerate() {
            let mut bytes = vec![0; CELLS * CELL_BYTES];
            let count = fs.read(*inum, 0, &mut bytes).await.unwrap();
            bytes[count..].fill(0);
            let found = content::values(&bytes).and_then(|values| content.check(0, &values, since));
            found.unwrap_or_else(|what| panic!("file {number}, in the end: {what}"));
        }
    }
}

/// Cells of one piece of a block, or of a few.
fn pieces(random: &mut Random) -> Range<usize> {
    let range = range(random, 3 * CELLS_OF_PIECE);
    range.start / CELLS_OF_PIECE * CELLS_OF_PIECE..range.end.next_multiple_of(CELLS_OF_PIECE)
}

/// A random range of at most so many cells.
fn range(random: &mut Random, most: usize) -> Range<usize> {
    let first = random.index(CELLS);
    first..(first + 1 + random.index(most)).min(CELLS)
}
