//! Doing a step of the model on a mounted filesystem.

use hammer2_core::cluster::NewPfs;
use hammer2_core::fs::{Error, FileSystem, NewAttributes, NewFile};
use hammer2_core::media::{FileKind, PfsKind, Timestamp, Uuid};
use hammer2_core::random::Random;
use hammer2_model::{Bytes, Model, Step, bytes, split};

/// When snapshots are taken, as they say it: the same in each run.
const SNAPSHOT_TIME: Timestamp = Timestamp { microseconds: 1_700_000_000_000_000 };

/// Does the step on a filesystem that is as the model says.
pub(crate) async fn perform(step: &Step, fs: &FileSystem, model: &Model) -> Result<(), Error> {
    let find = |path: &str| {
        let path = path.to_owned();
        async move { fs.resolve(path.as_bytes()).await }
    };
    let create = async |path: &str, new: NewFile<'_>| {
        let (directory, name) = split(path);
        fs.create(find(directory).await?, name.as_bytes(), &new).await.map(drop)
    };
    match step {
        Step::Create(path) => create(path, NewFile::new(FileKind::Regular, 0o644)).await,
        Step::Mkdir(path) => create(path, NewFile::new(FileKind::Directory, 0o755)).await,
        Step::Symlink(path, target) => {
            create(path, NewFile { target: target.as_bytes(), ..NewFile::new(FileKind::Symlink, 0o777) }).await
        }
        Step::Write(path, offset, len, kind) => {
            fs.write(find(path).await?, *offset, &bytes(*offset, *len, *kind)).await
        }
        Step::Append(path, len) => {
            let end = model.content(path).map_or(0, Vec::len) as u64;
            fs.write(find(path).await?, end, &bytes(end, *len, Bytes::Noise)).await
        }
        Step::Truncate(path, size) => fs.truncate(find(path).await?, *size).await,
        Step::Punch(path, offset, len) => fs.punch(find(path).await?, *offset, *len).await,
        Step::Clone(from, offset, to, to_offset, len) => {
            // Bytes that are appended to the source meanwhile, if it is the same file, aren't meant.
            let there = model.content(from).map_or(0, Vec::len) as u64;
            let len = (*len).min(there.saturating_sub(*offset));
            let (from, to) = (find(from).await?, find(to).await?);
            let mut done = 0;
            loop {
                let more = fs.clone_range(from, offset + done, to, to_offset + done, len - done).await?;
                done += more;
                if more == 0 || done == len {
                    return Ok(());
                }
            }
        }
        Step::Link(path, new) => {
            let (directory, name) = split(new);
            fs.link(find(path).await?, find(directory).await?, name.as_bytes()).await
        }
        Step::Unlink(path) => {
            let (directory, name) = split(path);
            fs.unlink(find(directory).await?, name.as_bytes()).await
        }
        Step::Rmdir(path) => {
            let (directory, name) = split(path);
            fs.remove_directory(find(directory).await?, name.as_bytes()).await
        }
        Step::Rename(path, new) => {
            let ((from, name), (to, new_name)) = (split(path), split(new));
            fs.rename(find(from).await?, name.as_bytes(), find(to).await?, new_name.as_bytes()).await
        }
        Step::Exchange(path, other) => {
            let ((first, name), (second, other_name)) = (split(path), split(other));
            fs.exchange(find(first).await?, name.as_bytes(), find(second).await?, other_name.as_bytes()).await
        }
        Step::Methods(path, compression, check) => {
            let new =
                NewAttributes { comp_algo: Some(*compression), check_algo: Some(*check), ..NewAttributes::default() };
            fs.set_attributes(find(path).await?, &new).await
        }
        Step::Fsync(path) => {
            find(path).await?;
            fs.sync().await
        }
        Step::Grow => fs.grow(None).await.map(drop),
        Step::Sync => fs.sync().await,
        Step::Snapshot(label) => fs.snapshot(&new_pfs(label)).await,
        Step::Bulkfree => fs.bulkfree().await.map(drop),
    }
}

/// A PFS of this label, the same in each run.
fn new_pfs(label: &str) -> NewPfs<'_> {
    let mut random = Random::new(label.bytes().fold(1u64, |seed, byte| (seed << 5) ^ u64::from(byte)));
    let mut uuid = || {
        let mut bytes = [0; 16];
        random.fill(&mut bytes);
        Uuid::random(bytes)
    };
    let (clid, fsid) = (uuid(), uuid());
    NewPfs { label: label.as_bytes(), kind: PfsKind::Master, clid, fsid, time: SNAPSHOT_TIME }
}
