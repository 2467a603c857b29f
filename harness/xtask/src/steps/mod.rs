//! What the steps of `scripts/test` do: a function each, in a process of its own.

pub(crate) mod checks;
pub(crate) mod context;
pub(crate) mod fuzz;
pub(crate) mod golden;
pub(crate) mod habits;
pub(crate) mod kernel;
pub(crate) mod modify;
pub(crate) mod mounts;
pub(crate) mod newfs;
pub(crate) mod notes;
pub(crate) mod pictures;
pub(crate) mod simulate;
