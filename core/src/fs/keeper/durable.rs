//! Making everything durable from time to time, unasked, and giving space back in time.

use super::super::{Error, FileSystem};
use super::{Attendant, Event, Pace};
use crate::memory::aside;

impl FileSystem {
    /// Does this for as long as it is polled. A failure is tried again the next time, so a device that was only late gets
    /// everything.
    pub(super) async fn keep_durable(&self, attendant: &dyn Attendant, pace: &Pace) {
        let (Some(period), Some(clock)) = (pace.sync_every, self.cluster.clock()) else { return };
        let mut told: Option<Error> = None;
        while self.writing.is_some() {
            clock.sleep(period).await;
            attendant.syncing(true);
            let synced = match aside(self.heap, || self.make_durable()) {
                Ok(making) => making.await,
                Err(error) => Err(error.into()),
            };
            attendant.syncing(false);
            match synced {
                Ok(()) if told.take().is_some() => attendant.tell(Event::DurableAgain),
                Err(error) if told.replace(error) != Some(error) => attendant.tell(Event::NotDurable { error }),
                _ => {}
            }
        }
    }

    async fn make_durable(&self) -> Result<(), Error> {
        self.sync().await?;
        self.give_back_in_time().await
    }
}
