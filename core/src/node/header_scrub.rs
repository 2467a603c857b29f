//! Headers that rot while they are in use: a scrub reads all places of headers, and rewrites those that hold none.

use super::header::HeaderPlace;
use super::{HeaderImage, Node, NodeError};
use crate::io::{DeviceError, Volume};

/// What a place for a header holds.
enum Soundness {
    /// A header, or nothing was ever written there.
    Good,
    /// Something else.
    Torn,
    /// Unknown: it may be a header, and may be readable the next time.
    Unread,
}

impl Node {
    /// Reads every place for a header, and writes the header in force to places that hold neither a header nor zeros, or can't be
    /// read; returns how many there were. A device that doesn't answer in time is an error.
    ///
    /// They are written one after the other: wherever that fails or the power goes, all others are unchanged.
    pub(crate) async fn scrub_headers(&self) -> Result<u64, NodeError> {
        // No header is written meanwhile.
        let _turn = self.landings.take().await;
        let bytes = self.volumes().root().map_or(0, Volume::bytes);
        let mut mended = 0;
        for place in HeaderPlace::all().filter(|place| place.is_on(bytes)) {
            let found = self.look_at(place).await?;
            if let Soundness::Good = found {
                continue;
            }
            let (copy, tid) = {
                let committed = self.committed.borrow();
                (committed.copy, committed.header.get().mirror_tid())
            };
            self.check_headers(copy, tid).await?;
            self.ready().await?;
            if let Soundness::Torn = found {
                self.blot_out(place).await?;
            }
            self.write_at(0, place, self.header_image()?).await?;
            self.flush_devices().await?;
            mended += 1;
        }
        Ok(mended)
    }

    async fn look_at(&self, place: HeaderPlace) -> Result<Soundness, NodeError> {
        let Some(Volume { disk, .. }) = self.volumes().root() else { return Ok(Soundness::Good) };
        match HeaderImage::read_at(self.heap, disk, place.offset()).await? {
            Ok(image) if image.is_torn() => Ok(Soundness::Torn),
            Ok(_) => Ok(Soundness::Good),
            Err(DeviceError::Io(_)) => Ok(Soundness::Unread),
            Err(error) => Err(self.device_failed(disk, error)),
        }
    }

    /// Overwrites the remains of a torn header.
    async fn blot_out(&self, place: HeaderPlace) -> Result<(), NodeError> {
        self.write_at(0, place, HeaderImage::blot(self.heap)?).await?;
        self.flush_devices().await
    }
}
