//! `hammer2 send` and `hammer2 receive`: copies elsewhere, and keeping them up to date (docs/stream.md).

mod incoming;
mod kept;
mod listing;
mod outgoing;
mod receive;
mod send;
mod stream;

pub(super) use receive::Receive;
pub(super) use send::Send;
