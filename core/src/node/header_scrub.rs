//! Headers that rot while they are in use: a scrub reads them all, and what holds none is written again.

use super::header::Place;
use super::{HeaderImage, Node, NodeError};
use crate::io::{DeviceError, Volume};

impl Node {
    /// Reads every place of a header, and writes the header in force to those that hold neither one nor nothing; how many that
    /// were. A device that doesn't answer in time is an error.
    pub(crate) async fn scrub_headers(&self) -> Result<u64, NodeError> {
        // Nobody writes one meanwhile.
        let _turn = self.landings.take().await;
        let Some(Volume { disk, .. }) = self.volumes().root() else { return Ok(0) };
        let mut torn = heapless::Vec::new();
        for place in self.header_places() {
            let is_torn = match HeaderImage::read_at(self.heap, disk, place.offset()).await? {
                Ok(image) => image.is_torn(),
                Err(DeviceError::Io(_)) => true,
                Err(error) => return Err(self.device_failed(0, error)),
            };
            if is_torn {
                // There are no more than places.
                let _ = torn.push(place);
            }
        }
        let count = torn.len() as u64;
        if count > 0 {
            let (copy, tid) = {
                let mut committed = self.committed.borrow_mut();
                committed.note_torn(torn);
                (committed.copy, committed.header.get().mirror_tid())
            };
            self.check_headers(copy, tid).await?;
            self.mend_headers().await?;
        }
        Ok(count)
    }

    /// The places of headers on the root volume.
    fn header_places(&self) -> impl Iterator<Item = Place> + use<> {
        let bytes = self.volumes().root().map_or(0, Volume::bytes);
        Place::all().filter(move |place| place.is_on(bytes))
    }
}
