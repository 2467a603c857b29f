//! The index of what was found and done, in a file without a name: memory holds only a part of it, however large it is.
//! Transactions only bound the memory, and are never recovered: the file is gone with the process.

use std::cell::{Cell, RefCell};
use std::fs::{self, File};
use std::ops::Bound;
use std::path::Path;

use hammer2_core::media::blockref::BLOCKREF_BYTES;
use hammer2_core::media::{Blockref, DataOff, FileKind, InodeMeta, Inum, Key, KeyRange, MediaOffset, Timestamp};
use redb::backends::FileBackend;
use redb::{Builder, Database, Durability, ReadableTable, TableDefinition, WriteTransaction};
use zerocopy::{FromBytes, IntoBytes};

use super::super::Failure;

/// Bytes of the index in memory.
const CACHE_BYTES: usize = 32 << 20;
/// Changes between two commits.
const CHANGES_AT_A_TIME: u32 = 1 << 14;
const FILE_NAME: &str = ".recover-index";

/// Two inodes with the same identity are the same file, in whichever PFS: each PFS gives numbers anew, but not in the same
/// microsecond.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Identity {
    pub(super) inum: Inum,
    pub(super) birth: Timestamp,
}

impl Identity {
    pub(super) fn of(meta: &InodeMeta) -> Self {
        let (inum, birth) = (meta.inum(), meta.btime());
        if birth.microseconds != 0 {
            return Self { inum, birth };
        }
        // Writers that record no birth make volumes that seldom change: these fields tell files apart well enough.
        let instead = meta.mtime().microseconds ^ meta.iparent().0.rotate_right(16);
        Self { inum, birth: Timestamp { microseconds: instead } }
    }
}

/// The outcome for a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Status {
    pub(super) is_whole: bool,
    /// The inode it was read by.
    pub(super) inode: DataOff,
    /// When the inode was changed: the later change is newer.
    pub(super) changed: Timestamp,
}

/// Something that looks like an inode.
#[derive(Clone, Copy, Debug)]
pub(super) struct Candidate {
    pub(super) at: MediaOffset,
    pub(super) identity: Identity,
    pub(super) changed: Timestamp,
    pub(super) is_pfs_root: bool,
}

/// An inode of a file; several may be left.
#[derive(Clone, Copy, Debug)]
pub(super) struct Version {
    pub(super) identity: Identity,
    /// The blockref that leads to it; without a check code if no code is left to compare it with.
    pub(super) bref: Blockref,
    key: VersionKey,
}

/// A name whose inode its tree doesn't lead to any more.
#[derive(Clone, Debug)]
pub(super) struct Wanted {
    pub(super) inum: Inum,
    pub(super) kind: u8,
    /// The directory.
    pub(super) parent: Inum,
    /// Where the name is, the PFS first.
    pub(super) path: Vec<u8>,
    /// The newest state has the name.
    pub(super) is_newest: bool,
}

type IdentityKey = (u64, u64);
/// Identity, 1 if it can't be verified, two numbers that sort the newest first, place.
type VersionKey = (u64, u64, u8, u64, u64, u64);

const STATUS: TableDefinition<'_, IdentityKey, (u8, u64, u64)> = TableDefinition::new("status");
const LINKS: TableDefinition<'_, (u32, u64), &[u8]> = TableDefinition::new("links");
const WANTED: TableDefinition<'_, (u64, &[u8]), (u8, u64, u8)> = TableDefinition::new("wanted");
const CANDIDATES: TableDefinition<'_, u64, (u64, u64, u64, u8)> = TableDefinition::new("candidates");
const REFERENCES: TableDefinition<'_, (u64, u64), &[u8]> = TableDefinition::new("references");
const NAMES: TableDefinition<'_, (u64, u8), &[u8]> = TableDefinition::new("names");
/// Inodes whose files were written, by their places.
const DONE: TableDefinition<'_, u64, ()> = TableDefinition::new("done");
/// Inodes that a state has, but none of its readable directories.
const STRANDED: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("stranded");
const VERSIONS: TableDefinition<'_, VersionKey, &[u8]> = TableDefinition::new("versions");
/// Ranges of inode numbers that the index of a newest state led to and that can't be read any more.
const GAPS: TableDefinition<'_, (u64, u64), ()> = TableDefinition::new("gaps");

pub(super) struct Index {
    database: Database,
    transaction: RefCell<Option<WriteTransaction>>,
    changes: Cell<u32>,
    /// Inodes older than a file that was written whole may be those of another PFS, and are kept.
    keeps_older: Cell<bool>,
}

fn failed(error: impl Into<redb::Error>) -> Failure {
    Failure::failed(format_args!("the index of what was found, in the target directory: {}", error.into()))
}

fn blockref(bytes: &[u8]) -> Blockref {
    debug_assert_eq!(bytes.len(), BLOCKREF_BYTES);
    Blockref::read_from_bytes(bytes).unwrap_or_default()
}

impl Index {
    /// An empty index in a directory.
    pub(super) fn create(directory: &Path) -> Result<Self, Failure> {
        let path = directory.join(FILE_NAME);
        let open = || -> std::io::Result<File> {
            let file = File::options().read(true).write(true).create_new(true).open(&path)?;
            fs::remove_file(&path)?;
            Ok(file)
        };
        let file = open().map_err(|error| Failure::unusable(format_args!("{}: {error}", path.display())))?;
        let database = FileBackend::new(file)
            .map_err(redb::Error::from)
            .and_then(|backend| Ok(Builder::new().set_cache_size(CACHE_BYTES).create_with_backend(backend)?))
            .map_err(failed)?;
        Ok(Self { database, transaction: RefCell::new(None), changes: Cell::new(0), keeps_older: Cell::new(false) })
    }

    /// Does something in the transaction under way. Work that only reads may be counted as a change, too.
    fn with<T>(&self, work: impl FnOnce(&WriteTransaction) -> Result<T, redb::Error>) -> Result<T, Failure> {
        let mut held = self.transaction.borrow_mut();
        if self.changes.replace(self.changes.get() + 1) > CHANGES_AT_A_TIME {
            self.changes.set(0);
            if let Some(full) = held.take() {
                full.commit().map_err(failed)?;
            }
        }
        let transaction = match held.take() {
            Some(transaction) => transaction,
            None => {
                let mut begun = self.database.begin_write().map_err(failed)?;
                // Nobody opens the file after a crash.
                begun.set_durability(Durability::None).map_err(failed)?;
                begun
            }
        };
        work(held.insert(transaction)).map_err(failed)
    }

    pub(super) fn status(&self, Identity { inum, birth }: Identity) -> Result<Option<Status>, Failure> {
        self.with(|transaction| {
            let table = transaction.open_table(STATUS)?;
            let found = table.get((inum.0, birth.microseconds))?.map(|found| found.value());
            Ok(found.map(|(whole, inode, microseconds)| Status {
                is_whole: whole != 0,
                inode: DataOff(inode),
                changed: Timestamp { microseconds },
            }))
        })
    }

    /// Notes the outcome for a file, if it is better, or newer, than the one noted before.
    pub(super) fn set_status(&self, identity: Identity, status: Status) -> Result<(), Failure> {
        let is_better = |known: &Status| known.is_whole && !(status.is_whole && status.changed > known.changed);
        if self.status(identity)?.as_ref().is_some_and(is_better) {
            return Ok(());
        }
        self.with(|transaction| {
            let key = (identity.inum.0, identity.birth.microseconds);
            transaction
                .open_table(STATUS)?
                .insert(key, (u8::from(status.is_whole), status.inode.0, status.changed.microseconds))?;
            Ok(())
        })
    }

    /// Notes that the file of an inode was written.
    pub(super) fn set_done(&self, inode: DataOff) -> Result<(), Failure> {
        self.with(|transaction| {
            transaction.open_table(DONE)?.insert(inode.0, ())?;
            Ok(())
        })
    }

    pub(super) fn is_done(&self, inode: DataOff) -> Result<bool, Failure> {
        self.with(|transaction| Ok(transaction.open_table(DONE)?.get(inode.0)?.is_some()))
    }

    /// Notes an inode that a state has, wherever its name was.
    pub(super) fn strand(&self, bref: &Blockref) -> Result<(), Failure> {
        self.with(|transaction| {
            transaction.open_table(STRANDED)?.insert(bref.data_off().0, bref.as_bytes())?;
            Ok(())
        })
    }

    /// The next of those, from a place on.
    pub(super) fn stranded_from(&self, from: DataOff) -> Result<Option<Blockref>, Failure> {
        self.with(|transaction| {
            let table = transaction.open_table(STRANDED)?;
            let found = table.range(from.0..)?.next().transpose()?;
            Ok(found.map(|(_, value)| blockref(value.value())))
        })
    }

    /// Notes numbers of inodes that a newest state had, and doesn't lead to any more.
    pub(super) fn add_gap(&self, numbers: KeyRange) -> Result<(), Failure> {
        self.keep_older();
        self.with(|transaction| {
            transaction.open_table(GAPS)?.insert((numbers.first.0, numbers.last.0), ())?;
            Ok(())
        })
    }

    /// Makes [`add_found`](Self::add_found) keep older inodes of whole files, too.
    pub(super) fn keep_older(&self) {
        self.keeps_older.set(true);
    }

    /// The gap behind another, or the first.
    pub(super) fn gap_after(&self, last: Option<KeyRange>) -> Result<Option<KeyRange>, Failure> {
        let from = last.map_or(Bound::Unbounded, |last| Bound::Excluded((last.first.0, last.last.0)));
        self.with(|transaction| {
            let table = transaction.open_table(GAPS)?;
            let found = table.range::<(u64, u64)>((from, Bound::Unbounded))?.next().transpose()?;
            Ok(found.map(|(key, _)| KeyRange { first: Key(key.value().0), last: Key(key.value().1) }))
        })
    }

    /// The path where a file of a tree, or a directory, was written already.
    pub(super) fn link(&self, tree: u32, inum: Inum) -> Result<Option<Vec<u8>>, Failure> {
        self.with(|transaction| {
            let table = transaction.open_table(LINKS)?;
            let found = table.get((tree, inum.0))?.map(|found| found.value().to_vec());
            Ok(found)
        })
    }

    pub(super) fn set_link(&self, tree: u32, inum: Inum, path: &[u8]) -> Result<(), Failure> {
        self.with(|transaction| {
            transaction.open_table(LINKS)?.insert((tree, inum.0), path)?;
            Ok(())
        })
    }

    pub(super) fn want(&self, wanted: &Wanted) -> Result<(), Failure> {
        self.with(|transaction| {
            let mut table = transaction.open_table(WANTED)?;
            let key = (wanted.inum.0, &wanted.path[..]);
            if table.get(key)?.is_none() {
                table.insert(key, (wanted.kind, wanted.parent.0, u8::from(wanted.is_newest)))?;
            }
            Ok(())
        })
    }

    fn is_wanted(&self, inum: Inum) -> Result<bool, Failure> {
        self.with(|transaction| {
            let table = transaction.open_table(WANTED)?;
            let found = table.range((inum.0, &[][..])..)?.next().transpose()?;
            Ok(found.is_some_and(|(key, _)| key.value().0 == inum.0))
        })
    }

    /// The next name whose inode is wanted.
    pub(super) fn wanted_after(&self, last: Option<&Wanted>) -> Result<Option<Wanted>, Failure> {
        let from = last.map_or((0, vec![]), |last| (last.inum.0, [&last.path[..], &[0]].concat()));
        self.with(|transaction| {
            let table = transaction.open_table(WANTED)?;
            let found = table.range((from.0, &from.1[..])..)?.next().transpose()?;
            Ok(found.map(|(key, value)| {
                let ((inum, path), (kind, parent, newest)) = (key.value(), value.value());
                let (inum, parent) = (Inum(inum), Inum(parent));
                Wanted { inum, kind, parent, path: path.to_vec(), is_newest: newest != 0 }
            }))
        })
    }

    /// Takes the finds of a scan, except inodes whose files were written whole, unless older inodes are kept.
    pub(super) fn add_found(&self, candidates: &[Candidate], blockrefs: &[Blockref]) -> Result<(), Failure> {
        for candidate in candidates {
            let Candidate { at, identity, changed, is_pfs_root } = *candidate;
            let is_older = |status: Status| status.is_whole && status.changed >= changed;
            let is_done = self.status(identity)?.is_some_and(is_older);
            if !is_pfs_root && is_done && !self.keeps_older.get() && !self.is_wanted(identity.inum)? {
                continue;
            }
            let value = (identity.inum.0, identity.birth.microseconds, changed.microseconds, u8::from(is_pfs_root));
            self.with(|transaction| {
                transaction.open_table(CANDIDATES)?.insert(at.0, value)?;
                Ok(())
            })?;
        }
        self.with(|transaction| {
            let mut references = transaction.open_table(REFERENCES)?;
            let mut names = transaction.open_table(NAMES)?;
            for bref in blockrefs {
                if bref.key().is_visible() && bref.embed != [0; 16] && bref.kind_code() == DIRENT {
                    let word = u64::from_le_bytes(core::array::from_fn(|index| bref.embed[index]));
                    let key = (word, bref.embed[10]);
                    let is_newer = |old: &[u8]| bref.mirror_tid() > blockref(old).mirror_tid();
                    if names.get(key)?.is_none_or(|old| is_newer(old.value())) {
                        names.insert(key, bref.as_bytes())?;
                    }
                } else {
                    let code = u64::from_le_bytes(core::array::from_fn(|index| bref.check[index]));
                    let key = (bref.data_off().offset().0, code);
                    let is_newer = |old: &[u8]| bref.mirror_tid() > blockref(old).mirror_tid();
                    if references.get(key)?.is_none_or(|old| is_newer(old.value())) {
                        references.insert(key, bref.as_bytes())?;
                    }
                }
            }
            Ok(())
        })
    }

    /// The next thing that looks like an inode, from a place on.
    pub(super) fn candidate_from(&self, at: MediaOffset) -> Result<Option<Candidate>, Failure> {
        self.with(|transaction| {
            let table = transaction.open_table(CANDIDATES)?;
            let found = table.range(at.0..)?.next().transpose()?;
            Ok(found.map(|(key, value)| {
                let (inum, birth, changed, root) = value.value();
                let identity = Identity { inum: Inum(inum), birth: Timestamp { microseconds: birth } };
                let changed = Timestamp { microseconds: changed };
                Candidate { at: MediaOffset(key.value()), identity, changed, is_pfs_root: root != 0 }
            }))
        })
    }

    /// The blockrefs that led to an inode at a place, the newest first.
    pub(super) fn references(&self, at: MediaOffset) -> Result<Vec<Blockref>, Failure> {
        let mut found = self.with(|transaction| {
            let table = transaction.open_table(REFERENCES)?;
            let found: Result<Vec<_>, _> = table
                .range((at.0, 0)..=(at.0, u64::MAX))?
                .map(|entry| entry.map(|(_, value)| blockref(value.value())))
                .collect();
            Ok(found?)
        })?;
        found.sort_by_key(|bref| std::cmp::Reverse(bref.mirror_tid()));
        Ok(found)
    }

    /// The blockref of the newest name of an inode.
    pub(super) fn name(&self, inum: Inum, kind: FileKind) -> Result<Option<Blockref>, Failure> {
        self.with(|transaction| {
            let table = transaction.open_table(NAMES)?;
            let found = table.get((inum.0, kind as u8))?.map(|found| blockref(found.value()));
            Ok(found)
        })
    }

    /// Notes an inode. `rank` says how new it is, among the verified ones or among the others.
    pub(super) fn add_version(
        &self,
        identity: Identity,
        bref: &Blockref,
        verified: bool,
        rank: (u64, u64),
    ) -> Result<(), Failure> {
        let Identity { inum, birth } = identity;
        let place = bref.data_off().offset().0;
        let key = (inum.0, birth.microseconds, u8::from(!verified), !rank.0, !rank.1, place);
        self.with(|transaction| {
            transaction.open_table(VERSIONS)?.insert(key, bref.as_bytes())?;
            Ok(())
        })
    }

    /// The next inode: those of a file follow each other, the best first.
    fn version_from(&self, from: VersionKey) -> Result<Option<Version>, Failure> {
        self.with(|transaction| {
            let table = transaction.open_table(VERSIONS)?;
            let found = table.range(from..)?.next().transpose()?;
            Ok(found.map(|(key, value)| {
                let key = key.value();
                let identity = Identity { inum: Inum(key.0), birth: Timestamp { microseconds: key.1 } };
                Version { identity, bref: blockref(value.value()), key }
            }))
        })
    }

    /// The best inode of the first file whose number is at least this.
    pub(super) fn file_from(&self, inum: Inum) -> Result<Option<Version>, Failure> {
        self.version_from((inum.0, 0, 0, 0, 0, 0))
    }

    /// The best inode of the next file.
    pub(super) fn file_after(&self, Identity { inum, birth }: Identity) -> Result<Option<Version>, Failure> {
        self.version_from((inum.0, birth.microseconds, u8::MAX, 0, 0, 0))
    }

    /// The next inode of the same file.
    pub(super) fn version_after(&self, version: &Version) -> Result<Option<Version>, Failure> {
        let (inum, birth, class, first, second, place) = version.key;
        let next = self.version_from((inum, birth, class, first, second, place + 1))?;
        Ok(next.filter(|next| next.identity == version.identity))
    }
}

const DIRENT: u8 = hammer2_core::media::BlockKind::Dirent as u8;
