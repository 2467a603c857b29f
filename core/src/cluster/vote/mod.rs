//! Votes: what nodes say, and what follows from it. Plain functions of plain data, without I/O, waiting or allocation.
//!
//! There are two questions (protocol 2.3). At a mount: which state is the cluster's, and which nodes have it
//! ([`assemble`](assemble()))? For each element read afterwards: is the answer known, and whose copy is taken
//! (`resolve`)? The first is asked once, about versions; members that have the version are the *sync set*, and only
//! they are asked the second. An answer that differs within the sync set is therefore a fault of a node, not an opinion.

pub(crate) mod assemble;
pub(crate) mod electorate;
pub(crate) mod lineage;
pub(crate) mod node_set;
pub(crate) mod refusal;
pub(crate) mod resolve;
pub(crate) mod role;
pub(crate) mod succession;
#[cfg(test)]
mod testing;
pub(crate) mod version;
pub(crate) mod view;
pub(crate) mod wording;

pub use assemble::{Ask, Assembly, Condition, Distrust, Mount, Plan, Seen, State, assemble};
pub(crate) use electorate::Electorate;
pub use lineage::Fork;
pub use node_set::{MAX_NODES, NodeSet};
pub use refusal::{Alarm, Refusal};
pub(crate) use resolve::{Element, Verdict, Vote, resolve};
pub use role::Role;
pub(crate) use version::{CommitId, CommitSeq, EpochCounter, EpochId, Nonce, Version};
pub(crate) use view::{Target, View};
pub use wording::{Names, Worded};

#[cfg(test)]
mod tests;
