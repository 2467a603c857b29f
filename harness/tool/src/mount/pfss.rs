//! Work on all PFSs of the volumes while one of them is mounted: listing, making, removing, freeing space.

use std::sync::mpsc::Sender;

use hammer2_core::cluster::{BulkfreeOptions, MemberState, NewPfs};
use hammer2_core::fs::{Error, TimeSource as _};
use hammer2_core::media::{PfsKind, Uuid};
use hammer2_host::time_source::HostTime;

use super::server::Server;
use crate::admin::wire::Answer;
use crate::admin::{BULKFREE_PASSES, Done, Freed, Freeing, NodeFacts, Refused, fresh_uuid, list_pfss, while_working};

/// Kinds of PFSs that can be made.
const KINDS: [PfsKind; 4] = [PfsKind::Master, PfsKind::Slave, PfsKind::SoftMaster, PfsKind::SoftSlave];

impl Server {
    /// Sends each PFS, up to the first that can't be read.
    pub(super) async fn list_pfss(&self, sender: &Sender<Answer>) -> Done {
        let (pfss, damage) = list_pfss(async |range| self.fs.next_pfs(range).await).await;
        for pfs in &pfss {
            // The client may be gone.
            let _ = sender.send(Answer::Pfs(pfs.into()));
        }
        Done::Told { damage: damage.map(|error| error.to_string()) }
    }

    /// Facts about each node.
    pub(super) fn describe_nodes(&self) -> Vec<NodeFacts> {
        let describe = |node| {
            let (header, copy) = self.fs.header_of(node);
            NodeFacts::of(&header, copy, self.fs.volumes_of(node))
        };
        self.fs.member_statuses().map(|member| describe(member.node)).collect()
    }

    /// Makes an empty PFS. With several nodes, all are its masters, and it becomes a cluster when it is mounted.
    pub(super) async fn create_pfs(&self, label: &[u8], kind: &str, clid: Option<&str>) -> Result<Done, Refused> {
        self.refuse_reading_only()?;
        if self.fs.member_statuses().count() + self.fs.missing_members().len() > 1 {
            self.refuse_half_creation(kind, clid)?;
        }
        let kind = KINDS.into_iter().find(|known| known.to_string() == kind);
        let kind = kind.ok_or_else(|| Refused::unusable("no such type of a PFS"))?;
        let clid: Uuid = match clid {
            Some(clid) => clid.parse().map_err(Refused::unusable)?,
            None => fresh_uuid()?,
        };
        let new = NewPfs { label, kind, clid, fsid: fresh_uuid()?, time: HostTime.now() };
        match self.patience.keep_trying(async || self.fs.create_pfs(&new).await).await {
            Ok(()) => Ok(Done::Changed { snapshots_lacking: 0 }),
            Err(error) => Err(refused(label, error)),
        }
    }

    /// Refuses a PFS that not all members would have, or not in the role that is asked for.
    fn refuse_half_creation(&self, kind: &str, clid: Option<&str>) -> Result<(), Refused> {
        if clid.is_some() || kind != PfsKind::Master.to_string() {
            return Err(Refused::unusable("-t and -u are about a PFS of one node, and several are mounted here"));
        }
        let images = &self.administration.images;
        let apart = { self.fs.member_statuses() }.find(|member| member.state != MemberState::InSync);
        let lacking = apart.map(|member| images.called(member.node));
        let missing = || self.fs.missing_members().first().map(|member| format!("member {}", member.fsid));
        match lacking.or_else(missing) {
            Some(member) => Err(Refused::unusable(format_args!(
                "{member} isn't in step, and wouldn't have the new PFS: `hammer2 cluster status {}` says what brings it back",
                images.place()
            ))),
            None => Ok(()),
        }
    }

    /// Removes a PFS; without `force`, refuses while members that aren't in step would keep theirs.
    pub(super) async fn delete_pfs(&self, label: &[u8], force: bool) -> Result<Done, Refused> {
        if self.fs.pfs().label == label {
            return Err(Refused::unusable(format_args!(
                "{}: it is what is mounted here: unmount it first",
                label.escape_ascii()
            )));
        }
        if !force {
            self.refuse_half_removal(label).await?;
        }
        self.snapshots.close(label);
        match self.fs.delete_pfs(label).await {
            Ok(()) => Ok(Done::Changed { snapshots_lacking: 0 }),
            Err(Error::NotFound) => {
                let (label, place) = (label.escape_ascii(), self.administration.images.place());
                Err(Refused::unusable(format_args!("{label}: no such PFS; `hammer2 pfs-list {place}` shows all")))
            }
            Err(error) => Err(refused(label, error)),
        }
    }

    async fn refuse_half_removal(&self, label: &[u8]) -> Result<(), Refused> {
        let in_sync = self.fs.cluster_status().map_or(1, |status| status.in_sync);
        let (pfss, damage) = list_pfss(async |range| self.fs.next_pfs(range).await).await;
        if let Some(pfs) = pfss.iter().find(|pfs| pfs.label == label && usize::from(pfs.masters) > in_sync) {
            return Err(Refused::unusable(format_args!(
                "{}: it is a cluster's, of {} masters, of which {in_sync} are in step here: bring the others in step \
                 first; -f removes it from these all the same",
                label.escape_ascii(),
                pfs.masters
            )));
        }
        damage.map_or(Ok(()), |error| Err(Refused::failed(error)))
    }

    /// Frees blocks that nothing refers to any more.
    pub(super) async fn bulkfree(&self, discard: bool, sender: &Sender<Answer>) -> Result<Done, Refused> {
        let mut freed = Freed::default();
        for pass in 1..=BULKFREE_PASSES {
            let work = self.fs.bulkfree_with(BulkfreeOptions { discard });
            let tell = || {
                // The client may be gone.
                let _ = sender.send(Answer::Freeing(Freeing::new(pass, self.fs.bulkfree_progress())));
            };
            let counts = while_working(self.patience.clock(), work, tell).await;
            tell();
            let counts =
                counts.map_err(|error| Refused::failed(format_args!("{error}; nothing was freed by this pass")))?;
            freed.add(&counts);
        }
        freed.free_bytes = self.fs.statistics().free_bytes;
        Ok(Done::Freed(freed))
    }
}

fn refused(label: &[u8], error: Error) -> Refused {
    let label = label.escape_ascii();
    match error {
        Error::Exists => Refused::unusable(format_args!("{label}: there is a PFS of this label already")),
        error => Refused::failed(format_args!("{label}: {error}")),
    }
}
