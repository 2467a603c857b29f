//! What a mount can do, as the seed's flags. They follow from the view and are computed when asked for, so none outlives its
//! reason.

use bitflags::bitflags;

use super::{NodeSet, Role, Target, View};

bitflags! {
    /// What a mount can do, and how its members stand.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct Capabilities: u16 {
        /// The cluster can be written: the sync set is a quorum.
        const WRHARD = 1 << 0;
        /// The cluster can be read.
        const RDHARD = 1 << 1;
        /// The one node that is mounted can be written.
        const WRSOFT = 1 << 2;
        /// What is mounted can be read; no quorum is claimed.
        const RDSOFT = 1 << 3;
        /// All masters of the record are in step.
        const MSYNCED = 1 << 4;
        /// All slaves there are in step.
        const SSYNCED = 1 << 5;
        /// A master isn't in step.
        const UNHARD = 1 << 6;
        /// No master is there.
        const NOHARD = 1 << 7;
        /// A slave isn't in step.
        const UNSOFT = 1 << 8;
        /// No slave is there.
        const NOSOFT = 1 << 9;
    }
}

impl Capabilities {
    /// The capabilities of a view. A quorum mount has none of the soft ones, whatever nodes are there, and the other way round.
    pub fn of(view: &View) -> Self {
        let access = match view.target {
            Target::Quorum => {
                let voting = view.voting();
                Self::flag(view.electorate.has_quorum(voting), Self::WRHARD)
                    | Self::flag(!voting.is_empty(), Self::RDHARD)
            }
            Target::Soft(node) => match view.role(node) {
                Some(Role::SoftMaster) => Self::WRSOFT | Self::RDSOFT,
                Some(Role::SoftSlave) => Self::RDSOFT,
                _ => Self::empty(),
            },
            Target::AsOf => Self::flag(!view.sync.is_empty(), Self::RDSOFT),
        };
        let slaves = view.nodes_of(|role| role == Role::Slave);
        let slaves_in_step = view.sync.contains_all(slaves);
        access
            | Self::of_masters(view)
            | Self::flag(!slaves.is_empty() && slaves_in_step, Self::SSYNCED)
            | Self::flag(!slaves_in_step, Self::UNSOFT)
            | Self::flag(slaves.is_empty(), Self::NOSOFT)
    }

    fn of_masters(view: &View) -> Self {
        let there: NodeSet = view.nodes_of(Role::votes).intersection(view.electorate.nodes());
        let in_step = view.voting();
        let all = in_step.intersection(view.electorate.current.nodes).len() >= view.electorate.current.count.max(1);
        Self::flag(all, Self::MSYNCED) | Self::flag(!all, Self::UNHARD) | Self::flag(there.is_empty(), Self::NOHARD)
    }

    fn flag(set: bool, flag: Self) -> Self {
        if set { flag } else { Self::empty() }
    }
}
