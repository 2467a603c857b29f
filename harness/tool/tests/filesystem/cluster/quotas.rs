//! Quotas: random operations on one disk and on clusters, with a model of all files; and many writers against a limit.
//! The model can't know how well content compresses. So bytes are compared with the count of `fsck`, which shares no code with
//! the filesystem's counting, and with the limits; inodes are compared with the model's own count.
//!
//! `H2_SEED` chooses the first of the sequences, `HAMMER2_FULL` makes them many more.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::env;

use futures_util::future::join_all;
use hammer2_core::fs::{Allocation, Amount, Error, FileSystem, NewFile, Quota};
use hammer2_core::media::{FileKind, Inum};
use hammer2_core::random::Random;

use super::members::Members;

const BLOCK: u64 = 64 << 10;

/// A file or directory of the model.
#[derive(Clone, Debug)]
struct Node {
    is_directory: bool,
    /// Where it counts.
    parent: Inum,
    links: u64,
    limit: Amount,
}

/// All files, with their places.
struct Model {
    nodes: BTreeMap<Inum, Node>,
    names: BTreeMap<(Inum, String), Inum>,
    next_name: u64,
}

impl Model {
    fn new() -> Self {
        let root = Node { is_directory: true, parent: Inum::PFS_ROOT, links: 1, limit: Amount::default() };
        Self { nodes: BTreeMap::from([(Inum::PFS_ROOT, root)]), names: BTreeMap::new(), next_name: 0 }
    }

    fn new_name(&mut self) -> String {
        self.next_name += 1;
        format!("n{}", self.next_name)
    }

    /// The directories with limits, from a directory upwards.
    fn holders(&self, directory: Inum) -> Vec<Inum> {
        let (mut at, mut holders) = (directory, Vec::new());
        loop {
            let node = &self.nodes[&at];
            if node.limit != Amount::default() {
                holders.push(at);
            }
            if at == Inum::PFS_ROOT {
                return holders;
            }
            at = node.parent;
        }
    }

    fn holders_of(&self, inum: Inum) -> Vec<Inum> {
        self.holders(self.nodes[&inum].parent)
    }

    fn inodes_below(&self, directory: Inum) -> u64 {
        let counts = |inum: &Inum| *inum != Inum::PFS_ROOT && self.holders_of(*inum).contains(&directory);
        self.nodes.keys().filter(|inum| counts(inum)).count() as u64
    }

    fn is_empty(&self, directory: Inum) -> bool {
        self.names.keys().all(|(holder, _)| *holder != directory)
    }

    fn is_below(&self, mut at: Inum, above: Inum) -> bool {
        loop {
            if at == above {
                return true;
            }
            if at == Inum::PFS_ROOT {
                return false;
            }
            at = self.nodes[&at].parent;
        }
    }

    fn drop_name(&mut self, place: &(Inum, String)) {
        let inum = self.names.remove(place).unwrap();
        let nearest = self.holders_of(inum).first().copied();
        let node = self.nodes.get_mut(&inum).unwrap();
        node.links -= 1;
        if node.links == 0 {
            self.nodes.remove(&inum);
        } else if let Some(nearest) = nearest
            && node.parent == place.0
        {
            node.parent = nearest;
        }
    }
}

struct Run<'r> {
    fs: &'r FileSystem,
    model: &'r mut Model,
    random: &'r mut Random,
    refused: &'r Cell<u64>,
}

impl Run<'_> {
    fn directory(&mut self) -> Inum {
        let all: Vec<_> =
            self.model.nodes.iter().filter(|(_, node)| node.is_directory).map(|(inum, _)| *inum).collect();
        self.random.pick(&all)
    }

    fn file(&mut self) -> Option<Inum> {
        let all: Vec<_> =
            self.model.nodes.iter().filter(|(_, node)| !node.is_directory).map(|(inum, _)| *inum).collect();
        (!all.is_empty()).then(|| self.random.pick(&all))
    }

    fn name(&mut self) -> Option<((Inum, String), Inum)> {
        let count = self.model.names.len();
        let at = (count > 0).then(|| self.random.index(count))?;
        self.model.names.iter().nth(at).map(|(place, inum)| (place.clone(), *inum))
    }

    async fn quota(&self, directory: Inum) -> Quota {
        let quotas = self.fs.quotas(directory).await.unwrap();
        *quotas.iter().find(|quota| quota.directory == directory).unwrap()
    }

    /// Checks that an operation was refused if it needs more than is left in some of these directories, and only then.
    async fn judge<T>(&self, done: &Result<T, Error>, holders: &[Inum], most: Amount, inodes: u64) {
        if let Err(Error::OverQuota(full)) = done {
            self.refused.set(self.refused.get() + 1);
            assert!(holders.contains(full), "{full} doesn't hold it");
            let Quota { limit, used, .. } = self.quota(*full).await;
            let is_over = |used: u64, more: u64, limit: u64| more > 0 && limit > 0 && used + more > limit;
            assert!(
                is_over(used.bytes, most.bytes, limit.bytes) || is_over(used.inodes, most.inodes, limit.inodes),
                "{full}: {used:?} of {limit:?}, {most:?} were refused"
            );
        } else {
            for holder in holders {
                let limit = self.model.nodes[holder].limit.inodes;
                let is_over = inodes > 0 && limit > 0 && self.model.inodes_below(*holder) + inodes > limit;
                assert!(!is_over, "{holder} has room for no more inodes");
            }
        }
    }

    async fn create(&mut self, is_directory: bool) {
        let directory = self.directory();
        let name = self.model.new_name();
        let kind = if is_directory { FileKind::Directory } else { FileKind::Regular };
        let made = self.fs.create(directory, name.as_bytes(), &NewFile::new(kind, 0o755)).await;
        let most = Amount { bytes: 1024, inodes: 1 };
        self.judge(&made, &self.model.holders(directory), most, 1).await;
        if let Ok(inum) = made {
            let node = Node { is_directory, parent: directory, links: 1, limit: Amount::default() };
            self.model.nodes.insert(inum, node);
            self.model.names.insert((directory, name), inum);
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
        let before = self.fs.attributes(file).await.unwrap().size;
        let written = self.fs.write(file, offset, &data).await;
        let blocks = (offset % BLOCK + bytes).div_ceil(BLOCK) + 2;
        let most = Amount { bytes: blocks * BLOCK, inodes: 0 };
        self.judge(&written, &self.model.holders_of(file), most, 0).await;
        let after = self.fs.attributes(file).await.unwrap().size;
        match written {
            Ok(()) => assert_eq!(after, before.max(offset + bytes)),
            Err(Error::OverQuota(_)) => assert_eq!(after, before),
            Err(error) => panic!("{error}"),
        }
    }

    async fn resize(&mut self) {
        let Some(file) = self.file() else { return };
        let at = self.random.below(400_000);
        let (size, most) = (self.random.below(500_000), Amount { bytes: 8 * BLOCK + 2 * BLOCK, inodes: 0 });
        let done = match self.random.index(4) {
            0 => self.fs.allocate(file, at, size, Allocation::Reserve, false).await,
            1 => self.fs.punch(file, at, size).await,
            _ => self.fs.truncate(file, size).await,
        };
        self.judge(&done, &self.model.holders_of(file), most, 0).await;
        assert!(matches!(done, Ok(()) | Err(Error::OverQuota(_))), "{done:?}");
    }

    async fn remove(&mut self) {
        let Some((place, inum)) = self.name() else { return };
        let (directory, name) = (place.0, place.1.as_bytes());
        if self.model.nodes[&inum].is_directory {
            let removed = self.fs.remove_directory(directory, name).await;
            assert_eq!(removed.is_ok(), self.model.is_empty(inum), "{removed:?}");
            if removed.is_err() {
                return;
            }
        } else if self.random.index(3) == 0 {
            // The content of a file without a name counts nowhere.
            self.fs.open(inum).await.unwrap();
            self.fs.unlink(directory, name).await.unwrap();
            if self.model.nodes[&inum].links == 1 {
                self.fs.write(inum, 0, &[1; 3000]).await.unwrap();
            }
            self.fs.release(inum).await.unwrap();
        } else {
            self.fs.unlink(directory, name).await.unwrap();
        }
        self.model.drop_name(&place);
    }

    async fn link(&mut self) {
        let (Some(file), directory) = (self.file(), self.directory()) else { return };
        let name = self.model.new_name();
        let linked = self.fs.link(file, directory, name.as_bytes()).await;
        let is_same = self.model.holders_of(file) == self.model.holders(directory);
        assert_eq!(linked, if is_same { Ok(()) } else { Err(Error::OtherQuota) });
        if is_same {
            self.model.names.insert((directory, name), file);
            self.model.nodes.get_mut(&file).unwrap().links += 1;
        }
    }

    async fn rename(&mut self) {
        let (Some((place, inum)), to) = (self.name(), self.directory()) else { return };
        let node = self.model.nodes[&inum].clone();
        if node.is_directory && self.model.is_below(to, inum) {
            return;
        }
        let name = self.model.new_name();
        let (old, new) = (self.model.holders_of(inum), self.model.holders(to));
        let is_possible = old == new
            || if node.is_directory {
                node.limit != Amount::default() || self.model.is_empty(inum)
            } else {
                node.links == 1
            };
        let renamed = self.fs.rename(place.0, place.1.as_bytes(), to, name.as_bytes()).await;
        match renamed {
            Err(Error::OtherQuota) => assert!(!is_possible),
            Err(Error::OverQuota(full)) => {
                self.refused.set(self.refused.get() + 1);
                assert!(new.contains(&full) && !old.contains(&full));
            }
            other => {
                assert_eq!(other, Ok(()));
                assert!(is_possible);
                self.model.names.remove(&place);
                self.model.names.insert((to, name), inum);
                self.model.nodes.get_mut(&inum).unwrap().parent = to;
            }
        }
    }

    async fn exchange(&mut self) {
        let (Some((first, one)), Some((second, other))) = (self.name(), self.name()) else { return };
        if one == other || self.model.is_below(second.0, one) || self.model.is_below(first.0, other) {
            return;
        }
        let done = self.fs.exchange(first.0, first.1.as_bytes(), second.0, second.1.as_bytes()).await;
        let is_same = self.model.holders_of(one) == self.model.holders(second.0)
            && self.model.holders_of(other) == self.model.holders(first.0);
        assert_eq!(done, if is_same { Ok(()) } else { Err(Error::OtherQuota) });
        if is_same {
            self.model.nodes.get_mut(&one).unwrap().parent = second.0;
            self.model.nodes.get_mut(&other).unwrap().parent = first.0;
            self.model.names.insert(first, other);
            self.model.names.insert(second, one);
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
        self.fs.set_quota(directory, bytes, inodes).await.unwrap();
        let limit = &mut self.model.nodes.get_mut(&directory).unwrap().limit;
        *limit = Amount { bytes: bytes.unwrap_or(limit.bytes), inodes: inodes.unwrap_or(limit.inodes) };
    }

    async fn step(&mut self) {
        match self.random.index(20) {
            0..2 => Box::pin(self.create(true)).await,
            2..6 => Box::pin(self.create(false)).await,
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
        for (inum, node) in &self.model.nodes {
            let Node { is_directory: true, limit, .. } = node else { continue };
            if *limit == Amount::default() {
                continue;
            }
            let quota = self.quota(*inum).await;
            assert_eq!((quota.limit, quota.used.inodes), (*limit, self.model.inodes_below(*inum)), "{inum}");
        }
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
        let mut model = Model::new();
        for _ in 0..4 {
            let changed = members.change_on(&all, async |fs| {
                let mut run = Run { fs, model: &mut model, random: &mut random, refused: &refused };
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
