//! What the operating system lends: programs, process groups, signals, folders that go away.

pub(crate) mod command;
pub(crate) mod group;
pub(crate) mod leftovers;
pub(crate) mod need;
pub(crate) mod scratch;
pub(crate) mod signals;
pub(crate) mod words;
