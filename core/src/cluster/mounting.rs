//! How a PFS is mounted, and what that takes before anything is changed.

use core::cell::Cell;

use super::OpError;
use super::vote::succession::Opening;
use super::vote::{EpochCounter, Mount, NodeSet};
use crate::media::ModifyTid;

/// What was decided when a PFS was entered.
pub(super) struct Mounting {
    /// How the operator wants it mounted.
    choice: Cell<Option<Mount>>,
    opening: Cell<Opening>,
    /// Those the cluster's version is to be copied to before anything is changed.
    onto: Cell<NodeSet>,
    /// The epoch to open before anything is changed, and where its transaction ids begin.
    next_epoch: Cell<Option<(EpochCounter, ModifyTid)>>,
    /// What was entered is a snapshot that becomes a cluster when it is first changed.
    is_founding: Cell<bool>,
    /// Why nothing may be changed, whatever is there to be read.
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

    /// It is mounted so.
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

    /// Before it is changed, the cluster's version is copied to these, and an epoch opened.
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

    /// It can't be changed.
    pub(super) fn refuse(&self, why: OpError) {
        self.refused.set(Some(why));
    }

    pub(super) fn refused(&self) -> Option<OpError> {
        self.refused.get()
    }

    /// The same, but for what only isn't a cluster yet.
    pub(super) fn refused_for_good(&self) -> Option<OpError> {
        self.refused.get().filter(|_| !self.is_founding.get())
    }

    /// What was refused because it is no cluster yet becomes one when it is first changed.
    pub(super) fn expect_founding(&self) {
        self.is_founding.set(true);
    }

    /// It is a cluster now, which opens its first epoch.
    pub(super) fn found(&self, next_epoch: EpochCounter, tid: ModifyTid) {
        self.refused.set(None);
        self.is_founding.set(false);
        self.next_epoch.set(Some((next_epoch, tid)));
    }
}
