//! Listing and finding snapshots.

use fuser::Errno;
use hammer2_core::cluster::Pfs;
use hammer2_core::fs::Error;
use hammer2_core::media::PfsSubkind;

use super::Snapshot;
use crate::admin::list_pfss;
use crate::mount::refusal::Refusal;
use crate::mount::server::Server;

impl Server {
    /// The snapshots whose roots can be read and whose labels can be names of files; and an error if there may be more.
    pub(super) async fn list_snapshots(&self) -> (Vec<Snapshot>, Option<Error>) {
        let is_shown = |pfs: &Pfs| {
            let is_name = !pfs.label.is_empty() && !matches!(&pfs.label[..], b"." | b"..");
            let is_name = is_name && !pfs.label.iter().any(|byte| matches!(byte, b'/' | 0));
            is_name && pfs.subkind != PfsSubkind::None && pfs.clid != self.fs.pfs().clid
        };
        let (pfss, trouble) = list_pfss(async |range| self.fs.next_pfs(range).await).await;
        let snapshot = |pfs: &Pfs| {
            let number = self.snapshots.number(pfs.clid)?;
            Some(Snapshot { label: pfs.label.to_vec(), number, clid: pfs.clid })
        };
        (pfss.iter().filter(|pfs| is_shown(pfs)).filter_map(snapshot).collect(), trouble)
    }

    /// The snapshot of this label; `absent` if there is none.
    pub(super) async fn find_snapshot(
        &self,
        is_meant: impl Fn(&Snapshot) -> bool,
        absent: Errno,
    ) -> Result<Snapshot, Refusal> {
        let (all, trouble) = self.list_snapshots().await;
        // It may be a snapshot that can't be read.
        let why_not = || trouble.map_or_else(|| Refusal::from(absent), Refusal::from);
        all.into_iter().find(is_meant).ok_or_else(why_not)
    }
}
