//! A disk that hangs, in virtual time: how long operations wait for it, and how long they take once it is left out.

use std::cell::Cell;
use std::error::Error;
use std::future::poll_fn;
use std::pin::pin;
use std::time::Duration;

use hammer2_core::cluster::MemberState;
use hammer2_core::fs::{FileSystem, NewFile};
use hammer2_core::io::DiskOptions;
use hammer2_core::io::wrap::{Effect, Fault, Operations};
use hammer2_core::media::{FileKind, Inum};
use hammer2_core::random::Random;

use crate::cluster::{MASTERS, SPEED};
use crate::report::{Amount, Row};
use crate::volume::Volume;

/// Less memory than the data that is read and written.
const MEMORY_BYTES: usize = 16 << 20;
const VOLUME_BYTES: u64 = 4 << 30;
const FILES: u64 = 200;
const FILE_BYTES: u64 = 256 << 10;
const PIECE_BYTES: usize = 4096;
const OPERATIONS: usize = 20_000;
/// The disk that hangs.
const HANGING: usize = 1;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// A client that creates, reads, writes, looks up, removes and syncs.
struct Client<'a> {
    fs: &'a FileSystem,
    random: Random,
    files: Vec<Inum>,
    created: u64,
}

impl<'a> Client<'a> {
    async fn new(fs: &'a FileSystem) -> Result<Self> {
        let content = vec![7; FILE_BYTES as usize];
        let mut files = Vec::new();
        for number in 0..FILES {
            let name = format!("file.{number}");
            let file = fs.create(Inum::PFS_ROOT, name.as_bytes(), &NewFile::new(FileKind::Regular, 0o644)).await?;
            fs.write(file, 0, &content).await?;
            files.push(file);
        }
        fs.sync().await?;
        Ok(Self { fs, random: Random::new(4), files, created: 0 })
    }

    async fn operate(&mut self) -> Result<()> {
        let mut piece = [0; PIECE_BYTES];
        let file = self.files[self.random.below(FILES) as usize];
        let offset = self.random.below(FILE_BYTES / PIECE_BYTES as u64) * PIECE_BYTES as u64;
        match self.random.below(20) {
            0..8 => {
                self.fs.read(file, offset, &mut piece).await?;
            }
            8..13 => {
                self.random.fill(&mut piece);
                self.fs.write(file, offset, &piece).await?;
            }
            13..17 => {
                let name = format!("file.{}", self.random.below(FILES));
                self.fs.lookup(Inum::PFS_ROOT, name.as_bytes()).await?;
            }
            17 => {
                let name = format!("new.{}", self.created);
                self.created += 1;
                self.fs.create(Inum::PFS_ROOT, name.as_bytes(), &NewFile::new(FileKind::Regular, 0o644)).await?;
            }
            18 if self.created > 0 => {
                let name = format!("new.{}", self.created - 1);
                self.created -= 1;
                self.fs.unlink(Inum::PFS_ROOT, name.as_bytes()).await?;
            }
            _ => self.fs.sync().await?,
        }
        Ok(())
    }

    /// The times of many operations, sorted.
    async fn times(&mut self, volume: &Volume, operations: usize) -> Result<Vec<Duration>> {
        let mut times = Vec::new();
        for _ in 0..operations {
            times.push(volume.time(self.operate()).await?);
        }
        times.sort_unstable();
        Ok(times)
    }
}

/// Notes when a disk first hangs, and when it is left out.
struct Watch<'a> {
    volume: &'a Volume,
    fs: &'a FileSystem,
    hung_at: Cell<Option<u64>>,
    ejected_at: Cell<Option<u64>>,
}

impl Watch<'_> {
    async fn over<T>(&self, work: impl Future<Output = T>) -> T {
        let mut work = pin!(work);
        poll_fn(|cx| {
            let polled = work.as_mut().poll(cx);
            let now = self.volume.clock().now().nanoseconds;
            if self.hung_at.get().is_none() && self.volume.plan(HANGING).struck() > 0 {
                self.hung_at.set(Some(now));
            }
            let mut members = self.fs.member_statuses();
            if self.ejected_at.get().is_none() && members.any(|member| matches!(member.state, MemberState::Ejected(_)))
            {
                self.ejected_at.set(Some(now));
            }
            polled
        })
        .await
    }
}

fn percentile_99(times: &[Duration]) -> Duration {
    times[times.len() * 99 / 100]
}

/// How long operations take once the disk is left out, against the time before it hung; and how long it was waited for.
pub fn one_of_three() -> Result<(Row, Amount)> {
    let volume = Volume::throttled_masters(MASTERS, VOLUME_BYTES, SPEED);
    volume.run(async {
        volume.format().await?;
        let mounted = volume.mount(MEMORY_BYTES).await?;
        let fs = &mounted.fs;
        let mut client = Client::new(fs).await?;
        let healthy = client.times(&volume, OPERATIONS).await?;
        volume.plan(HANGING).add(Fault::always(Operations::all(), Effect::Hang)).map_err(|_| "no memory")?;
        let watch = Watch { volume: &volume, fs, hung_at: Cell::new(None), ejected_at: Cell::new(None) };
        while watch.ejected_at.get().is_none() {
            watch.over(client.operate()).await?;
        }
        let ejected = client.times(&volume, OPERATIONS).await?;
        let (Some(hung_at), Some(ejected_at)) = (watch.hung_at.get(), watch.ejected_at.get()) else {
            return Err("a disk that doesn't hang was left out".into());
        };
        let rate = |times: &[Duration]| 1.0 / percentile_99(times).as_secs_f64();
        let row = Row {
            name: "3 disks, one left out: 99th percentile",
            against: "3 disks, in virtual time",
            unit: "/s",
            ours: rate(&ejected),
            theirs: rate(&healthy),
            goal: Some(1.0 / 1.2),
            memory: Some(mounted.memory()),
        };
        let amount = Amount {
            name: "a disk hangs: until it is left out",
            unit: "virtual us",
            amount: (ejected_at - hung_at) / 1000,
            limit: DiskOptions::default().deadline.as_micros() as u64,
            memory: None,
        };
        Ok((row, amount))
    })
}
