//! The PFSs of a cluster: listing, and choosing the one to mount (format 3.7).

use super::vote::Refusal;
use super::{Cluster, Command, InodeRecord, NodeIndex, OpError, Reply};
use crate::media::inode::INODE_NAME_BYTES;
use crate::media::{KeyRange, ModifyTid, PfsKind, PfsSubkind, Timestamp, Uuid};
use crate::memory::{Box, boxed};
use crate::node::{Node, NodeError};

/// Selects a PFS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PfsSelector<'a> {
    /// The one with this label.
    Label(&'a [u8]),
    /// The PFS of this cluster.
    Cluster(Uuid),
    /// DATA, else the only one that is neither LOCAL nor a snapshot, else the only snapshot.
    Default,
}

/// The PFSs of a node that may be meant.
enum Candidates {
    None,
    One(Box<Pfs>),
    /// More than one, so it is unclear which is meant.
    Several,
}

/// A PFS as described by its root.
#[derive(Clone, Debug)]
pub struct Pfs {
    /// Its label.
    pub label: heapless::Vec<u8, INODE_NAME_BYTES>,
    /// Its role in its cluster.
    pub kind: PfsKind,
    /// Where it comes from.
    pub subkind: PfsSubkind,
    /// The cluster it belongs to.
    pub clid: Uuid,
    /// Its own id.
    pub fsid: Uuid,
    /// The recorded number of masters in its cluster; 0 if not recorded.
    pub masters: u8,
    /// All that its root says.
    pub root: InodeRecord,
}

/// When a snapshot was taken, for ordering: the last operation before it, the time, and its id.
pub type Taken = (ModifyTid, Timestamp, Uuid);

impl Pfs {
    /// When it was taken, if it is a snapshot.
    pub fn taken(&self) -> Taken {
        (self.root.meta.pfs_lsnap_tid(), self.root.meta.btime(), self.clid)
    }

    fn of(root: &InodeRecord) -> Self {
        let meta = &root.meta;
        let label = meta.label().ok().and_then(|label| heapless::Vec::from_slice(label).ok()).unwrap_or_default();
        Self {
            label,
            kind: meta.pfs_kind(),
            subkind: meta.pfs_subkind(),
            clid: meta.pfs_clid,
            fsid: meta.pfs_fsid,
            masters: meta.pfs_nmasters,
            root: *root,
        }
    }
}

impl Cluster {
    /// The first PFS with a key of `range`, and the keys after it. It fails for a root that no up-to-date node can read; a
    /// listing may then go on after the range of that name ([`directory_hash`](crate::media::directory_hash())).
    pub async fn next_pfs(&self, range: KeyRange) -> Result<Option<(Pfs, Option<KeyRange>)>, OpError> {
        // A lagging node may not have the newest PFSs.
        let mut order = self.read_order();
        let first = order.next().unwrap_or(self.focus.get());
        let mut found = next_pfs(&self.member(first).node, range).await;
        for other in order {
            if !matches!(found, Err(NodeError::Fault(_))) {
                break;
            }
            found = next_pfs(&self.member(other).node, range).await;
        }
        Ok(found?.map(|(pfs, after)| (Box::into_inner(pfs), after)))
    }

    /// The PFS that is meant; none if there is none, or no single one to choose by default. It is refused if the nodes don't all
    /// mean the same one: then they belong to several filesystems, and the order in which they were given must not decide.
    pub async fn find_pfs(&self, selector: PfsSelector<'_>) -> Result<Option<Box<Pfs>>, OpError> {
        let mut found: Option<(NodeIndex, Box<Pfs>)> = None;
        let (mut failed, mut is_unclear) = (None, false);
        for index in self.in_sync().iter() {
            match (candidates(&self.member(index).node, selector).await, &found) {
                (Ok(Candidates::One(pfs)), Some((first, other))) if pfs.clid != other.clid => {
                    let of = |index: NodeIndex, pfs: &Pfs| (index, pfs.clid);
                    let (first, second) = (of(*first, other), of(index, &pfs));
                    return Err(OpError::Refused(Refusal::Unrelated { first, second }));
                }
                (Ok(Candidates::One(pfs)), None) => found = Some((index, pfs)),
                (Ok(Candidates::Several), _) => is_unclear = true,
                (Ok(_), _) => {}
                (Err(error), _) => failed = Some(error),
            }
        }
        match (found, failed) {
            _ if is_unclear => Ok(None),
            (Some((index, pfs)), _) => {
                self.focus.set(index);
                Ok(Some(pfs))
            }
            (None, Some(error)) => Err(error.into()),
            (None, None) => Ok(None),
        }
    }

    /// The PFS that is meant, according to one node.
    pub async fn pfs_of(&self, index: NodeIndex, selector: PfsSelector<'_>) -> Result<Option<Box<Pfs>>, OpError> {
        Ok(find_pfs(&self.member(index).node, selector).await?)
    }

    /// True for a PFS that can be mounted as a local filesystem.
    pub(crate) fn is_mountable(kind: PfsKind) -> bool {
        !matches!(kind, PfsKind::None | PfsKind::SuperRoot | PfsKind::Dummy | PfsKind::Cache)
    }
}

/// The first PFS of a node with a key of `range`, and the keys after it.
pub(super) async fn next_pfs(node: &Node, range: KeyRange) -> Result<Option<(Box<Pfs>, Option<KeyRange>)>, NodeError> {
    match node.execute(Command::NextPfs { range }).await? {
        Reply::Inode(root) => Ok(Some((boxed(node.heap(), Pfs::of(&root))?, range.above(root.key)))),
        _ => Ok(None),
    }
}

/// The PFS of a node that is meant; none if there is none, or no single one to choose by default.
pub(super) async fn find_pfs(node: &Node, selector: PfsSelector<'_>) -> Result<Option<Box<Pfs>>, NodeError> {
    Ok(match candidates(node, selector).await? {
        Candidates::One(pfs) => Some(pfs),
        Candidates::None | Candidates::Several => None,
    })
}

async fn candidates(node: &Node, selector: PfsSelector<'_>) -> Result<Candidates, NodeError> {
    let (mut own, mut snapshots) = (Candidates::None, Candidates::None);
    let mut rest = Some(KeyRange::ALL);
    while let Some(range) = rest {
        let Some((pfs, after)) = next_pfs(node, range).await? else { break };
        rest = after;
        match selector {
            PfsSelector::Label(label) if pfs.label == label => return Ok(Candidates::One(pfs)),
            PfsSelector::Cluster(clid) if pfs.clid == clid => return Ok(Candidates::One(pfs)),
            PfsSelector::Default if pfs.label == b"DATA" => return Ok(Candidates::One(pfs)),
            PfsSelector::Default if pfs.label == b"LOCAL" => {}
            PfsSelector::Default if pfs.subkind == PfsSubkind::None => own = own.and(pfs),
            PfsSelector::Default => snapshots = snapshots.and(pfs),
            PfsSelector::Label(_) | PfsSelector::Cluster(_) => {}
        }
    }
    Ok(match own {
        Candidates::None => snapshots,
        found => found,
    })
}

impl Candidates {
    /// Adds a candidate.
    fn and(self, pfs: Box<Pfs>) -> Self {
        match self {
            Self::None => Self::One(pfs),
            Self::One(_) | Self::Several => Self::Several,
        }
    }
}
