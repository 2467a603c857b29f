//! Versions as votes use them: plain data of the record on media; [`crate::media::cluster_version`] defines their order.

pub(crate) use crate::media::cluster_version::{CommitId, CommitSeq, EpochCounter, EpochId, Nonce, Standing, Version};
