//! The events of a run beside the clients' work, in the form of the record: words for people, from which a drawing can be made.

use std::fmt;
use std::time::Duration;

use crate::disks::Fault;

/// An event that was caused on purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Happening {
    /// A disk breaks for a time.
    Broken {
        /// Which.
        disk: usize,
        /// How.
        fault: Fault,
        /// For how long.
        time: Duration,
    },
    /// The server is killed.
    Kill,
    /// The server is killed, and disks lose their unflushed writes.
    PowerCut,
}

impl Happening {
    /// Parses the words of the record; none for events that aren't drawn.
    pub(crate) fn parse(words: &str) -> Option<Self> {
        match words {
            "kill -9" => return Some(Self::Kill),
            "power cut" => return Some(Self::PowerCut),
            _ => {}
        }
        let (disk, rest) = words.strip_prefix("disk ")?.split_once(' ')?;
        let (name, rest) = rest.split_once(" for ")?;
        let fault = Fault::ALL.into_iter().find(|fault| format!("{fault:?}") == name)?;
        let time = Duration::from_millis(rest.strip_suffix(" ms")?.parse().ok()?);
        Some(Self::Broken { disk: disk.parse().ok()?, fault, time })
    }
}

impl fmt::Display for Happening {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Broken { disk, fault, time } => write!(f, "disk {disk} {fault:?} for {} ms", time.as_millis()),
            Self::Kill => f.write_str("kill -9"),
            Self::PowerCut => f.write_str("power cut"),
        }
    }
}

impl From<Happening> for String {
    fn from(happening: Happening) -> Self {
        happening.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_is_found_again() {
        let broken = |fault| Happening::Broken { disk: 3, fault, time: Duration::from_millis(4_321) };
        for happening in Fault::ALL.map(broken).into_iter().chain([Happening::Kill, Happening::PowerCut]) {
            assert_eq!(Happening::parse(&happening.to_string()), Some(happening));
        }
        for other in ["disk 3 replaced", "disk 3 replaced, the old one was gone", "disk x Gone for 1 ms", "bulkfree: 1"]
        {
            assert_eq!(Happening::parse(other), None, "{other}");
        }
    }
}
