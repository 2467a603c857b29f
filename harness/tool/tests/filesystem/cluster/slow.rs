//! A member that is slower than the others: however much is changed, it stays, and changes wait only for moments. One that falls
//! silent under the same load leaves, and holds nobody up.
//! `H2_SEED` chooses the first run, and `H2_RUNS` the number of runs.

use std::cell::Cell;
use std::rc::Rc;

use hammer2_core::cluster::{MemberState, PfsSelector};
use hammer2_core::fs::{FileSystem, MountOptions, NewFile};
use hammer2_core::io::{Disk, DiskOptions, boxed_device};
use hammer2_core::media::{FileKind, Inum};
use hammer2_core::memory::{Vec as HeapVec, push};
use hammer2_core::random::Random;
use hammer2_host::virtual_time::{SlowDevice, Task, Temper, VirtualClock, run, run_all};

use super::members::{HEAP, LABEL, Members, Ticks, noise};
use super::of_three;
use crate::runs;

const MILLISECOND: u64 = 1_000_000;
/// The soft deadline of the cluster.
const MOMENT: u64 = 30 * MILLISECOND;
const FILE_BLOCK_BYTES: u64 = 64 << 10;
/// The most bytes of one write.
const MOST_BYTES: u64 = 300_000;

/// Three disks in virtual time, one of which differs from the others.
struct Unequal {
    members: Members,
    clock: &'static VirtualClock,
    tempers: Vec<Rc<Temper>>,
    depth: u16,
    memory_bytes: usize,
}

impl Unequal {
    fn new(random: &mut Random) -> Self {
        Self {
            members: of_three(),
            clock: Box::leak(Box::default()),
            tempers: (0..3).map(|_| Rc::new(Temper::new(random.next_u64()))).collect(),
            depth: random.pick(&[1, 2, 4, 16]),
            memory_bytes: random.pick(&[8 << 20, 24 << 20, 64 << 20]),
        }
    }

    async fn mount(&self) -> FileSystem {
        let mut disks = HeapVec::new_in(HEAP);
        for (number, (disk, temper)) in self.members.disks.iter().zip(&self.tempers).enumerate() {
            let device = SlowDevice::new(disk, self.clock, temper, self.depth, number as u64);
            let device = boxed_device(HEAP, device).unwrap();
            let mut node = HeapVec::new_in(HEAP);
            push(&mut node, Disk::new(HEAP, device, self.clock, DiskOptions::default()).unwrap()).unwrap();
            push(&mut disks, node).unwrap();
        }
        let options = MountOptions { memory_bytes: self.memory_bytes, spare_nodes: 0 };
        let nodes = FileSystem::open_nodes(HEAP, disks, options, &mut |_, error| panic!("{error}")).await.unwrap();
        let fs = FileSystem::mount_pfs(HEAP, nodes, PfsSelector::Label(LABEL), options).await.unwrap();
        fs.make_writable(&Ticks).await.unwrap()
    }

    /// Clients change as much as they can, for so many turns each, beside the cluster's keeper; returns the longest time of a
    /// change, and which members are left.
    fn load(&self, turns: u64, random: &mut Random, at_turn: impl Fn(u64)) -> (u64, Vec<bool>) {
        let fs = run(self.clock, self.mount());
        let (longest, done) = (Cell::new(0), Cell::new(0));
        let clients = 1 + random.below(4);
        let turned = Cell::new(0);
        {
            let client = |number: u64, mut random: Random| {
                let (fs, longest, done, turned, at_turn) = (&fs, &longest, &done, &turned, &at_turn);
                let work = async move {
                    for turn in 0..turns {
                        let begun = self.clock.nanoseconds();
                        change(fs, number, turn, &mut random).await;
                        longest.set(longest.get().max(self.clock.nanoseconds() - begun));
                        turned.set(turned.get() + 1);
                        at_turn(turned.get());
                    }
                    done.set(done.get() + 1);
                };
                (format!("client {number}"), Box::pin(work) as std::pin::Pin<Box<dyn Future<Output = ()>>>)
            };
            let mut tasks: Vec<Task<'_>> =
                (0..clients).map(|number| client(number, Random::new(random.next_u64()))).collect();
            let keeper = async {
                let all_done = async {
                    while done.get() < clients {
                        self.clock.sleep(10 * MILLISECOND).await;
                    }
                };
                fs.attend(all_done).await;
            };
            tasks.push(("keeper".to_owned(), Box::pin(keeper)));
            run_all(self.clock, tasks, &mut Random::new(random.next_u64()));
        }
        run(self.clock, async { fs.attend(fs.level()).await.unwrap() });
        run(self.clock, async { fs.attend(fs.sync()).await.unwrap() });
        run(self.clock, async { fs.attend(fs.level()).await.unwrap() });
        let stayed = fs.member_statuses().map(|member| member.state == MemberState::InSync).collect();
        (longest.get(), stayed)
    }
}

/// One change of a client: content of a large file, mostly; a small file; or a sync of either.
async fn change(fs: &FileSystem, client: u64, turn: u64, random: &mut Random) {
    let new = NewFile::new(FileKind::Regular, 0o644);
    let large = format!("large-{client}");
    let file = match fs.lookup(Inum::PFS_ROOT, large.as_bytes()).await {
        Ok(file) => file,
        Err(_) => fs.create(Inum::PFS_ROOT, large.as_bytes(), &new).await.unwrap(),
    };
    match random.below(10) {
        0..6 => {
            let bytes = noise(1 + random.below(MOST_BYTES) as usize);
            fs.write(file, random.below(20_000_000), &bytes).await.unwrap();
        }
        6..9 => {
            let small = fs.create(Inum::PFS_ROOT, format!("small-{client}-{turn}").as_bytes(), &new).await.unwrap();
            fs.write(small, 0, &noise(random.below(5_000) as usize)).await.unwrap();
        }
        _ => fs.fsync(file).await.unwrap(),
    }
}

#[test]
fn who_is_only_slow_stays() {
    runs::for_each_seed(12, 200, |seed| {
        let mut random = Random::new(seed);
        let unequal = Unequal::new(&mut random);
        let (slow, times) = (random.index(3), random.pick(&[5, 20, 50]));
        unequal.tempers[slow].set_slowness(times);
        let case = format!(
            "H2_SEED={seed}: disk {slow} is {times} times slower, depth {}, {} bytes of memory",
            unequal.depth, unequal.memory_bytes
        );
        let (longest, stayed) = unequal.load(120, &mut random, |_| {});
        println!("{case}: {} ms at most", longest / MILLISECOND);
        // A member that needs longer for a block than a change waits may be overrun.
        assert!(stayed == [true; 3] || times > 20, "{case}: {stayed:?}");
        let in_step: Vec<usize> = (0..3).filter(|index| stayed[*index]).collect();
        unequal.members.expect_alike(&in_step);
    });
}

#[test]
fn who_falls_silent_holds_up_nobody_for_long() {
    runs::for_each_seed(6, 100, |seed| {
        let mut random = Random::new(seed);
        let unequal = Unequal::new(&mut random);
        let (silent, times) = (random.index(3), random.pick(&[1, 5, 20]));
        unequal.tempers[silent].set_slowness(times);
        let when = 20 + random.below(60);
        let case = format!("H2_SEED={seed}: disk {silent}, {times} times slower, falls silent at turn {when}");
        let (longest, stayed) = unequal.load(120, &mut random, |turn| {
            if turn == when {
                unequal.tempers[silent].fall_silent(unequal.clock.nanoseconds(), 1_000_000 * MILLISECOND);
            }
        });
        println!("{case}: {} ms at most", longest / MILLISECOND);
        assert!(!stayed[silent] && stayed.iter().filter(|stayed| **stayed).count() == 2, "{case}: {stayed:?}");
        // Each block of a change may wait for a moment.
        let limit = (MOST_BYTES.div_ceil(FILE_BLOCK_BYTES) + 4) * MOMENT;
        assert!(longest < limit, "{case}: {} ms", longest / MILLISECOND);
    });
}
