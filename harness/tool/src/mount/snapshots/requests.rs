//! The kernel's requests for snapshots, which only read. All others are refused before they come here.

use std::time::Duration;

use fuser::{Errno, FileAttr, FileType, Generation, ReplyOpen};
use hammer2_core::cluster::EntryBatch;
use hammer2_core::fs::{Attributes, Cookie, Error, FileSystem, Listing, TimeSource as _};
use hammer2_core::media::{Inum, Uuid};
use hammer2_host::time_source::HostTime;
use rustix::fs::OFlags;

use super::number::KeptPlace;
use super::{FOLDER, Snapshot};
use crate::mount::asked::Entry;
use crate::mount::attributes::{Facts, facts, system_time};
use crate::mount::files::OPENED;
use crate::mount::refusal::Refusal;
use crate::mount::server::{ANY_FILE, Server};

/// The offset of the first snapshot in a listing of the folder, behind `.` and `..`.
const FIRST_SNAPSHOT: u64 = 3;

impl Server {
    /// True for the name of the folder where the snapshots are, unless there is a file of that name.
    pub(in crate::mount) async fn is_snapshot_folder(&self, entry: &Entry) -> bool {
        entry.directory == Inum::PFS_ROOT
            && entry.name() == FOLDER
            && matches!(self.fs.lookup(entry.directory, FOLDER).await, Err(Error::NotFound))
    }

    /// The attributes of the folder. They change when snapshots come and go, which the kernel learns only by asking.
    pub(in crate::mount) async fn facts_of_folder(&self) -> Result<Facts, Refusal> {
        let labels = self.list_snapshots().await.0.into_iter().map(|snapshot| snapshot.label).collect();
        let since = self.snapshots.since(labels);
        let of_root = facts(&self.fs.attributes(Inum::PFS_ROOT).await?).attr;
        let (changed, accessed) = (system_time(since), system_time(HostTime.now()));
        let attr = FileAttr {
            ino: KeptPlace::Folder.number()?,
            size: 0,
            blocks: 0,
            atime: accessed,
            mtime: changed,
            ctime: changed,
            kind: FileType::Directory,
            perm: 0o555,
            ..of_root
        };
        Ok(Facts { attr, kept: Duration::ZERO, generation: Generation(0) })
    }

    /// The attributes of a file in a snapshot.
    pub(in crate::mount) async fn facts_of_kept(&self, place: KeptPlace) -> Result<Facts, Refusal> {
        let KeptPlace::Within(snapshot, file) = place else { return self.facts_of_folder().await };
        let attributes = self.within(snapshot, async |fs| fs.attributes(file).await).await?;
        self.facts_within(snapshot, &attributes)
    }

    fn facts_within(&self, snapshot: u16, attributes: &Attributes) -> Result<Facts, Refusal> {
        let Facts { mut attr, mut kept, .. } = facts(attributes);
        attr.ino = KeptPlace::Within(snapshot, attributes.inum).number()?;
        if attributes.inum == Inum::PFS_ROOT {
            // The snapshot may be removed.
            kept = Duration::ZERO;
        }
        // The next mount may give its number to another snapshot.
        let clid = self.snapshots.of_number(snapshot).ok_or(Errno::ESTALE)?;
        Ok(Facts { attr, kept, generation: generation(clid) })
    }

    /// The file of this name in a snapshot, or in the folder.
    pub(in crate::mount) async fn find_kept(&self, place: KeptPlace, name: &[u8]) -> Result<Facts, Refusal> {
        match (place, name) {
            (_, b".") => self.facts_of_kept(place).await,
            (_, b"..") => self.facts_of(self.parent_of_kept(place).await?).await,
            (KeptPlace::Folder, name) => {
                let is_meant = |snapshot: &Snapshot| snapshot.label == name;
                let Snapshot { number, .. } = self.find_snapshot(is_meant, Errno::ENOENT).await?;
                self.facts_of_kept(KeptPlace::Within(number, Inum::PFS_ROOT)).await
            }
            (KeptPlace::Within(snapshot, directory), name) => {
                let find = async |fs: &FileSystem| {
                    let file = fs.lookup(directory, name).await?;
                    fs.attributes(file).await
                };
                let attributes = self.within(snapshot, find).await?;
                self.facts_within(snapshot, &attributes)
            }
        }
    }

    /// The parent of a directory in a snapshot.
    pub(in crate::mount) async fn parent_of_kept(&self, place: KeptPlace) -> Result<Inum, Refusal> {
        let parent = match place {
            KeptPlace::Folder => return Ok(Inum::PFS_ROOT),
            KeptPlace::Within(_, Inum::PFS_ROOT) => KeptPlace::Folder,
            KeptPlace::Within(snapshot, directory) => {
                let attributes = self.within(snapshot, async |fs| fs.attributes(directory).await).await?;
                KeptPlace::Within(snapshot, attributes.parent)
            }
        };
        Ok(Inum(parent.number()?.0))
    }

    /// The snapshots behind an offset in the folder's listing, each with its number and the offset behind it.
    pub(in crate::mount) async fn list_folder(&self, offset: u64) -> Vec<(Vec<u8>, Inum, u64)> {
        let (all, _) = self.list_snapshots().await;
        let places = all.into_iter().zip(FIRST_SNAPSHOT..).filter(|(_, at)| *at > offset);
        let number = |snapshot| KeptPlace::Within(snapshot, Inum::PFS_ROOT).number().ok();
        places.filter_map(|(snapshot, at)| Some((snapshot.label, Inum(number(snapshot.number)?.0), at))).collect()
    }

    /// Fills `batch` with entries of a directory; these have the files' own numbers.
    pub(in crate::mount) async fn read_kept_directory(
        &self,
        place: KeptPlace,
        from: Cookie,
        batch: &mut EntryBatch,
    ) -> Result<Listing, Refusal> {
        let KeptPlace::Within(snapshot, directory) = place else { return Err(Errno::EINVAL.into()) };
        self.within(snapshot, async |fs| fs.read_directory(directory, from, batch).await).await
    }

    /// Reads from a file; returns how many bytes.
    pub(in crate::mount) async fn read_kept(
        &self,
        place: KeptPlace,
        offset: u64,
        out: &mut [u8],
    ) -> Result<usize, Refusal> {
        let KeptPlace::Within(snapshot, file) = place else { return Err(Errno::EISDIR.into()) };
        self.within(snapshot, async |fs| fs.read(file, offset, out).await).await
    }

    /// Reads the target of a symbolic link; returns its length.
    pub(in crate::mount) async fn read_kept_link(&self, place: KeptPlace, out: &mut [u8]) -> Result<usize, Refusal> {
        let KeptPlace::Within(snapshot, link) = place else { return Err(Errno::EINVAL.into()) };
        self.within(snapshot, async |fs| fs.read_link(link, out).await).await
    }

    /// The next data, or the next hole, of a file.
    pub(in crate::mount) async fn seek_kept(&self, place: KeptPlace, offset: u64, hole: bool) -> Result<u64, Refusal> {
        let KeptPlace::Within(snapshot, file) = place else { return Err(Errno::EISDIR.into()) };
        let seek = async |fs: &FileSystem| match hole {
            true => fs.seek_hole(file, offset).await,
            false => fs.seek_data(file, offset).await,
        };
        self.within(snapshot, seek).await
    }

    /// Opens a file, if it is there and only to be read. The server keeps nothing for it, as no file of a snapshot is ever
    /// removed alone.
    pub(in crate::mount) async fn open_kept(&self, place: KeptPlace, flags: OFlags, reply: ReplyOpen) {
        if flags & OFlags::ACCMODE != OFlags::RDONLY || flags.contains(OFlags::TRUNC) {
            return reply.error(Errno::EROFS);
        }
        match self.facts_of_kept(place).await {
            Ok(_) => reply.opened(ANY_FILE, OPENED),
            Err(refusal) => reply.error(self.refuse(refusal)),
        }
    }
}

/// It tells the files of a snapshot from those of another snapshot with the same number in another mount.
fn generation(clid: Uuid) -> Generation {
    Generation(clid.0.iter().fold(0, |sum: u64, byte| sum.rotate_left(8) ^ u64::from(*byte)))
}
