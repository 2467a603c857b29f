//! What a mount can do, as flags. They follow from the view and are computed when asked for, so none outlives its
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::vote::Electorate;
    use crate::node::NodeIndex;

    fn view(roles: &[Role], sync: u8, count: usize, target: Target) -> View {
        let masters =
            roles.iter().zip(0..).filter(|(role, _)| role.votes()).map(|(_, index)| NodeIndex(index)).collect();
        let roles = core::array::from_fn(|index| roles.get(index).copied());
        View { roles, sync: NodeSet(sync), electorate: Electorate::of(masters, count), target }
    }

    #[test]
    fn each_target_has_its_own() {
        use Role::{Master, Slave, SoftMaster, SoftSlave};
        let (hard, soft) = (Capabilities::WRHARD | Capabilities::RDHARD, Capabilities::WRSOFT | Capabilities::RDSOFT);
        let access = |view: &View| Capabilities::of(view) & (hard | soft);
        let mixed = [Master, Master, SoftMaster, SoftSlave, Slave];
        for (sync, target, expected) in [
            (0b0011, Target::Quorum, hard),
            // Less than a quorum is in step: what it has may be read, nothing written. Soft nodes don't make up for it.
            (0b1101, Target::Quorum, Capabilities::RDHARD),
            (0b1100, Target::Quorum, Capabilities::empty()),
            (0b0100, Target::Soft(NodeIndex(2)), soft),
            (0b1000, Target::Soft(NodeIndex(3)), Capabilities::RDSOFT),
            (0b0011, Target::Soft(NodeIndex(0)), Capabilities::empty()),
            (0b0011, Target::AsOf, Capabilities::RDSOFT),
        ] {
            assert_eq!(access(&view(&mixed, sync, 3, target)), expected, "{sync:#b} {target:?}");
        }
        assert_eq!(access(&view(&[Role::SupRoot], 1, 1, Target::Quorum)), hard);
    }

    #[test]
    fn how_the_members_stand() {
        use Role::{Master, Slave};
        let of = |roles: &[Role], sync, count| {
            Capabilities::of(&view(roles, sync, count, Target::Quorum)) - Capabilities::WRHARD - Capabilities::RDHARD
        };
        let (msynced, ssynced) = (Capabilities::MSYNCED, Capabilities::SSYNCED);
        assert_eq!(of(&[Master, Slave], 0b11, 1), msynced | ssynced);
        assert_eq!(of(&[Master, Slave], 0b01, 1), msynced | Capabilities::UNSOFT);
        // A master that isn't there isn't in step.
        assert_eq!(of(&[Master, Master], 0b11, 3), Capabilities::UNHARD | Capabilities::NOSOFT);
        assert_eq!(of(&[Slave], 0b1, 1), Capabilities::UNHARD | Capabilities::NOHARD | ssynced);
    }
}
