//! A volume without room: filled to the last block by several writers, emptied, and filled again.

use std::future::poll_fn;
use std::rc::Rc;
use std::task::Poll;

use hammer2_core::fs::{Error, FileSystem};
use hammer2_core::io::MemoryDisk;
use hammer2_core::random::Random;
use hammer2_model::{Bytes, Model, Step};

use super::pfss::Pfss;
use super::volume::{HEAP, Headers, Host, device};
use crate::perform::perform;

/// Small enough to be filled soon.
const VOLUME_BYTES: u64 = 64 << 20;
/// Tasks that fill the volume at the same time, each a directory of its own.
const WRITERS: usize = 3;
/// How many steps each writer makes between syncs, so that they don't sync at the same times.
const SYNC_EVERY: [usize; WRITERS] = [50, 61, 73];
/// After how many refusals a writer goes on to smaller files.
const REFUSALS: usize = 3;
/// How much less a later fill may hold than the second, as blocks fall into segments in another order. The first finds unused
/// segments, and may hold a little more.
const LOST_PER_CENT: usize = 1;

/// The content of a full volume.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Held {
    pub(crate) names: usize,
    pub(crate) bytes: usize,
}

/// One of several writers on a volume.
struct Writer<'f> {
    fs: &'f FileSystem,
    number: usize,
    pass: usize,
    /// The accepted steps.
    done: Vec<Step>,
}

/// Lets the other tasks go on.
async fn take_turns() {
    let mut has_waited = false;
    poll_fn(|cx| {
        if std::mem::replace(&mut has_waited, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

impl Writer<'_> {
    /// False when there is no room; panics at any other error.
    async fn is_accepted(&mut self, step: Step) -> bool {
        take_turns().await;
        match perform(&step, self.fs, &Model::new()).await {
            Ok(()) => {
                self.done.push(step);
                true
            }
            Err(error) => {
                assert_eq!(error, Error::NoSpace, "{step:?}");
                false
            }
        }
    }

    async fn do_step(&mut self, step: Step) {
        assert!(self.is_accepted(step.clone()).await, "{step:?}: no space, {:?}", self.fs.statistics());
    }

    /// Makes files of `sizes`, then directories, each until no more are accepted.
    async fn fill(mut self, sizes: &[usize]) -> Vec<Step> {
        let home = format!("w{}.{}", self.number, self.pass);
        if !self.is_accepted(Step::Mkdir(home.clone())).await {
            assert!(self.pass > 0, "no space at the beginning: {:?}", self.fs.statistics());
            return self.done;
        }
        // The large files come first: when no more of them fit, smaller ones do.
        for (kind, size) in sizes.iter().map(Some).chain([None]).enumerate() {
            let mut refused = 0;
            for number in 0.. {
                if number % SYNC_EVERY[self.number] == SYNC_EVERY[self.number] - 1 {
                    self.do_step(Step::Sync).await;
                }
                let path = format!("{home}/{kind} {number}");
                let accepted = match size {
                    None => self.is_accepted(Step::Mkdir(path)).await,
                    Some(size) => {
                        self.is_accepted(Step::Create(path.clone())).await
                            && self.is_accepted(Step::Write(path, (number % 400) as u64, *size, Bytes::Noise)).await
                    }
                };
                refused += usize::from(!accepted);
                if refused == REFUSALS {
                    break;
                }
            }
        }
        self.do_step(Step::Sync).await;
        self.done
    }

    /// Removes everything made, the last first or in any order, and syncs so often that each change costs the most.
    async fn empty(mut self, made: &[Step], order: Order) {
        let mut removals: Vec<Step> = made.iter().rev().filter_map(removal).collect();
        let home = removals.pop();
        if let Order::Any(seed) = order {
            Random::new(seed).shuffle(&mut removals);
        }
        for (count, step) in removals.into_iter().chain(home).enumerate() {
            self.do_step(step).await;
            if count % SYNC_EVERY[self.number] == 0 && order != Order::LastFirst {
                self.do_step(Step::Sync).await;
            }
        }
    }
}

/// The order in which a volume is emptied.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Order {
    LastFirst,
    /// From this seed.
    Any(u64),
}

/// All writers of a pass.
fn writers(fs: &FileSystem, pass: usize) -> impl Iterator<Item = Writer<'_>> {
    (0..WRITERS).map(move |number| Writer { fs, number, pass, done: Vec::new() })
}

fn removal(made: &Step) -> Option<Step> {
    match made {
        Step::Create(path) => Some(Step::Unlink(path.clone())),
        Step::Mkdir(path) => Some(Step::Rmdir(path.clone())),
        _ => None,
    }
}

/// Passes of a fill: space comes back in the middle of the first, and the rest for the second is random.
const PASSES: usize = 2;

/// Fills a volume, checks it after a power cut, empties it, and so on. Every fill must hold as much as the second.
pub(crate) fn fill_again_and_again(host: &Host, sizes: &[usize], rounds: usize) -> Held {
    let disk = host.formatted(VOLUME_BYTES);
    let mount = || host.run(host.mount_writable(HEAP, device(&disk))).unwrap();
    let mut fills: Vec<Held> = Vec::new();
    for round in 0..rounds {
        let fs = mount();
        let mut made: [Vec<Vec<Step>>; PASSES] = Default::default();
        for (pass, made) in made.iter_mut().enumerate() {
            host.run(fs.give_space_back()).unwrap();
            *made = host.together(writers(&fs, pass).map(|writer| writer.fill(sizes)));
        }
        drop(fs);
        let mut model = Model::new();
        for step in made.iter().flatten().flatten() {
            assert!(step.apply(&mut model), "{step:?}");
        }
        host.run(check(host, &disk, &model));

        let held = held(&model);
        fills.push(held);
        let Held { names, bytes } = *fills.get(1).unwrap_or(&held);
        let least = |second: usize, lost: usize| second - lost.max(second * LOST_PER_CENT / 100);
        assert!(held.bytes >= least(bytes, 0), "round {round}: {held:?}, in the second {bytes} bytes");
        // With few files, one file may be more than that: the last, small one, which just had room.
        assert!(held.names >= least(names, 1), "round {round}: {held:?}, in the second {names} names");

        let fs = mount();
        let order = if round % 2 == 0 { Order::LastFirst } else { Order::Any(round as u64) };
        for (pass, made) in made.iter().enumerate().rev() {
            host.together(writers(&fs, pass).zip(made).map(|(writer, made)| writer.empty(made, order)));
        }
        host.run(async {
            // One pass finds the unused space, the next frees it.
            fs.bulkfree().await.unwrap();
            fs.bulkfree().await.unwrap();
            fs.unmount().await.unwrap();
            check(host, &disk, &Model::new()).await;
        });
    }
    fills[0]
}

fn held(model: &Model) -> Held {
    let paths = model.paths();
    let bytes = paths.iter().filter_map(|path| model.content(path)).map(Vec::len).sum();
    Held { names: paths.len(), bytes }
}

/// Mounts anew and compares.
async fn check(host: &Host, disk: &Rc<MemoryDisk>, model: &Model) {
    let mounted = Pfss::mount(host, disk).await.unwrap();
    assert_eq!(mounted.difference(model).await, None);
    let problems = host.problems(disk, Headers::AllWhole).await;
    assert!(problems.is_empty(), "{problems:#?}");
}
