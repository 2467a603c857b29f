//! Space comes back while a filesystem is mounted.

use hammer2_core::fs::Error;

use super::server::Server;

impl Server {
    /// Does a change; once more, when it finds no room until space was given back.
    pub(super) async fn with_room<T>(&self, change: impl AsyncFn() -> Result<T, Error>) -> Result<T, Error> {
        self.room.find(&self.fs, async || self.patiently(&change).await).await
    }

    /// After a change that may have freed much by itself: the next that finds no room has space given back.
    pub(super) fn may_have_freed<T>(&self, change: Result<T, Error>) -> Result<T, Error> {
        self.room.may_have_freed(change)
    }

    /// Gives space back when much of it was allocated.
    pub(super) async fn give_space_back_in_time(&self) -> Result<(), Error> {
        self.room.give_back_in_time(&self.fs).await
    }
}
