//! The rules that keep a cluster's content, by name.
//!
//! All of them always hold, and asking costs nothing, unless the feature `unsound` is on: it can leave out one of them, so that
//! the simulator can show that without it something is lost. `hammer2-core` doesn't have that feature; the package
//! `hammer2-core-unsound`, made of the same sources, does. The value lies at the nodes' floor because some rules are theirs.

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
    /// Only a node whose answers were compared, and are those of the others, writes the header that commits what they were
    /// about.
    Permit,
    /// A header written for something else than a commit of the PFS leaves its root and its record as they were committed.
    Pair,
    /// While who votes changes, a quorum of those before and one of those after it are needed.
    Joint,
    /// What a resynchronization has copied is in no header before all of it is there.
    Workroot,
    /// What the last round of a resynchronization copies stays as it is until the copy is committed.
    Pin,
    /// Indirect blocks written by a resynchronization get the stamp of the inode that contains them.
    Stamp,
    /// The committed freemap is never written over.
    Rotation,
    /// Headers are written twice.
    Twin,
    /// A mount that others could overlook has a heartbeat, and nobody mounts what has one that moves.
    Heartbeat,
    /// Before a header is written, it is looked whether another mount has taken over.
    ReadBack,
    /// A mount changes nothing when its heartbeat is so old that others may take it for dead.
    Lease,
    /// An answer is given when a quorum has executed what it is about and says the same, and a commit is acknowledged when a
    /// quorum has it.
    Quorum,
    /// Nobody is asked who lags.
    UpToDate,
    /// Who lags executes everything in the order of the stream.
    InOrder,
    /// What is copied to a node comes from a member that has executed everything, and stays as it is meanwhile.
    Abreast,
}

impl Rule {
    /// All of them.
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

    /// What it is called.
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
pub const NOT_FOLLOWED: &str = "of the protocol isn't followed here";

/// The rules that are followed: all, by default. It has no size where that can't be otherwise.
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

    /// True for a rule that is followed.
    #[cfg(feature = "unsound")]
    pub fn has(self, rule: Rule) -> bool {
        let is_followed = self.without != Some(rule);
        if !is_followed {
            log::debug!("the rule {} {NOT_FOLLOWED}", rule.name());
        }
        is_followed
    }

    /// True for a rule that is followed: each of them.
    #[cfg(not(feature = "unsound"))]
    #[inline]
    pub const fn has(self, _: Rule) -> bool {
        true
    }
}
