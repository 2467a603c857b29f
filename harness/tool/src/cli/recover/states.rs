//! Recovery of PFSs: those that headers lead to, the newest state first, and those whose roots a scan found.

use std::collections::{HashMap, HashSet};

use hammer2_core::media::inode::InodeFlags;
use hammer2_core::media::{
    BlockKind, Blockref, Inode, KeyRange, MediaOffset, MirrorTid, ModifyTid, PfsSubkind, Uuid, directory_hash,
};
use hammer2_core::rescue::{Step, Walk, unchecked_inode};

use super::super::Failure;
use super::super::output::Shown;
use super::Recovery;
use super::file::Found;
use super::tree::{Rule, Tree};

/// Names in the target directory that have other meanings.
const RESERVED: [&[u8]; 4] = [b"deleted", b"older", b"lost+found", b"unverified"];

/// Leaves below a root that are looked at before the root is rejected.
const MOST_LOOKS: usize = 64;

/// A PFS that was met.
pub(super) struct Known {
    fsid: Uuid,
    /// The folder its files are in.
    folder: Vec<u8>,
    /// Its newest state could be read to its end.
    is_complete: bool,
    /// Roots that were walked, by their places and codes.
    walked: Vec<(u64, [u8; 8])>,
    /// For a snapshot, the last operation before it was taken.
    taken: Option<ModifyTid>,
}

fn mark(bref: &Blockref) -> (u64, [u8; 8]) {
    (bref.data_off().0, core::array::from_fn(|index| bref.check[index]))
}

/// A root that a scan found, the newest of its PFS.
struct Root {
    found: Found,
    /// The newest flush and operation below it. Between two flushes a root may be written several times: the operations tell
    /// which was the last.
    newest: (MirrorTid, ModifyTid),
}

impl Recovery<'_> {
    /// Recovers the files that the headers lead to.
    pub(super) async fn recover_states(&mut self) -> Result<(), Failure> {
        for (index, state) in self.rescue.states().to_vec().iter().enumerate() {
            let mut walk = match self.rescue.pfs_roots(state).await.map_err(Failure::failed)? {
                Ok(walk) => walk,
                Err(error) => {
                    let error = super::told(error);
                    self.report.root_lost(&format!("the super-root of flush {} can't be read: {error}", state.tid))?;
                    continue;
                }
            };
            let mut is_complete = true;
            while let Some(step) = walk.next(&self.rescue).await.map_err(Failure::failed)? {
                let read = match step {
                    Step::Gap(gap) => Err(gap.error),
                    Step::Leaf(bref) => match self.rescue.inode(&bref).await.map_err(Failure::failed)? {
                        Ok(inode) => {
                            self.recover_pfs(Found { bref, inode }).await?;
                            Ok(())
                        }
                        Err(error) => Err(error),
                    },
                };
                if let Err(error) = read {
                    is_complete = false;
                    self.index.add_gap(KeyRange::INODE_INDEX)?;
                    let error = super::told(error);
                    self.report.root_lost(&format!("a PFS of flush {} can't be read: {error}", state.tid))?;
                }
            }
            if index == 0 {
                self.newest_is_complete = is_complete;
            }
        }
        if !self.newest_is_complete {
            self.index.keep_older();
        }
        Ok(())
    }

    /// Recovers a state of a PFS; the first that is met is the newest.
    async fn recover_pfs(&mut self, root: Found) -> Result<(), Failure> {
        let meta = &root.inode.meta;
        let Ok(label) = meta.label().map(<[u8]>::to_vec) else { return Ok(()) };
        if !meta.flags().contains(InodeFlags::PFSROOT) {
            return Ok(());
        }
        let mark = mark(&root.bref);
        let known = self.pfss.iter().position(|known| known.fsid == meta.pfs_fsid);
        let (known, rule) = match known {
            Some(known) if self.pfss[known].walked.contains(&mark) => return Ok(()),
            Some(known) => (known, Rule::Older { newest_is_complete: self.pfss[known].is_complete }),
            None => {
                let folder = self.folder(&label);
                let taken = (meta.pfs_subkind() == PfsSubkind::Snapshot).then(|| meta.pfs_lsnap_tid());
                self.pfss.push(Known { fsid: meta.pfs_fsid, folder, is_complete: false, walked: vec![], taken });
                // A PFS that the newest super-root lacks was removed.
                let is_deleted = self.newest_is_complete;
                (self.pfss.len() - 1, if is_deleted { Rule::Older { newest_is_complete: true } } else { Rule::Newest })
            }
        };
        let folder = self.pfss[known].folder.clone();
        let tree = self.tree(&root.inode, rule);
        let is_complete = self.walk_tree(&tree, &root, &folder).await?;
        if rule == Rule::Newest && !is_complete {
            self.note_stranded(&root).await?;
        }
        let known = &mut self.pfss[known];
        known.walked.push(mark);
        if !matches!(rule, Rule::Older { .. }) {
            known.is_complete = is_complete;
        }
        Ok(())
    }

    /// Notes the files that a state has but none of its readable directories, and the gaps of its index: another state, or
    /// another PFS that shares these files, may have newer versions.
    async fn note_stranded(&mut self, root: &Found) -> Result<(), Failure> {
        let mut walk = Walk::new(root.inode.body_set(), KeyRange::INODE_INDEX);
        while let Some(step) = walk.next(&self.rescue).await.map_err(Failure::failed)? {
            match step {
                Step::Leaf(bref) if self.index.is_done(bref.data_off())? => {}
                Step::Leaf(bref) => self.index.strand(&bref)?,
                Step::Gap(gap) => self.index.add_gap(gap.keys)?,
            }
        }
        Ok(())
    }

    pub(super) fn tree(&mut self, root: &Inode, rule: Rule) -> Tree {
        self.trees += 1;
        Tree { number: self.trees, index: root.body_set(), rule }
    }

    /// A folder for a PFS of this label, different from those of others.
    fn folder(&self, label: &[u8]) -> Vec<u8> {
        let mut folder: Vec<u8> = label.iter().map(|byte| if *byte == b'/' { b'_' } else { *byte }).collect();
        if matches!(&folder[..], b"" | b"." | b"..")
            || RESERVED.contains(&&folder[..])
            || folder.starts_with(b".recover-")
        {
            folder.extend_from_slice(b".pfs");
        }
        let plain = folder.clone();
        let mut number = 0;
        while self.pfss.iter().any(|known| known.folder == folder) {
            number += 1;
            folder = [&plain[..], format!(".{number}").as_bytes()].concat();
        }
        folder
    }

    /// Recovers the PFSs that no header leads to, from the newest root found of each. Unless the headers say which PFSs exist,
    /// missing snapshots that a root mentions count as lost.
    pub(super) async fn recover_found_roots(&mut self, are_all_known: bool) -> Result<(), Failure> {
        let mut roots: HashMap<Uuid, Root> = HashMap::new();
        let mut taken = HashSet::new();
        let mut from = MediaOffset(0);
        while let Some(candidate) = self.index.candidate_from(from)? {
            from = MediaOffset(candidate.at.0 + 1);
            if !candidate.is_pfs_root {
                continue;
            }
            let bref = unchecked_inode(candidate.at, candidate.identity.inum.key());
            let Ok(inode) = self.rescue.inode(&bref).await.map_err(Failure::failed)? else { continue };
            taken.insert(inode.meta.pfs_lsnap_tid());
            let fsid = inode.meta.pfs_fsid;
            let order = |below: &Blockref| (below.mirror_tid(), below.modify_tid());
            let newest = inode.body_set().iter().map(order).max().unwrap_or_default();
            let is_older = roots.get(&fsid).is_some_and(|root| root.newest >= newest);
            if is_older || self.pfss.iter().any(|known| known.fsid == fsid) || !self.leads_somewhere(&inode).await? {
                continue;
            }
            roots.insert(fsid, Root { found: Found { bref, inode }, newest });
        }
        // Sorted by the order in which they were found, as the order of hashes is random.
        let mut roots: Vec<_> = roots.into_values().collect();
        roots.sort_by_key(|root| root.found.bref.data_off());
        for Root { found, newest: (newest, _) } in roots {
            let label = found.inode.meta.label().unwrap_or_default().to_vec();
            let label = Shown(&label);
            self.report.note(&format!(
                "no header leads to the PFS {label}: its newest root that was found is of flush {newest}"
            ))?;
            self.recover_pfs(found).await?;
        }
        taken.remove(&ModifyTid(0));
        for there in self.pfss.iter().filter_map(|known| known.taken) {
            taken.remove(&there);
        }
        if !are_all_known && !taken.is_empty() {
            self.report.root_lost(
                "a snapshot was taken that isn't there: it was removed, or its root is lost; of each file, all that is found \
                 whole comes out",
            )?;
        }
        if !are_all_known && (self.pfss.is_empty() || !taken.is_empty()) {
            self.index.add_gap(KeyRange::INODE_INDEX)?;
        }
        Ok(())
    }

    /// True when a root that no check code vouches for leads to a verified inode or name.
    async fn leads_somewhere(&self, inode: &Inode) -> Result<bool, Failure> {
        let mut walk = Walk::new(inode.body_set(), KeyRange::ALL);
        for _ in 0..MOST_LOOKS {
            // Leaves behind a gap, or behind a bad leaf, may be whole.
            match walk.next(&self.rescue).await.map_err(Failure::failed)? {
                Some(Step::Leaf(leaf)) if self.is_true(&leaf).await? => return Ok(true),
                Some(_) => {}
                None => break,
            }
        }
        Ok(false)
    }

    /// True for an inode that can be read, and for a name that matches its hash.
    async fn is_true(&self, leaf: &Blockref) -> Result<bool, Failure> {
        if leaf.is(BlockKind::Inode) {
            return Ok(self.rescue.inode(leaf).await.map_err(Failure::failed)?.is_ok());
        }
        let entry = self.rescue.entry(leaf).await.map_err(Failure::failed)?;
        Ok(entry.is_ok_and(|entry| directory_hash(&entry.name).contains(KeyRange::only(leaf.key()))))
    }
}
