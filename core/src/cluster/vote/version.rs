//! Versions, as votes use them. They are plain data of the record on media; [`crate::media::cluster_version`] has the order.

pub use crate::media::cluster_version::{CommitId, CommitSeq, EpochCounter, EpochId, Nonce, Standing, Version};
