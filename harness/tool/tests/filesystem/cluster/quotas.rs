//! Quotas: random operations on one disk and on clusters, with a model of all files; and many writers against a limit.
//! The model can't know how well content compresses. So bytes are compared with the count of `fsck`, which shares no code with
//! the filesystem's counting, and with the limits; inodes are compared with the model's own count.
//!
//! `H2_SEED` chooses the first of the sequences, `HAMMER2_FULL` makes them many more.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::env;
use std::iter;

use futures_util::future::join_all;
use hammer2_core::fs::{Allocation, Amount, Error, FileSystem, NewFile, Quota};
use hammer2_core::media::{FileKind, Inum};
use hammer2_core::random::Random;
use hammer2_model::{Change, Entries, Model, New, Node, Number};

use super::members::Members;
use crate::difference::difference;

const BLOCK: u64 = 64 << 10;

/// What is where, and for which directories each counts.
struct Counted {
    model: Model,
    /// Where each file and directory counts.
    parents: BTreeMap<Number, Number>,
    limits: BTreeMap<Number, Amount>,
    next_name: u64,
}

/// A name in a directory, and what it names.
type Name = (Number, String, Number);

impl Counted {
    fn new() -> Self {
        Self { model: Model::new(), parents: BTreeMap::new(), limits: BTreeMap::new(), next_name: 0 }
    }

    fn new_name(&mut self) -> String {
        self.next_name += 1;
        format!("n{}", self.next_name)
    }

    fn names(&self) -> Vec<Name> {
        let in_directory = |(directory, node): (Number, &Node)| match node {
            Node::Directory(entries) => entries.iter().map(|(name, to)| (directory, name.clone(), *to)).collect(),
            _ => Vec::new(),
        };
        self.model.nodes().flat_map(in_directory).collect()
    }

    fn limit(&self, directory: Number) -> Amount {
        self.limits.get(&directory).copied().unwrap_or_default()
    }

    /// The directories with limits from one upwards.
    fn holders(&self, directory: Number) -> Vec<Number> {
        let upwards = iter::successors(Some(directory), |at| self.parents.get(at).copied());
        upwards.filter(|at| self.limit(*at) != Amount::default()).collect()
    }

    fn holders_of(&self, number: Number) -> Vec<Number> {
        self.holders(self.parents[&number])
    }

    fn inodes_below(&self, directory: Number) -> u64 {
        self.parents.keys().filter(|number| self.holders_of(**number).contains(&directory)).count() as u64
    }

    fn is_empty(&self, directory: Number) -> bool {
        self.model.entries(directory).is_some_and(Entries::is_empty)
    }

    /// Does in the model what was done.
    fn make(&mut self, change: Change, made: Option<Number>) {
        assert!(self.model.make(change.clone(), made), "{change:?} was done");
    }

    fn drop_name(&mut self, (directory, name, number): Name) {
        let nearest = self.holders_of(number).first().copied();
        let is_directory = self.model.entries(number).is_some();
        let unlink = Change::Unlink { directory, name: name.clone() };
        self.make(if is_directory { Change::RemoveDirectory { directory, name } } else { unlink }, None);
        if self.model.get(number).is_none() {
            self.parents.remove(&number);
            self.limits.remove(&number);
        } else if let Some(nearest) = nearest
            && self.parents[&number] == directory
        {
            self.parents.insert(number, nearest);
        }
    }
}

struct Run<'r> {
    fs: &'r FileSystem,
    counted: &'r mut Counted,
    random: &'r mut Random,
    refused: &'r Cell<u64>,
}

fn inum(number: Number) -> Inum {
    Inum(number.0)
}

impl Run<'_> {
    fn directory(&mut self) -> Number {
        self.random.pick(&self.counted.model.directory_numbers())
    }

    fn file(&mut self) -> Option<Number> {
        let all = self.counted.model.file_numbers();
        (!all.is_empty()).then(|| self.random.pick(&all))
    }

    fn name(&mut self) -> Option<Name> {
        let mut names = self.counted.names();
        let at = (!names.is_empty()).then(|| self.random.index(names.len()))?;
        Some(names.swap_remove(at))
    }

    async fn quota(&self, directory: Number) -> Quota {
        let quotas = self.fs.quotas(inum(directory)).await.unwrap();
        *quotas.iter().find(|quota| quota.directory == inum(directory)).unwrap()
    }

    /// Checks that something was refused for want of so much in some of these directories, and only then.
    async fn judge<T>(&self, done: &Result<T, Error>, holders: &[Number], most: Amount, inodes: u64) {
        if let Err(Error::OverQuota(full)) = done {
            self.refused.set(self.refused.get() + 1);
            assert!(holders.contains(&Number(full.0)), "{full} doesn't hold it");
            let Quota { limit, used, .. } = self.quota(Number(full.0)).await;
            let is_over = |used: u64, more: u64, limit: u64| more > 0 && limit > 0 && used + more > limit;
            assert!(
                is_over(used.bytes, most.bytes, limit.bytes) || is_over(used.inodes, most.inodes, limit.inodes),
                "{full}: {used:?} of {limit:?}, {most:?} were refused"
            );
        } else {
            for holder in holders {
                let limit = self.counted.limit(*holder).inodes;
                let is_over = inodes > 0 && limit > 0 && self.counted.inodes_below(*holder) + inodes > limit;
                assert!(!is_over, "{holder} has room for no more inodes");
            }
        }
    }

    async fn create(&mut self, new: New) {
        let directory = self.directory();
        let name = self.counted.new_name();
        let kind = if new == New::Directory { FileKind::Directory } else { FileKind::Regular };
        let made = self.fs.create(inum(directory), name.as_bytes(), &NewFile::new(kind, 0o755)).await;
        let most = Amount { bytes: 1024, inodes: 1 };
        self.judge(&made, &self.counted.holders(directory), most, 1).await;
        if let Ok(inum) = made {
            let made = Number(inum.0);
            self.counted.make(Change::Create { directory, name, new }, Some(made));
            self.counted.parents.insert(made, directory);
        } else {
            assert!(matches!(made, Err(Error::OverQuota(_))), "{made:?}");
        }
    }

    async fn write(&mut self) {
        let Some(file) = self.file() else { return };
        let offset = match self.random.index(3) {
            0 => 0,
            1 => self.random.below(8) * BLOCK,
            _ => self.random.below(400_000),
        };
        let bytes = match self.random.index(3) {
            0 => 1 + self.random.below(700),
            1 => 1 + self.random.below(BLOCK),
            _ => 1 + self.random.below(6 * BLOCK),
        };
        let mut data = vec![0; bytes as usize];
        match self.random.index(4) {
            0 => {}
            1 => data.fill(7),
            _ => self.random.fill(&mut data),
        }
        let written = self.fs.write(inum(file), offset, &data).await;
        let blocks = (offset % BLOCK + bytes).div_ceil(BLOCK) + 2;
        let most = Amount { bytes: blocks * BLOCK, inodes: 0 };
        self.judge(&written, &self.counted.holders_of(file), most, 0).await;
        let write = Change::Write { file, offset, data };
        if matches!(written, Err(Error::OverQuota(_))) {
            self.settle(file, &write).await;
        }
        self.follow(written, write);
        let size = self.fs.attributes(inum(file)).await.unwrap().size;
        assert_eq!(Some(size), self.counted.model.content_of(file).map(|content| content.len() as u64));
    }

    /// Takes over what was done of a write for which there was no room: whole blocks from its beginning, and nothing behind the
    /// end of the file.
    async fn settle(&mut self, file: Number, write: &Change) {
        let size = self.counted.model.content_of(file).map_or(0, |content| content.len() as u64);
        let mut found = vec![0; size as usize + 1];
        let count = self.fs.read(inum(file), 0, &mut found).await.unwrap();
        let after = |part: Change| {
            let mut model = self.counted.model.clone();
            let is_done = model.make(part, None) && model.make(Change::Truncate { file, size }, None);
            (is_done && model.content_of(file).is_some_and(|content| content[..] == found[..count])).then_some(model)
        };
        let Some(model) = write.parts(BLOCK).find_map(after) else {
            panic!("{write:?} was refused, and was done in no part from its beginning");
        };
        self.counted.model = model;
    }

    /// Content was changed, or there was no room for it; what was done of a write even so is in the model already.
    fn follow(&mut self, done: Result<(), Error>, change: Change) {
        match done {
            Ok(()) => self.counted.make(change, None),
            Err(Error::OverQuota(_)) => {}
            Err(error) => panic!("{change:?}: {error}"),
        }
    }

    async fn resize(&mut self) {
        let Some(file) = self.file() else { return };
        let at = self.random.below(400_000);
        let (size, most) = (self.random.below(500_000), Amount { bytes: 8 * BLOCK + 2 * BLOCK, inodes: 0 });
        let before = self.counted.model.content_of(file).map_or(0, |content| content.len() as u64);
        let (done, change) = match self.random.index(4) {
            0 => (
                self.fs.allocate(inum(file), at, size, Allocation::Reserve, false).await,
                Change::Truncate { file, size: if size == 0 { before } else { before.max(at + size) } },
            ),
            1 => (self.fs.punch(inum(file), at, size).await, Change::Punch { file, offset: at, bytes: size }),
            _ => (self.fs.truncate(inum(file), size).await, Change::Truncate { file, size }),
        };
        self.judge(&done, &self.counted.holders_of(file), most, 0).await;
        self.follow(done, change);
    }

    async fn remove(&mut self) {
        let Some(name) = self.name() else { return };
        let (directory, text, removed) = (inum(name.0), name.1.as_bytes(), inum(name.2));
        let links = self.counted.model.get(name.2).and_then(Node::links);
        if links.is_none() {
            let done = self.fs.remove_directory(directory, text).await;
            assert_eq!(done.is_ok(), self.counted.is_empty(name.2), "{done:?}");
            if done.is_err() {
                return;
            }
        } else if self.random.index(3) == 0 {
            // Content of a file without a name counts nowhere, whatever is done to it.
            self.fs.open(removed).await.unwrap();
            self.fs.unlink(directory, text).await.unwrap();
            if links == Some(1) {
                self.fs.write(removed, 0, &[1; 3000]).await.unwrap();
            }
            self.fs.release(removed).await.unwrap();
        } else {
            self.fs.unlink(directory, text).await.unwrap();
        }
        self.counted.drop_name(name);
    }

    async fn link(&mut self) {
        let (Some(file), directory) = (self.file(), self.directory()) else { return };
        let name = self.counted.new_name();
        let linked = self.fs.link(inum(file), inum(directory), name.as_bytes()).await;
        let is_same = self.counted.holders_of(file) == self.counted.holders(directory);
        assert_eq!(linked, if is_same { Ok(()) } else { Err(Error::OtherQuota) });
        if is_same {
            self.counted.make(Change::Link { file, directory, name }, None);
        }
    }

    async fn rename(&mut self) {
        let (Some((from, name, number)), to) = (self.name(), self.directory()) else { return };
        let change = Change::Rename { from, name: name.clone(), to, new_name: String::new() };
        if !self.counted.model.allows(&change) {
            return;
        }
        let new_name = self.counted.new_name();
        let (old, new) = (self.counted.holders_of(number), self.counted.holders(to));
        let is_possible = old == new
            || match self.counted.model.get(number).and_then(Node::links) {
                None => self.counted.limit(number) != Amount::default() || self.counted.is_empty(number),
                Some(links) => links == 1,
            };
        let renamed = self.fs.rename(inum(from), name.as_bytes(), inum(to), new_name.as_bytes()).await;
        match renamed {
            Err(Error::OtherQuota) => assert!(!is_possible),
            Err(Error::OverQuota(full)) => {
                self.refused.set(self.refused.get() + 1);
                let full = Number(full.0);
                assert!(new.contains(&full) && !old.contains(&full));
            }
            other => {
                assert_eq!(other, Ok(()));
                assert!(is_possible);
                self.counted.make(Change::Rename { from, name, to, new_name }, None);
                self.counted.parents.insert(number, to);
            }
        }
    }

    async fn exchange(&mut self) {
        let (Some((first, name, one)), Some((second, other, two))) = (self.name(), self.name()) else { return };
        let change = Change::Exchange { first, name: name.clone(), second, other: other.clone() };
        if one == two || !self.counted.model.allows(&change) {
            return;
        }
        let done = self.fs.exchange(inum(first), name.as_bytes(), inum(second), other.as_bytes()).await;
        let is_same = self.counted.holders_of(one) == self.counted.holders(second)
            && self.counted.holders_of(two) == self.counted.holders(first);
        assert_eq!(done, if is_same { Ok(()) } else { Err(Error::OtherQuota) });
        if is_same {
            self.counted.parents.extend([(one, second), (two, first)]);
            self.counted.make(change, None);
        }
    }

    async fn set_quota(&mut self) {
        let directory = self.directory();
        let bytes = match self.random.index(4) {
            0 => None,
            1 => Some(0),
            _ => Some(self.random.below(3 << 20)),
        };
        let inodes = match self.random.index(4) {
            0 => None,
            1 => Some(0),
            _ => Some(1 + self.random.below(12)),
        };
        self.fs.set_quota(inum(directory), bytes, inodes).await.unwrap();
        let limit = self.counted.limits.entry(directory).or_default();
        *limit = Amount { bytes: bytes.unwrap_or(limit.bytes), inodes: inodes.unwrap_or(limit.inodes) };
    }

    async fn step(&mut self) {
        match self.random.index(20) {
            0..2 => Box::pin(self.create(New::Directory)).await,
            2..6 => Box::pin(self.create(New::Regular)).await,
            6..11 => Box::pin(self.write()).await,
            11..13 => Box::pin(self.resize()).await,
            13 => Box::pin(self.remove()).await,
            14 => Box::pin(self.link()).await,
            15 | 16 => Box::pin(self.rename()).await,
            17 => Box::pin(self.exchange()).await,
            18 => Box::pin(self.set_quota()).await,
            _ => self.fs.sync().await.unwrap(),
        }
    }

    async fn compare(&self) {
        for (directory, limit) in &self.counted.limits {
            if *limit == Amount::default() {
                continue;
            }
            let quota = self.quota(*directory).await;
            assert_eq!(
                (quota.limit, quota.used.inodes),
                (*limit, self.counted.inodes_below(*directory)),
                "{directory}"
            );
        }
        assert_eq!(difference(self.fs, &self.counted.model).await, None);
    }
}

fn seeds(few: u64, many: u64) -> impl Iterator<Item = u64> {
    let first = env::var("H2_SEED").map_or(0, |seed| seed.parse().unwrap());
    let count = if env::var_os("HAMMER2_FULL").is_some() { many } else { few };
    first..first + count
}

#[test]
fn what_is_used_is_exact_on_all_members() {
    let refused = Cell::new(0);
    for seed in seeds(24, 600) {
        println!("H2_SEED={seed}");
        let mut random = Random::new(seed);
        let count = random.pick(&[1, 1, 3]);
        let members = Members::formatted(count);
        if count == 1 {
            members.make_plain(0)
        } else {
            members.create()
        }
        let all: Vec<usize> = (0..count).collect();
        let mut counted = Counted::new();
        for _ in 0..4 {
            let changed = members.change_on(&all, async |fs| {
                let mut run = Run { fs, counted: &mut counted, random: &mut random, refused: &refused };
                for _ in 0..60 {
                    Box::pin(run.step()).await;
                }
                run.compare().await;
                assert_eq!(fs.recount_quotas().await, Ok(0), "what is kept is what is there");
            });
            changed.unwrap();
            members.expect_alike(&all);
        }
    }
    assert!(refused.get() > 0 || env::var_os("H2_SEED").is_some(), "no limit was ever reached");
}

#[test]
fn sixteen_writers_never_get_over_the_limit() {
    const LIMIT: u64 = 5 << 20;
    for count in [1, 3] {
        let members = Members::formatted(count);
        if count == 1 {
            members.make_plain(0)
        } else {
            members.create()
        }
        let all: Vec<usize> = (0..count).collect();
        let changed = members.change_on(&all, async |fs| {
            let new = NewFile::new(FileKind::Directory, 0o755);
            let directory = fs.create(Inum::PFS_ROOT, b"d", &new).await.unwrap();
            fs.set_quota(directory, Some(LIMIT), None).await.unwrap();
            let writer = async |number: u64| {
                let new = NewFile::new(FileKind::Regular, 0o644);
                let file = fs.create(directory, format!("f{number}").as_bytes(), &new).await.unwrap();
                let mut random = Random::new(number);
                let mut piece = vec![0; 1 + random.index(2 * BLOCK as usize)];
                let mut written = 0;
                for _ in 0..100 {
                    random.fill(&mut piece);
                    match fs.write(file, written, &piece).await {
                        Ok(()) => written += piece.len() as u64,
                        Err(Error::OverQuota(full)) => return (full, written),
                        Err(error) => panic!("{error}"),
                    }
                }
                panic!("writer {number} was never refused");
            };
            let ends = join_all((0..16).map(writer)).await;
            assert!(ends.iter().all(|(full, _)| *full == directory));
            fs.sync().await.unwrap();
            let used = fs.quotas(directory).await.unwrap()[0].used;
            let written: u64 = ends.iter().map(|(_, written)| written).sum();
            assert!(used.bytes <= LIMIT, "{used:?}");
            assert!(written + 16 * 1024 <= used.bytes, "what is written counts");
            assert!(used.bytes > LIMIT - 3 * BLOCK, "all that fits was let in: {used:?}");
            assert_eq!(used.inodes, 16);
            // Removing makes room at once, and existing content may be overwritten.
            fs.unlink(directory, b"f0").await.unwrap();
            let other = fs.lookup(directory, b"f1").await.unwrap();
            if ends[0].1 >= BLOCK {
                let size = fs.attributes(other).await.unwrap().size;
                fs.write(other, size, &[1; 1000]).await.unwrap();
            }
        });
        changed.unwrap();
        members.expect_alike(&all);
    }
}
