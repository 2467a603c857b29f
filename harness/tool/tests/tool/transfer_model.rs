//! A source that changes at random, and copies of it that are kept up to date: streams in order, out of order, cut anywhere and
//! resumed, spoilt; into one disk and into a cluster.
//! `H2_SEED` chooses the first sequence, `HAMMER2_FULL` makes many more.

use std::env;
use std::fs::{self, File};
use std::process::Output;

use allocator_api2::alloc::Global;
use hammer2_core::cluster::PfsSelector;
use hammer2_core::fs::{FileSystem, MountOptions};
use hammer2_core::io::{Disk, DiskOptions, boxed_device};
use hammer2_core::memory::{Heap, Vec as HeapVec, push};
use hammer2_core::random::Random;
use hammer2_host::clock::HostClock;
use hammer2_host::device::{Access, FileDevice};
use hammer2_host::executor::Executor;
use hammer2_host::time_source::HostTime;
use hammer2_model::{Dice, Model, Step};

use super::folder::Folder;
use crate::perform::perform;

const HEAP: Heap = &Global;
const SOURCE: &str = "a.img";
const KEPT: &str = "kept";

/// A stream, and the manifest of the state that it leads to.
struct Sent {
    stream: Vec<u8>,
    state: String,
}

impl Sent {
    /// The state that the stream makes, by its first record.
    fn makes(&self) -> &[u8] {
        &self.stream[17..41]
    }

    /// The base of the stream, by its first record.
    fn begins_with(&self) -> &[u8] {
        &self.stream[42..66]
    }
}

struct Transfer {
    folder: Folder,
    target: &'static str,
    random: Random,
    dice: Dice,
    model: Model,
    /// The base for the next stream: a transaction id or the label of a snapshot.
    base: Option<String>,
    snapshots: u64,
    sent: Vec<Sent>,
    /// How many of the streams were received.
    received: usize,
}

impl Transfer {
    fn new(seed: u64) -> Self {
        let mut random = Random::new(seed);
        let (target, images): (_, &[&str]) = match random.index(3) {
            0 => ("b.img+c.img+d.img@COPY", &[SOURCE, "b.img", "c.img", "d.img"]),
            _ => ("b.img@COPY", &[SOURCE, "b.img"]),
        };
        let folder = Folder::new();
        for image in images {
            folder.image(image, 192 << 20);
            folder.succeed(["newfs", image]);
        }
        let dice = Dice::new(random.next_u64());
        Self { folder, target, random, dice, model: Model::new(), base: None, snapshots: 0, sent: vec![], received: 0 }
    }

    /// Changes the source.
    fn change(&mut self) {
        let clock = HostClock::leaked();
        Executor::new(clock).block_on(Box::pin(async {
            let device = FileDevice::open(&self.folder.path(SOURCE), Access::Write).unwrap();
            let mut disks = HeapVec::new_in(HEAP);
            let device = boxed_device(HEAP, device).unwrap();
            push(&mut disks, Disk::new(HEAP, device, clock, DiskOptions::default()).unwrap()).unwrap();
            let selector = PfsSelector::Label(b"DATA");
            let fs = FileSystem::mount(HEAP, disks, selector, MountOptions::default()).await.unwrap();
            let fs = fs.make_writable(&HostTime).await.unwrap();
            for _ in 0..self.random.index(40) {
                let step = self.dice.step(&self.model);
                if matches!(step, Step::Snapshot(_) | Step::Grow) {
                    continue;
                }
                let done = perform(&step, &fs, &self.model).await;
                assert_eq!(done.is_ok(), step.apply(&mut self.model), "{step:?}: {done:?}");
            }
            fs.unmount().await.unwrap();
        }));
    }

    /// Sends the changes since the last stream, from the PFS or from a snapshot of it.
    fn send(&mut self) {
        let mut label = "DATA".to_owned();
        // A transaction id belongs to the PFS that it was reported for.
        let may_be_snapshot = self.base.as_ref().is_none_or(|base| base.starts_with('s'));
        if may_be_snapshot && self.random.percent(75) {
            self.snapshots += 1;
            label = format!("s{}", self.snapshots);
            self.folder.succeed(["snapshot", "a.img@DATA", &label]);
        }
        let source = format!("a.img@{label}");
        let mut command = self.folder.command(["send", &source]);
        let output = command.args(&self.base).output().unwrap();
        let told = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success(), "{told}");
        let tid = told.trim().rsplit(' ').next().unwrap().to_owned();
        // The next stream may begin from the snapshot, or from its origin.
        let is_snapshot = label != "DATA";
        self.base = Some(if is_snapshot { label } else { tid });
        let state = self.folder.succeed(["manifest", &source]);
        self.sent.push(Sent { stream: output.stdout, state });
    }

    fn receive(&self, stream: &[u8], arguments: &[&str]) -> Output {
        let path = self.folder.path("stream");
        fs::write(&path, stream).unwrap();
        let mut command = self.folder.command(["receive", self.target]);
        command.args(arguments).stdin(File::open(path).unwrap()).output().unwrap()
    }

    fn manifest(&self) -> Option<String> {
        let output = self.folder.run(["manifest", self.target]);
        output.status.success().then(|| String::from_utf8(output.stdout).unwrap())
    }

    fn refused(&self, stream: &[u8], arguments: &[&str], status: i32) {
        let before = self.manifest();
        let output = self.receive(stream, arguments);
        let text = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(status), "{text}");
        // A PFS that was made for a whole stream stays, empty.
        assert!(before.is_none() || before == self.manifest(), "something was changed");
    }

    fn token(&self) -> String {
        self.folder.succeed(["receive", "--keep", KEPT, "--token", self.target]).trim().to_owned()
    }

    /// Receives the next stream, after it was cut and spoilt.
    fn receive_next(&mut self) {
        let stream = self.sent[self.received].stream.clone();
        let mut spoilt = stream.clone();
        spoilt[self.random.index(stream.len())] ^= 1 << self.random.index(8);
        self.refused(&spoilt, &[], 1);
        let mut at = 0;
        for _ in 0..self.random.index(3) {
            // The stream continues behind a place between two records; the cut is anywhere.
            let end = at + self.random.index(stream.len() - at);
            let mut piece = stream[at..end].to_vec();
            if !piece.is_empty() && self.random.percent(30) {
                let place = self.random.index(piece.len());
                piece[place] ^= 1 << self.random.index(8);
            }
            self.refused(&piece, &["--keep", KEPT], 1);
            let token = self.token();
            let now: usize = token.split('-').next().unwrap().parse().unwrap();
            assert!(now >= at && now <= end, "{token}: from {at} to {end}");
            at = now;
        }
        let rest = &stream[at..];
        let whole = self.random.percent(20);
        let output = self.receive(if whole { &stream } else { rest }, &["--keep", KEPT]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        assert!(!self.folder.path(KEPT).exists());
        assert_eq!(self.manifest().as_ref(), Some(&self.sent[self.received].state));
        self.received += 1;
        // No stream is received twice, and a whole stream not into a PFS that isn't empty.
        let sent = &self.sent[self.received - 1];
        if sent.makes() != sent.begins_with() && sent.state.lines().count() > 1 {
            self.refused(&stream, &[], 2);
        }
    }

    fn run(&mut self) {
        for _ in 0..6 {
            self.change();
            self.send();
            if self.random.percent(60) {
                while self.received < self.sent.len() {
                    let ahead = self.sent.len() - self.received;
                    let later = self.received + self.random.index(ahead);
                    if self.sent[later].begins_with() != self.sent[self.received].begins_with() {
                        self.refused(&self.sent[later].stream, &[], 2);
                    }
                    self.receive_next();
                }
            }
        }
        for image in self.target.split('@').next().unwrap().split('+') {
            self.folder.check(image);
        }
        self.folder.check(SOURCE);
    }
}

#[test]
fn copies_are_what_was_sent_whatever_happens_to_streams() {
    let first: u64 = env::var("H2_SEED").map_or(0, |seed| seed.parse().unwrap());
    let count = if env::var_os("HAMMER2_FULL").is_some() { 300 } else { 4 };
    for seed in first..first + count {
        println!("H2_SEED={seed}");
        Transfer::new(seed).run();
    }
}
