//! Listing directories.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use fuser::{Errno, INodeNo, ReplyDirectory, ReplyDirectoryPlus};
use hammer2_core::cluster::EntryBatch;
use hammer2_core::fs::{Cookie, Error};
use hammer2_core::media::{FileKind, Inum};

use super::attributes::{Facts, file_type};
use super::refusal::Refusal;
use super::server::Server;
use super::snapshots::KeptPlace;

/// Bytes of entries read at a time; a request asks for about as many.
const BATCH_BYTES: usize = 8 << 10;

/// How many files at the start of a listing get attributes. The kernel always asks for these at first, and goes on asking only if
/// a program uses them; so most listings needn't read an inode for each name.
const FACTS_AT_FIRST: usize = 32;

/// Offsets behind `.` and `..`, which aren't stored. Keys of names are higher.
const BEHIND_DOT: u64 = 1;
const BEHIND_DOT_DOT: u64 = 2;

/// Where entries go.
trait Listing {
    /// The most entries in the first reply of a listing.
    const AT_FIRST: usize = usize::MAX;

    /// The attributes of a file that the listing needs besides its entry.
    async fn facts(server: &Server, file: Inum) -> Option<Facts>;

    /// Adds an entry; false when there is no room for it.
    fn add(&mut self, file: Inum, kind: FileKind, facts: Option<Facts>, offset: u64, name: &[u8]) -> bool;
}

impl Listing for ReplyDirectory {
    async fn facts(_: &Server, _: Inum) -> Option<Facts> {
        None
    }

    fn add(&mut self, file: Inum, kind: FileKind, _: Option<Facts>, offset: u64, name: &[u8]) -> bool {
        !Self::add(self, INodeNo(file.0), offset, file_type(kind), OsStr::from_bytes(name))
    }
}

impl Listing for ReplyDirectoryPlus {
    const AT_FIRST: usize = FACTS_AT_FIRST;

    async fn facts(server: &Server, file: Inum) -> Option<Facts> {
        server.facts_of(file).await.ok()
    }

    fn add(&mut self, _: Inum, _: FileKind, facts: Option<Facts>, offset: u64, name: &[u8]) -> bool {
        // Without attributes the name is listed all the same; a lookup then says why they can't be read.
        let Facts { attr, kept, generation } = facts.unwrap_or(Facts::NOTHING);
        !Self::add(self, attr.ino, offset, OsStr::from_bytes(name), &kept, &attr, generation)
    }
}

impl Server {
    pub(super) async fn readdir(&self, directory: Inum, offset: u64, mut reply: ReplyDirectory) {
        match self.list(directory, offset, &mut reply).await {
            Ok(()) => reply.ok(),
            Err(refusal) => reply.error(self.refuse(refusal)),
        }
    }

    pub(super) async fn readdirplus(&self, directory: Inum, offset: u64, mut reply: ReplyDirectoryPlus) {
        match self.list(directory, offset, &mut reply).await {
            Ok(()) => reply.ok(),
            Err(refusal) => reply.error(self.refuse(refusal)),
        }
    }

    async fn parent_of(&self, directory: Inum) -> Result<Inum, Refusal> {
        match KeptPlace::of(directory) {
            None => Ok(self.fs.attributes(directory).await?.parent),
            Some(place) => self.parent_of_kept(place).await,
        }
    }

    async fn list<L: Listing>(&self, directory: Inum, mut offset: u64, listing: &mut L) -> Result<(), Refusal> {
        let mut empty = true;
        let mut room = if offset == 0 { L::AT_FIRST } else { usize::MAX };
        while offset < BEHIND_DOT_DOT {
            let (name, file, next) = match offset {
                0 => (&b"."[..], directory, BEHIND_DOT),
                _ => (&b".."[..], self.parent_of(directory).await?, BEHIND_DOT_DOT),
            };
            let facts = L::facts(self, file).await;
            if !listing.add(file, FileKind::Directory, facts, next, name) {
                return Ok(());
            }
            (offset, empty) = (next, false);
        }
        let place = KeptPlace::of(directory);
        if place == Some(KeptPlace::Folder) {
            for (name, file, behind) in self.list_folder(offset).await {
                let facts = L::facts(self, file).await;
                if !listing.add(file, FileKind::Directory, facts, behind, &name) {
                    break;
                }
                facts.into_iter().for_each(|facts| self.known.count(facts.inum()));
            }
            return Ok(());
        }
        let mut at = if offset == BEHIND_DOT_DOT { Cookie::START } else { Cookie(offset) };
        let mut batch = EntryBatch::new(self.fs.heap(), BATCH_BYTES).map_err(|_| Errno::ENOMEM)?;
        loop {
            let found = match place {
                None => {
                    self.patience.keep_trying(async || self.fs.read_directory(directory, at, &mut batch).await).await?
                }
                Some(place) => self.read_kept_directory(place, at, &mut batch).await?,
            };
            for entry in batch.iter() {
                let file = place.map_or(Ok(entry.inum), |place| place.beside(entry.inum))?;
                let facts = L::facts(self, file).await;
                let behind = Cookie::after(entry.key).0.max(BEHIND_DOT_DOT + 1);
                if !listing.add(file, entry.kind, facts, behind, entry.name) {
                    return Ok(());
                }
                // `.` and `..` aren't counted: the kernel knows these directories anyway.
                facts.into_iter().for_each(|facts| self.known.count(facts.inum()));
                (empty, room) = (false, room - 1);
                if room == 0 {
                    return Ok(());
                }
            }
            match (found.next, found.damaged) {
                (Some(next), _) => at = next,
                // Something is missing, and there is no entry left to list.
                (None, Some(fault)) if empty => return Err(Error::Io(fault).into()),
                (None, _) => return Ok(()),
            }
        }
    }
}
