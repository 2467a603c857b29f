//! The findings of a check: where, what is wrong, and what it costs the user.

use core::fmt::{self, Write};

use super::{Cost, Trouble};
use crate::io::DeviceName;
use crate::media::{BlockName, Inum};

/// The severity of a finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Worth knowing, but the filesystem is sound.
    Remark,
    /// The filesystem is damaged.
    Problem,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Remark => "remark",
            Self::Problem => "problem",
        })
    }
}

/// The place of a finding. It displays as a few words.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Place<'a> {
    /// The device and the number of the header copy on it.
    pub header: Option<(DeviceName, usize)>,
    /// True when it is about the freemap.
    pub freemap: bool,
    /// The label of the PFS.
    pub pfs: Option<&'a [u8]>,
    /// The inode.
    pub inode: Option<Inum>,
    /// A path of the inode in its PFS, if one is known.
    pub path: Option<&'a [u8]>,
    /// A name in that directory.
    pub name: Option<&'a [u8]>,
    /// The block.
    pub block: Option<BlockName>,
}

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut gap = "";
        let mut separate = |f: &mut fmt::Formatter<'_>| f.write_str(core::mem::replace(&mut gap, ", "));
        if let Some((device, copy)) = self.header {
            separate(f)?;
            write!(f, "{device}, header copy {copy}")?;
        }
        if self.freemap {
            separate(f)?;
            f.write_str("freemap")?;
        }
        if let Some(label) = self.pfs {
            separate(f)?;
            write!(f, "PFS {}", Printable(label))?;
        }
        if let Some(path) = self.path {
            separate(f)?;
            write!(f, "{}", Printable(path))?;
        }
        if let Some(inum) = self.inode {
            separate(f)?;
            write!(f, "inode {inum}")?;
        }
        if let Some(name) = self.name {
            separate(f)?;
            write!(f, "entry '{}'", Printable(name))?;
        }
        if let Some(block) = self.block {
            separate(f)?;
            write!(f, "{block}")?;
        }
        if gap.is_empty() { f.write_str("file system") } else { Ok(()) }
    }
}

/// Bytes that should be UTF-8, displayed on one line in any case.
struct Printable<'a>(&'a [u8]);

impl fmt::Display for Printable<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for chunk in self.0.utf8_chunks() {
            for letter in chunk.valid().chars() {
                if letter.is_control() { write!(f, "{}", letter.escape_debug())? } else { f.write_char(letter)? }
            }
            write!(f, "{}", chunk.invalid().escape_ascii())?;
        }
        Ok(())
    }
}

/// A finding. It displays as one line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Finding<'a> {
    /// How bad it is.
    pub severity: Severity,
    /// Where.
    pub place: Place<'a>,
    /// What is wrong.
    pub trouble: Trouble,
    /// What it costs.
    pub cost: Cost,
}

impl fmt::Display for Finding<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}: {}; {}", self.severity, self.place, self.trouble, self.cost)
    }
}

/// The progress of a check.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Bytes of allocated space whose blocks were checked.
    pub checked_bytes: u64,
    /// Bytes that are allocated according to the freemap.
    pub allocated_bytes: u64,
}

/// Receives the findings of a check while it runs.
pub trait Observer {
    /// Takes a finding.
    fn finding(&mut self, finding: &Finding<'_>);

    /// Receives the progress of the check.
    fn progress(&mut self, _progress: Progress) {}
}

/// Counts of what was checked and found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Problems found.
    pub problems: u64,
    /// Remarks made.
    pub remarks: u64,
    /// Header copies read.
    pub header_copies: u64,
    /// PFSs, snapshots included.
    pub pfss: u64,
    /// Inodes of all PFSs; one that snapshots share counts for each.
    pub inodes: u64,
    /// Directory entries of all PFSs.
    pub entries: u64,
    /// Blocks of file data; shared ones may count once.
    pub data_blocks: u64,
    /// Allocated bytes that nothing refers to.
    pub leaked_bytes: u64,
}

impl Summary {
    /// True when no problem was found.
    pub fn is_clean(&self) -> bool {
        self.problems == 0
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use super::*;
    use crate::media::Corruption;
    use std::string::ToString;

    #[test]
    fn a_finding_is_one_line_whatever_the_names() {
        let place = Place {
            pfs: Some(b"DA\nTA"),
            inode: Some(Inum(0x402)),
            path: Some(b"/d\xff/\xc3\xa9"),
            ..Place::default()
        };
        let finding = Finding {
            severity: Severity::Problem,
            place,
            trouble: Trouble::Corrupt(Corruption::Lz4),
            cost: Cost::Bytes { first: 0, last: 65535 },
        };
        assert_eq!(
            finding.to_string(),
            "problem: PFS DA\\nTA, /d\\xff/é, inode 0x402: damaged LZ4 block; bytes 0 to 65535 of the file can't be read"
        );
        assert_eq!(Place::default().to_string(), "file system");
    }
}
