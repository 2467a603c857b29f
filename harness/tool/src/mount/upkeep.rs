//! Other administration of a mount: growing it, setting how new data is stored, looking at how a file is stored, and at the
//! disks.

use std::fs::OpenOptions;
use std::path::Path;
use std::sync::Weak;
use std::sync::mpsc::Sender;
use std::time::Duration;

use allocator_api2::alloc::Global;
use hammer2_core::cluster::MemberState;
use hammer2_core::fs::{Error, NewAttributes, TreeWalk};
use hammer2_core::media::FileKind;

use super::server::Server;
use crate::admin::wire::{Answer, NodeAtRest};
use crate::admin::{Done, FileFacts, Grown, Refused};

/// Exists as long as nothing is to change.
pub(super) struct Needed;

/// How often to look whether rest is still needed.
const BETWEEN_LOOKS: Duration = Duration::from_millis(20);

impl Server {
    /// Takes the new space of the devices, after extending images to `volume_bytes`.
    pub(super) async fn grow(&self, volume_bytes: Option<u64>) -> Result<Done, Refused> {
        self.refuse_reading_only()?;
        if let Some(member) = self.fs.member_statuses().find(|member| member.state != MemberState::InSync) {
            let images = &self.administration.images;
            return Err(Refused::unusable(format_args!(
                "{} isn't in step, and would stay smaller: `hammer2 cluster status {}` says what brings it back",
                images.called(member.node),
                images.place()
            )));
        }
        if let Some(bytes) = volume_bytes {
            self.extend_images(bytes)?;
        }
        let growth = self.fs.grow(volume_bytes).await.map_err(Refused::failed)?;
        Ok(Done::Grown(Grown::new(growth, self.fs.statistics().free_bytes)))
    }

    fn extend_images(&self, bytes: u64) -> Result<(), Refused> {
        for member in self.fs.member_statuses() {
            let images = self.administration.images.of(member.node);
            match &images[..] {
                [only] => extend(Path::new(only), bytes)?,
                // The order in which they were named doesn't say which volume is the last.
                _ => {
                    return Err(Refused::unusable(
                        "of a volume set it is the last volume that grows: extend its image (`truncate -s SIZE IMG`), and \
                         grow without a size",
                    ));
                }
            }
        }
        Ok(())
    }

    /// How a file is stored.
    pub(super) async fn stat(&self, path: &[u8]) -> Result<Done, Refused> {
        let look = async { FileFacts::look(&self.fs, self.fs.resolve(path).await?).await };
        look.await.map(Done::File).map_err(|error| of_path(path, &error))
    }

    /// Sets how new data of a file, or of new files in a directory, is stored; with `recursive`, for everything below it, too.
    pub(super) async fn set_methods(&self, path: &[u8], new: &NewAttributes, recursive: bool) -> Result<Done, Refused> {
        self.refuse_reading_only()?;
        let mut damage = None;
        let set = async {
            let top = self.fs.resolve(path).await?;
            if !recursive || self.fs.attributes(top).await?.kind != FileKind::Directory {
                return self.patience.keep_trying(async || self.fs.set_attributes(top, new).await).await;
            }
            let mut walk = TreeWalk::new(&Global, &self.fs, top)?;
            while let Some(found) = walk.next().await? {
                if let Some(error) = found.incomplete {
                    damage = Some(format!("{}: entries are missing: {error}", found.path.escape_ascii()));
                }
                if matches!(found.kind, FileKind::Directory | FileKind::Regular) {
                    let inum = found.inum;
                    match self.patience.keep_trying(async || self.fs.set_attributes(inum, new).await).await {
                        // It was removed meanwhile.
                        Ok(()) | Err(Error::NotFound) => {}
                        failed => return failed,
                    }
                }
            }
            Ok(())
        };
        set.await.map_err(|error| of_path(path, &error))?;
        Ok(Done::Told { damage })
    }

    /// Changes nothing on the disks for as long as it is needed, and says when that begins.
    pub(super) async fn at_rest(&self, needed: Weak<Needed>, sender: Sender<Answer>) {
        let images = &self.administration.images;
        let resting = self.fs.at_rest(async || {
            let in_step = self.fs.member_statuses().filter(|member| member.state == MemberState::InSync);
            let nodes = in_step
                .map(|member| NodeAtRest { called: images.called(member.node), images: images.of(member.node) })
                .collect();
            // The client may be gone.
            let _ = sender.send(Answer::AtRest(nodes));
            while needed.strong_count() > 0 {
                self.patience.clock().sleep(BETWEEN_LOOKS).await;
            }
        });
        if let Err(error) = resting.await {
            let _ = sender.send(Answer::Ended(Err(Refused::failed(error))));
        }
    }

    pub(super) fn refuse_reading_only(&self) -> Result<(), Refused> {
        match self.administration.read_only {
            true => Err(Refused::unusable("it is mounted read-only: unmount it, and mount it again to change it")),
            false => Ok(()),
        }
    }
}

fn extend(image: &Path, bytes: u64) -> Result<(), Refused> {
    let failed = |error| Refused::failed(format_args!("{}: {error}", image.display()));
    match std::fs::metadata(image) {
        Ok(facts) if facts.is_file() && facts.len() < bytes => {
            OpenOptions::new().write(true).open(image).and_then(|file| file.set_len(bytes)).map_err(failed)
        }
        // The size of a device is fixed, and an export is extended by its server.
        _ => Ok(()),
    }
}

fn of_path(path: &[u8], error: &Error) -> Refused {
    let words = format!("{}: {error}", path.escape_ascii());
    match error {
        Error::NotFound | Error::NotADirectory | Error::NameTooLong => Refused::Unusable(words),
        _ => Refused::Failed(words),
    }
}
