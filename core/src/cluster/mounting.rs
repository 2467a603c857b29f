//! How a PFS is mounted, and what must be done before anything is changed.

use core::cell::Cell;

use super::OpError;
use super::vote::succession::Opening;
use super::vote::{EpochCounter, Mount, NodeSet};
use crate::media::ModifyTid;

/// What was decided when a PFS was entered.
pub(super) struct Mounting {
    /// The kind of mount that the operator chose.
    choice: Cell<Option<Mount>>,
    opening: Cell<Opening>,
    /// Nodes to which the cluster's version is copied before anything is changed.
    onto: Cell<NodeSet>,
    /// The epoch to open before anything is changed, and where its transaction ids begin.
    next_epoch: Cell<Option<(EpochCounter, ModifyTid)>>,
    /// True for a snapshot that becomes a cluster when it is first changed.
    is_founding: Cell<bool>,
    /// Why nothing may be changed, although the PFS may be readable.
    refused: Cell<Option<OpError>>,
}

impl Default for Mounting {
    fn default() -> Self {
        Self {
            choice: Cell::new(None),
            opening: Cell::new(Opening::Quorum),
            onto: Cell::new(NodeSet::EMPTY),
            next_epoch: Cell::new(None),
            is_founding: Cell::new(false),
            refused: Cell::new(None),
        }
    }
}

impl Mounting {
    pub(super) fn choose(&self, mount: Mount) {
        self.choice.set(Some(mount));
    }

    pub(super) fn choice(&self) -> Option<Mount> {
        self.choice.get()
    }

    /// Sets how the PFS is mounted.
    pub(super) fn open_as(&self, mount: Mount) {
        self.opening.set(match mount {
            Mount::Soft(_) => Opening::Soft,
            Mount::Forced(_) => Opening::Forced,
            Mount::Quorum | Mount::AsOf(_) => Opening::Quorum,
        });
    }

    pub(super) fn opening(&self) -> Opening {
        self.opening.get()
    }

    /// Before the first change, the cluster's version is copied to these nodes, and an epoch is opened.
    pub(super) fn roll_forward(&self, onto: NodeSet, next_epoch: EpochCounter, tid_floor: ModifyTid) {
        self.onto.set(onto);
        self.next_epoch.set(Some((next_epoch, tid_floor)));
    }

    pub(super) fn onto(&self) -> NodeSet {
        self.onto.get()
    }

    pub(super) fn next_epoch(&self) -> Option<(EpochCounter, ModifyTid)> {
        self.next_epoch.get()
    }

    /// Refuses changes.
    pub(super) fn refuse(&self, why: OpError) {
        self.refused.set(Some(why));
    }

    pub(super) fn refused(&self) -> Option<OpError> {
        self.refused.get()
    }

    /// The reason for refusing changes, unless it is only that the PFS isn't a cluster yet.
    pub(super) fn refused_for_good(&self) -> Option<OpError> {
        self.refused.get().filter(|_| !self.is_founding.get())
    }

    /// Notes that a PFS refused for not being a cluster yet becomes one when it is first changed.
    pub(super) fn expect_founding(&self) {
        self.is_founding.set(true);
    }

    /// Notes that the PFS is a cluster now, which opens its first epoch.
    pub(super) fn found(&self, next_epoch: EpochCounter, tid: ModifyTid) {
        self.refused.set(None);
        self.is_founding.set(false);
        self.next_epoch.set(Some((next_epoch, tid)));
    }
}
