//! The role of a node in its cluster.

use core::fmt;

use crate::media::PfsKind;

/// A node's role: it says whether the node votes, is written, and may be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// Votes and is written with the others. Every local filesystem is one, alone.
    Master,
    /// Follows the masters, never votes, can be read.
    Slave,
    /// Is written by itself, with a history of its own; never votes.
    SoftMaster,
    /// Is read by itself; never votes.
    SoftSlave,
    /// The super-root: each device's own, a cluster of one.
    SupRoot,
    /// A cache of a cluster. Nothing is kept there, and it never votes.
    Cache,
}

impl Role {
    /// The role of a PFS of this kind; none for a kind that is no member of a cluster.
    pub fn of(kind: PfsKind) -> Option<Self> {
        Some(match kind {
            PfsKind::Master => Self::Master,
            PfsKind::Slave => Self::Slave,
            PfsKind::SoftMaster => Self::SoftMaster,
            PfsKind::SoftSlave => Self::SoftSlave,
            PfsKind::SuperRoot => Self::SupRoot,
            PfsKind::Cache => Self::Cache,
            PfsKind::None | PfsKind::Dummy => return None,
        })
    }

    /// The kind of PFS that has the role.
    pub fn kind(self) -> PfsKind {
        match self {
            Self::Master => PfsKind::Master,
            Self::Slave => PfsKind::Slave,
            Self::SoftMaster => PfsKind::SoftMaster,
            Self::SoftSlave => PfsKind::SoftSlave,
            Self::SupRoot => PfsKind::SuperRoot,
            Self::Cache => PfsKind::Cache,
        }
    }

    /// True for a role whose votes count, if the configuration lists the node as a voter.
    pub fn votes(self) -> bool {
        matches!(self, Self::Master | Self::SupRoot)
    }

    /// True for a role that can be mounted by itself, without the cluster.
    pub fn is_soft(self) -> bool {
        matches!(self, Self::SoftMaster | Self::SoftSlave)
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Master => "MASTER",
            Self::Slave => "SLAVE",
            Self::SoftMaster => "SOFT_MASTER",
            Self::SoftSlave => "SOFT_SLAVE",
            Self::SupRoot => "SUPROOT",
            Self::Cache => "CACHE",
        })
    }
}
