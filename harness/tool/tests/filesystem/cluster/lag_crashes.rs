//! The power goes at every write of a cluster of which one member lags: by nothing, by everything since the beginning, and by
//! anything in between. Acknowledged content is there afterwards, with any quorum, and each disk by itself is whole.
//! `H2_SEED` chooses the first run, `H2_RUNS` the number of runs.

use std::cell::RefCell;
use std::time::Duration;

use hammer2_core::cluster::{MemberState, MemberStatus};
use hammer2_core::fs::{Error, FileSystem, NewFile};
use hammer2_core::io::wrap::{Effect, Fault, Operations};
use hammer2_core::media::{FileKind, Inum};
use hammer2_core::random::Random;

use super::members::{Members, Ticks, Written, fill, listing, noise};
use super::of_three;
use crate::runs;

/// No member leaves for being late: one that lags stays a member, whatever it lacks.
const NEVER: Duration = Duration::from_secs(100_000);
const STEPS: usize = 10;
const MOST_BYTES: u64 = 150_000;

/// The content after an acknowledged step, and how many writes had been submitted by then.
struct Acknowledged {
    writes: usize,
    content: Vec<String>,
}

/// The writes to the disks, in the order of submission, and the acknowledged steps between them.
struct Run {
    before: Members,
    writes: Vec<Written>,
    acknowledged: Vec<Acknowledged>,
    laggard: usize,
    /// How many of its writes the laggard has done.
    has: usize,
}

/// The content, without the ids of modifications, which depend on the mount.
async fn content_of(fs: &FileSystem) -> Vec<String> {
    let is_id = |word: &&str| word.starts_with("ModifyTid");
    let without = |line: &String| line.split(' ').filter(|word| !is_id(word)).collect::<Vec<_>>().join(" ");
    listing(fs).await.iter().map(without).collect()
}

/// A change of the content.
async fn change(fs: &FileSystem, step: usize, random: &mut Random) -> Result<(), Error> {
    let new = NewFile::new(FileKind::Regular, 0o644);
    let directory = fs.lookup(Inum::PFS_ROOT, b"before").await?;
    let old = format!("file-{}", random.below(40)).into_bytes();
    match random.below(5) {
        0 => fill(fs, &format!("filled-{step}"), 8).await,
        1 => {
            let file = fs.create(Inum::PFS_ROOT, format!("new-{step}").as_bytes(), &new).await?;
            fs.write(file, random.below(MOST_BYTES), &noise(random.below(MOST_BYTES) as usize)).await
        }
        2 => match fs.lookup(directory, &old).await {
            Ok(file) => fs.write(file, random.below(MOST_BYTES), &noise(5_000)).await,
            Err(_) => Ok(()),
        },
        3 => match fs.unlink(directory, &old).await {
            Err(Error::NotFound) => Ok(()),
            removed => removed,
        },
        _ => {
            let name = format!("moved-{step}");
            match fs.rename(directory, &old, Inum::PFS_ROOT, name.as_bytes()).await {
                Err(Error::NotFound) => Ok(()),
                moved => moved,
            }
        }
    }
}

/// The lines that only one of the two has.
fn difference<'l>(one: &'l [String], other: &'l [String]) -> Vec<&'l String> {
    let only = |of: &'l [String], not: &'l [String]| of.iter().filter(|line| !not.contains(line)).collect::<Vec<_>>();
    [only(one, other), only(other, one)].concat()
}

impl Run {
    /// Changes a cluster of which one member does only so many writes.
    fn of(random: &mut Random, laggard: usize, has: usize) -> Self {
        let members = of_three();
        members.change_on(&[0, 1, 2], async |fs| fill(fs, "before", 40).await).unwrap().unwrap();
        members.deadline.set(NEVER);
        let acknowledged = RefCell::new(Vec::new());
        let before = RefCell::new(None);
        let note = async |fs: &FileSystem| {
            let content = content_of(fs).await;
            acknowledged.borrow_mut().push(Acknowledged { writes: members.writes_so_far(), content });
        };
        let writes = members.writes_of(|| {
            members.run(async {
                let fs = members.mount(&[0, 1, 2]).await.unwrap().make_writable(&Ticks).await.unwrap();
                fs.attend(fs.level()).await.unwrap();
                *before.borrow_mut() = Some((members.copied(), members.writes_so_far()));
                let fault = Fault { skip: has as u64, ..Fault::always(Operations::WRITE, Effect::Hang) };
                members.plans[laggard].add(fault).unwrap();
                let work = async {
                    note(&fs).await;
                    for step in 0..STEPS {
                        change(&fs, step, random).await?;
                        fs.sync().await?;
                        note(&fs).await;
                    }
                    Ok::<_, Error>(())
                };
                fs.attend(work).await.unwrap();
                let stays = |member: MemberStatus| member.state == MemberState::InSync;
                assert!(fs.member_statuses().all(stays), "who left doesn't lag");
            });
        });
        let (before, skipped) = before.take().expect("a mount");
        let mut acknowledged = acknowledged.into_inner();
        acknowledged.iter_mut().for_each(|acknowledged| acknowledged.writes -= skipped);
        Self { before, writes: writes.into_iter().skip(skipped).collect(), acknowledged, laggard, has }
    }

    /// The disks after so many writes.
    fn cut(&self, count: usize) -> Members {
        let left = self.before.copied();
        let mut of_laggard = 0;
        for write in &self.writes[..count] {
            of_laggard += usize::from(write.disk == self.laggard);
            if write.disk != self.laggard || of_laggard <= self.has {
                left.disks[write.disk].write_at(write.offset, &write.data).unwrap();
            }
        }
        left
    }

    /// The allowed states then: the last acknowledged one, and those requested after it.
    fn allowed(&self, count: usize) -> &[Acknowledged] {
        let next = self.acknowledged.partition_point(|acknowledged| acknowledged.writes <= count);
        &self.acknowledged[next - 1..self.acknowledged.len().min(next + 1)]
    }

    fn check(&self, count: usize, case: &str) {
        let left = self.cut(count);
        for disk in 0..3 {
            assert_eq!(left.problems(disk), Vec::<String>::new(), "{case}: disk {disk} as it was left");
        }
        let other = (self.laggard + 1) % 3;
        for mounted in [&[0, 1, 2][..], &[self.laggard.min(other), self.laggard.max(other)]] {
            let again = left.copied();
            let content = again.change_on(mounted, async |fs| content_of(fs).await);
            let content = content.unwrap_or_else(|error| panic!("{case}: {mounted:?}: {error}"));
            let allowed = self.allowed(count);
            let differs: Vec<Vec<&String>> = allowed.iter().map(|state| difference(&state.content, &content)).collect();
            assert!(differs.iter().any(Vec::is_empty), "{case}: {mounted:?}: {differs:#?}");
        }
    }
}

#[test]
fn a_power_cut_while_a_member_lags_loses_nothing() {
    let mut states = 0;
    runs::for_each_seed(2, 12, |seed| {
        let mut random = Random::new(seed);
        let laggard = random.index(3);
        let seed_of_steps = random.next_u64();
        let all = Run::of(&mut Random::new(seed_of_steps), laggard, usize::MAX);
        let most = all.writes.iter().filter(|write| write.disk == laggard).count();
        let between = 1 + random.index(most - 1);
        for has in [0, between, most] {
            let run = Run::of(&mut Random::new(seed_of_steps), laggard, has);
            let stride = runs::usual_or_full(7, 1);
            for count in (random.index(stride)..=run.writes.len()).step_by(stride) {
                let case = format!("H2_SEED={seed}: disk {laggard} has {has} of {most} writes, cut after {count}");
                run.check(count, &case);
                states += 1;
            }
        }
    });
    println!("{states} states");
}
