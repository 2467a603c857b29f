//! Checking links by their sums: link counts, orphans, directories cut off from the root (format 3.8).

use super::inode_table::{InodeTable, Reach};
use super::pfs::PfsRoot;
use super::{Checker, Cost, Subject, Trouble};
use crate::media::{FileKind, Inum};

impl Checker<'_, '_> {
    /// Compares the names found with the link counts of inodes, after all directories were walked.
    pub(super) async fn check_links(&mut self, root: &PfsRoot, table: &mut InodeTable) {
        let subject = Subject { pfs: Some(root), ..Subject::default() };
        for index in 0..table.len() {
            if let Some(cycle) = find_cycle(table, index) {
                let about = Subject { inode: Some(cycle), ..subject };
                self.problem(about, None, Trouble::Cycle, Cost::Unreachable).await;
            }
        }
        if table.names_lost {
            return self.remark(subject, None, Trouble::LinksUnchecked, Cost::Nothing).await;
        }
        note_listed(table);
        for index in 0..table.len() {
            let facts = *table.at(index);
            if facts.inum == Inum::PFS_ROOT {
                continue;
            }
            let about = Subject { inode: Some(facts.inum), table: Some(table), ..subject };
            if facts.names == 0 && facts.links == 0 && facts.listed {
                self.remark(about, None, Trouble::ListedOrphan, Cost::Space).await;
            } else if facts.names == 0 {
                let cost = if facts.kind == FileKind::Directory { Cost::Unreachable } else { Cost::Space };
                self.deviate(about, Trouble::Orphan(facts.links), cost).await;
            } else if facts.kind != FileKind::Directory && facts.names != facts.links {
                let trouble = Trouble::LinkCount { stored: facts.links, found: facts.names };
                match facts.names > facts.links {
                    true => self.problem(about, None, trouble, Cost::EarlyRemoval).await,
                    false => self.deviate(about, trouble, Cost::LateRemoval).await,
                }
            }
        }
    }

    async fn deviate(&mut self, subject: Subject<'_>, trouble: Trouble, cost: Cost) {
        self.resolve_path(subject).await;
        self.reports.deviation(super::place(subject, &self.path, None), trouble, cost);
    }
}

/// Follows the list of orphans, as far as it leads.
fn note_listed(table: &mut InodeTable) {
    let mut next = table.find(Inum::PFS_ROOT).map(|root| table.at(root).next_orphan);
    while let Some(index) = next.and_then(|inum| table.find(inum)) {
        let facts = table.at_mut(index);
        next = (!core::mem::replace(&mut facts.listed, true)).then_some(facts.next_orphan);
    }
}

/// Follows the way up from a directory. Returns a directory of a cycle, if the way ends in a new one.
fn find_cycle(table: &mut InodeTable, index: usize) -> Option<Inum> {
    let (mut at, mut cycle) = (index, None);
    loop {
        let facts = table.at_mut(at);
        match facts.reach {
            Reach::Settled => break,
            Reach::Following => {
                cycle = Some(facts.inum);
                break;
            }
            Reach::Unknown if facts.kind != FileKind::Directory => break,
            Reach::Unknown => facts.reach = Reach::Following,
        }
        // A directory without a name is an orphan, which is reported elsewhere.
        let Some(up) = table.first_name(table.at(at).inum).and_then(|(directory, _)| table.find(directory)) else {
            break;
        };
        at = up;
    }
    // Goes the same way again, so that it is followed only once.
    let mut at = index;
    while table.at(at).reach == Reach::Following {
        table.at_mut(at).reach = Reach::Settled;
        match table.first_name(table.at(at).inum).and_then(|(directory, _)| table.find(directory)) {
            Some(up) => at = up,
            None => break,
        }
    }
    cycle
}
