//! Comparing the recorded use of directories with limits (format 14) with the actual use.

use core::ops::ControlFlow;

use super::inode_table::{InodeFacts, InodeTable, QuotaFacts};
use super::names::in_inode;
use super::pfs::PfsRoot;
use super::{Checker, Cost, Subject, Trouble};
use crate::chain::{ChainError, Cursor, scan};
use crate::media::inode::{INODE_BYTES, InodeFlags, MAX_QUOTA_DEPTH};
use crate::media::{Blockref, FileKind, Inum, KeyRange};
use crate::memory::{self, NoMemory, Vec};

impl Checker<'_, '_> {
    /// Counts what is below the directories of a PFS that have limits.
    pub(super) async fn check_quotas(&mut self, root: &PfsRoot, table: &mut InodeTable) -> Result<(), NoMemory> {
        let mut quotas = core::mem::replace(&mut table.quotas, Vec::new_in(self.heap));
        let table = &*table;
        if quotas.is_empty() {
            return Ok(());
        }
        let subject = Subject { pfs: Some(root), table: Some(table), ..Subject::default() };
        let mut above = Above { parent: None, quotas: Vec::new_in(self.heap) };
        let mut is_known = !table.is_incomplete();
        for index in 0..table.len() {
            let facts = table.at(index);
            if facts.links == 0 || facts.inum == Inum::PFS_ROOT || !is_known {
                continue;
            }
            above.find(facts.parent, table, &quotas)?;
            if above.quotas.is_empty() {
                continue;
            }
            match self.stored_bytes(root, facts).await? {
                None => is_known = false,
                Some(bytes) => above.quotas.iter().for_each(|at| {
                    let counted = &mut quotas[*at].counted;
                    counted.bytes = counted.bytes.saturating_add(bytes).saturating_add(INODE_BYTES as u64);
                    counted.inodes += 1;
                }),
            }
        }
        for QuotaFacts { inum, said, counted } in quotas {
            let about = Subject { inode: Some(inum), ..subject };
            if !is_known {
                self.remark(about, None, Trouble::QuotaUnchecked, Cost::Nothing).await;
            } else if said != counted {
                let trouble = Trouble::QuotaUse { bytes: counted.bytes, inodes: counted.inodes };
                self.problem(about, None, trouble, Cost::Limits).await;
            }
        }
        Ok(())
    }

    /// The size of a file's content as stored; none when it can't be told. Unreadable parts are reported elsewhere.
    async fn stored_bytes(&mut self, root: &PfsRoot, facts: &InodeFacts) -> Result<Option<u64>, NoMemory> {
        if !matches!(facts.kind, FileKind::Regular | FileKind::Symlink) {
            return Ok(Some(0));
        }
        let Ok(Some(bref)) = super::names::inode_of(self.blocks, root.bref(), facts.inum).await else {
            return Ok(None);
        };
        let mut cursor = Cursor::new(KeyRange::ALL);
        let mut bytes = 0u64;
        let mut add = |leaf: &Blockref| {
            let stored = leaf.data_off().radix().ok().flatten().map_or(0, |radix| radix.bytes());
            bytes = bytes.saturating_add(stored as u64);
            ControlFlow::Continue(())
        };
        let walked: Result<(), ChainError> = in_inode(self.blocks, &bref, |inode, source, holder| {
            if inode.meta.flags().contains(InodeFlags::DIRECTDATA) {
                return Ok(());
            }
            scan(source, holder()?, &mut cursor, &mut add)
        })
        .await;
        Ok(walked.ok().map(|()| bytes))
    }
}

/// The directories with limits above a parent directory. They are cached because many consecutive files have the same parent.
struct Above {
    parent: Option<Inum>,
    quotas: Vec<usize>,
}

impl Above {
    fn find(&mut self, parent: Inum, table: &InodeTable, quotas: &[QuotaFacts]) -> Result<(), NoMemory> {
        if self.parent.replace(parent) == Some(parent) {
            return Ok(());
        }
        self.quotas.clear();
        let mut at = parent;
        for _ in 0..MAX_QUOTA_DEPTH {
            let Some(index) = table.find(at) else { break };
            if let Ok(found) = quotas.binary_search_by_key(&at, |quota| quota.inum) {
                memory::push(&mut self.quotas, found)?;
            }
            let up = table.at(index).parent;
            if at == Inum::PFS_ROOT || up == at {
                break;
            }
            at = up;
        }
        Ok(())
    }
}
