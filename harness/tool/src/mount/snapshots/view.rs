//! A snapshot mounted beside the mounted PFS.

use std::path::PathBuf;
use std::rc::Rc;

use fuser::Errno;
use hammer2_core::cluster::{MemberState, PfsSelector};
use hammer2_core::fs::{Error, FileSystem, MIN_MEMORY_BYTES, MountError, MountOptions};
use hammer2_core::memory::{Vec as HeapVec, push};

use super::Snapshot;
use crate::admin::Refused;
use crate::mount::absent::{answers, is_export};
use crate::mount::counters::add;
use crate::mount::refusal::Refusal;
use crate::mount::server::Server;

/// Views that are open at a time.
const MOST_VIEWS: usize = 4;

/// The memory of a view.
const VIEW_MEMORY_BYTES: usize = 2 * MIN_MEMORY_BYTES;

/// The memory of all views, and of one that is just opened in place of another; twice, for short-lived allocations.
pub const SNAPSHOTS_MEMORY_MIB: u16 = ((2 * (MOST_VIEWS + 1) * VIEW_MEMORY_BYTES) >> 20) as u16;

/// A snapshot that is open.
pub(super) struct View {
    pub(super) label: Vec<u8>,
    number: u16,
    fs: FileSystem,
    /// Passes of bulkfree when it was opened.
    passes: u64,
}

impl Server {
    /// Does something with a snapshot. If the disks are at fault, it is tried once more with their state by then.
    pub(super) async fn within<T>(
        &self,
        number: u16,
        mut work: impl AsyncFnMut(&FileSystem) -> Result<T, Error>,
    ) -> Result<T, Refusal> {
        let view = self.view(number).await?;
        match work(&view.fs).await {
            Err(error) if error.is_trouble() => {}
            done => return Ok(done?),
        }
        self.snapshots.views.borrow_mut().retain(|known| !Rc::ptr_eq(known, &view));
        drop(view);
        let view = self.view(number).await?;
        Ok(work(&view.fs).await?)
    }

    /// The view of a snapshot, which is opened unless it is open already.
    async fn view(&self, number: u16) -> Result<Rc<View>, Refusal> {
        let snapshots = &self.snapshots;
        loop {
            if let Some(view) = self.open_view(number) {
                return Ok(view);
            }
            if !snapshots.is_opening.replace(true) {
                break;
            }
            snapshots.opened.until(|| !snapshots.is_opening.get()).await;
        }
        let opened = self.open_snapshot(number).await;
        snapshots.is_opening.set(false);
        snapshots.opened.wake_all();
        let view = Rc::new(opened?);
        add(&self.counters.snapshots_opened, 1);
        let mut views = snapshots.views.borrow_mut();
        if views.len() == MOST_VIEWS {
            views.remove(0);
        }
        views.push(view.clone());
        Ok(view)
    }

    /// The view that is open, if it still may be read.
    fn open_view(&self, number: u16) -> Option<Rc<View>> {
        let mut views = self.snapshots.views.borrow_mut();
        views.retain(|view| view.passes == self.fs.bulkfree_passes());
        let place = views.iter().position(|view| view.number == number)?;
        let view = views.remove(place);
        views.push(view.clone());
        Some(view)
    }

    async fn open_snapshot(&self, number: u16) -> Result<View, Refusal> {
        let clid = self.snapshots.of_number(number).ok_or(Errno::ESTALE)?;
        let snapshot = self.find_snapshot(|snapshot| snapshot.clid == clid, Errno::ESTALE).await?;
        let nodes = self.nodes_to_look_at().await?;
        let mut opened = None;
        let looked = self.fs.at_rest(async || opened = Some(self.mount_beside(&snapshot, &nodes).await)).await;
        let opened = match (looked, opened) {
            (_, Some(opened)) => opened,
            // This mount writes nothing at the moment, so the disks are at rest.
            (_, None) => self.mount_beside(&snapshot, &nodes).await,
        };
        opened.map_err(|why| {
            self.complain(&format_args!("the snapshot {} can't be read: {why}", snapshot.label.escape_ascii()));
            Errno::EIO.into()
        })
    }

    /// The images of the nodes in step. Those of this machine are enough, and open at once; the server of an export may take only
    /// one client.
    async fn nodes_to_look_at(&self) -> Result<Vec<Vec<PathBuf>>, Refusal> {
        let images = &self.administration.images;
        let in_step = self.fs.member_statuses().filter(|member| member.state == MemberState::InSync);
        let nodes = in_step.map(|member| images.of(member.node).into_iter().map(PathBuf::from).collect());
        let (exports, own): (Vec<Vec<PathBuf>>, Vec<_>) =
            nodes.partition(|node: &Vec<_>| node.iter().any(|volume| is_export(volume)));
        if !own.is_empty() {
            return Ok(own);
        }
        let mut answering = Vec::new();
        for node in exports {
            match answers(&node, self.patience.clock()).await {
                Ok(()) => answering.push(node),
                Err(why) => self.complain(&format_args!("no snapshot can be read there: {why}")),
            }
        }
        if answering.is_empty() { Err(Errno::EIO.into()) } else { Ok(answering) }
    }

    async fn mount_beside(&self, snapshot: &Snapshot, nodes: &[Vec<PathBuf>]) -> Result<View, Refused> {
        let beside = &self.administration.beside;
        let passes = self.fs.bulkfree_passes();
        let mut disks = HeapVec::new_in(beside.heap);
        for node in nodes {
            push(&mut disks, (beside.open)(node)?).map_err(Refused::failed)?;
        }
        let options = MountOptions { memory_bytes: VIEW_MEMORY_BYTES, spare_nodes: 0 };
        let opened = async {
            let cluster = FileSystem::open_nodes(beside.heap, disks, options, &mut |_, _| {}).await?;
            FileSystem::mount_pfs(beside.heap, cluster, PfsSelector::Label(&snapshot.label), options).await
        };
        let fs = opened.await.map_err(|error: MountError| Refused::failed(error))?;
        Ok(View { label: snapshot.label.clone(), number: snapshot.number, fs, passes })
    }
}
