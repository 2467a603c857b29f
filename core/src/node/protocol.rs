//! The rules that protect a cluster's content, by name.
//!
//! All of them always hold, and checking a rule costs nothing, unless the feature `unsound` is on: it can leave out one of them,
//! so that the simulator can show that something is lost without it. `hammer2-core` doesn't have that feature; the package
//! `hammer2-core-unsound`, made of the same sources, does. The rules are defined at the nodes' floor because some concern nodes
//! alone.

/// A rule that content depends on (protocol 5.3 and 5.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// Every mount opens an epoch of its own.
    Epoch,
    /// Epochs carry a random number.
    Nonce,
    /// Versions carry the last commit before their epoch.
    Base,
    /// Nothing is read before the epoch is durable.
    EarlyReads,
    /// The newest version is copied to a quorum before it is served.
    Rollforward,
    /// A node that missed an operation leaves before that is acknowledged.
    Eject,
    /// A node writes the header that commits an operation only if its answer was compared and agrees with the others'.
    Permit,
    /// A header that isn't a commit of the PFS leaves the PFS's root and record as they were committed.
    Pair,
    /// While the voters change, a quorum of the old ones and a quorum of the new ones are needed.
    Joint,
    /// A resynchronization's copy is in no header before it is complete.
    Workroot,
    /// What the last round of a resynchronization copies isn't changed until the copy is committed.
    Pin,
    /// Indirect blocks written by a resynchronization get the stamp of the inode that contains them.
    Stamp,
    /// The committed freemap is never overwritten.
    Rotation,
    /// Headers are written twice.
    Twin,
    /// A mount that others could overlook has a heartbeat, and nobody mounts a node whose heartbeat moves.
    Heartbeat,
    /// Before a header is written, the mount checks that no other has taken over.
    ReadBack,
    /// A mount changes nothing when its heartbeat is so old that others may take it for dead.
    Lease,
    /// An answer is given when a quorum has executed the modification and agrees, and a commit is acknowledged when a quorum has
    /// it.
    Quorum,
    /// Lagging nodes aren't asked.
    UpToDate,
    /// A lagging node executes everything in the order of the stream.
    InOrder,
    /// A node is copied from a member that has executed everything, and whose content isn't changed meanwhile.
    Abreast,
}

#[cfg(feature = "unsound")]
impl Rule {
    /// All rules.
    pub const ALL: [Self; 21] = [
        Self::Epoch,
        Self::Nonce,
        Self::Base,
        Self::EarlyReads,
        Self::Rollforward,
        Self::Eject,
        Self::Permit,
        Self::Pair,
        Self::Joint,
        Self::Workroot,
        Self::Pin,
        Self::Stamp,
        Self::Rotation,
        Self::Twin,
        Self::Heartbeat,
        Self::ReadBack,
        Self::Lease,
        Self::Quorum,
        Self::UpToDate,
        Self::InOrder,
        Self::Abreast,
    ];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Epoch => "epoch",
            Self::Nonce => "nonce",
            Self::Base => "base",
            Self::EarlyReads => "early-reads",
            Self::Rollforward => "rollforward",
            Self::Eject => "eject",
            Self::Permit => "permit",
            Self::Pair => "pair",
            Self::Joint => "joint",
            Self::Workroot => "workroot",
            Self::Pin => "pin",
            Self::Stamp => "stamp",
            Self::Rotation => "rotation",
            Self::Twin => "twin",
            Self::Heartbeat => "heartbeat",
            Self::ReadBack => "read-back",
            Self::Lease => "lease",
            Self::Quorum => "quorum",
            Self::UpToDate => "up-to-date",
            Self::InOrder => "in-order",
            Self::Abreast => "abreast",
        }
    }
}

/// What the log says of a rule that isn't followed. A program has these words in it if it can leave one out, and only then.
#[cfg(feature = "raw")]
/// What the log says of a rule that isn't followed. A program contains these words only if it can leave out a rule.
pub const NOT_FOLLOWED: &str = "of the protocol isn't followed here";

/// The rules that are followed: by default all of them. It has no size where that can't change.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Protocol {
    #[cfg(feature = "unsound")]
    without: Option<Rule>,
}

impl Protocol {
    /// All rules but one.
    #[cfg(feature = "unsound")]
    pub fn without(rule: Rule) -> Self {
        Self { without: Some(rule) }
    }

    /// True if this rule is followed.
    #[cfg(feature = "unsound")]
    pub fn has(self, rule: Rule) -> bool {
        let is_followed = self.without != Some(rule);
        if !is_followed {
            log::debug!("the rule {} {NOT_FOLLOWED}", rule.name());
        }
        is_followed
    }

    /// True if this rule is followed, which all rules are here.
    #[cfg(not(feature = "unsound"))]
    #[inline]
    pub const fn has(self, _: Rule) -> bool {
        true
    }
}
