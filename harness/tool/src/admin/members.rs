//! Making volumes members while the others go on.

use std::path::PathBuf;

use hammer2_core::cluster::resync::ResyncCounts;
use hammer2_core::cluster::vote::{Role, State};
use hammer2_core::cluster::{MemberState, MemberStatus, NewPfs, NodeIndex};
use hammer2_core::fs::{FileSystem, TimeSource as _};
use hammer2_core::media::PfsKind;
use hammer2_host::time_source::HostTime;

use super::{Done, Images, Known, Name, Refused, Resynced, Site, fresh_uuid, whole_path};

impl Site<'_> {
    pub(super) async fn add(
        &self,
        images: &[PathBuf],
        votes: bool,
        show: &mut dyn FnMut(NodeIndex, &ResyncCounts),
    ) -> Result<Done, Refused> {
        let node = self.put_in(images).await?;
        Ok(Done::Changed { snapshots_lacking: take_in(self.fs, self.images, node, votes, show).await? })
    }

    pub(super) async fn replace(
        &self,
        old: &Name,
        images: &[PathBuf],
        show: &mut dyn FnMut(NodeIndex, &ResyncCounts),
    ) -> Result<Done, Refused> {
        let old = self.member(old)?;
        let node = self.put_in(images).await?;
        let mut show = |counts: &ResyncCounts| show(node, counts);
        let copied = self.fs.replace_member(old, node, &new_pfs(self.fs)?, &mut show).await;
        let copied = copied.map_err(|error| self.failed(&error))?;
        Ok(Done::Changed { snapshots_lacking: copied.snapshots_lacking })
    }

    /// Brings a slave that may have been away in step, and lets go of it.
    pub(super) async fn detach(
        &self,
        images: &[PathBuf],
        show: &mut dyn FnMut(NodeIndex, &ResyncCounts),
    ) -> Result<Done, Refused> {
        let (fs, place) = (self.fs, self.images.place());
        let node = self.put_in(images).await?;
        let member = status(fs, node).ok_or_else(|| Refused::failed("it isn't there any more"))?;
        let called = self.known().called(node);
        if matches!(member.state, MemberState::Aside(_)) {
            let image = self.images.member(node);
            return Err(Refused::unusable(format_args!(
                "{called} is no member here: `hammer2 cluster add -t SLAVE {place} {image}` makes it one"
            )));
        }
        if member.role != Role::Slave {
            return Err(Refused::unusable(format_args!(
                "{called} is no slave: the others would miss it; a slave can be kept elsewhere and brought in step now and then"
            )));
        }
        let mut show = |counts: &ResyncCounts| show(node, counts);
        let copied = match member.state {
            MemberState::InSync => fs.complete(node).await,
            _ => fs.resync_showing(node, &mut show).await,
        };
        let copied = copied.map_err(|error| self.failed(&error))?;
        if !fs.detach(node).await.map_err(|error| self.failed(&error))? {
            return Err(Refused::failed(format_args!(
                "{called} isn't in step: it failed meanwhile, and is still in use"
            )));
        }
        let resynced = Resynced { node: node.0, called, copied: Ok(copied.into()) };
        Ok(Done::Resynced { nodes: vec![resynced], missing: Vec::new() })
    }

    /// Opens volumes as one more node, unless they are open already, and judges what they are to the cluster.
    pub(super) async fn put_in(&self, images: &[PathBuf]) -> Result<NodeIndex, Refused> {
        let images: Vec<PathBuf> = images.iter().map(|image| whole_path(image)).collect();
        if let Some(node) = self.images.node_with(&images) {
            match (self.look_at(node).await, status(self.fs, node).map(|member| member.state)) {
                // Another disk has its name by now.
                (Err(_), Some(MemberState::Ejected(_))) => {}
                (looked, _) => return looked.map(|()| node),
            }
        }
        let node = self.fs.open_node((self.open)(&images)?).await.map_err(Refused::failed)?;
        self.images.note(node, images);
        self.look_at(node).await.map(|()| node)
    }

    /// Judges a node that doesn't take part; an error if that fails.
    async fn look_at(&self, node: NodeIndex) -> Result<(), Refused> {
        let state = || status(self.fs, node).map(|member| member.state);
        if matches!(state(), Some(MemberState::Aside(_) | MemberState::Ejected(_))) {
            let looked = self.fs.look_again(node).await;
            looked.map_err(|error| Refused::failed(self.known().return_error(&error)))?;
        }
        match state() {
            Some(MemberState::Ejected(why)) => Err(Refused::failed(why)),
            Some(MemberState::Aside(State::Twin)) => {
                Err(Refused::unusable("it is a copy of another member: format it, or name another image"))
            }
            Some(MemberState::Aside(State::Damaged(corruption))) => Err(Refused::failed(corruption)),
            _ => Ok(()),
        }
    }
}

fn status(fs: &FileSystem, node: NodeIndex) -> Option<MemberStatus> {
    fs.member_statuses().find(|member| member.node == node)
}

/// Makes a node a member, or finishes doing so: copies everything to it, and gives it a vote if it is to be a master. Returns how
/// many snapshots couldn't be copied to it.
pub async fn take_in(
    fs: &FileSystem,
    images: &Images,
    node: NodeIndex,
    votes: bool,
    show: &mut dyn FnMut(NodeIndex, &ResyncCounts),
) -> Result<u64, Refused> {
    let mut show = |counts: &ResyncCounts| show(node, counts);
    match fs.take_in(node, &new_pfs(fs)?, votes, &mut show).await {
        Ok((_, copied)) => Ok(copied.snapshots_lacking),
        Err(error) => Err(Refused::failed(Known::of_mount(images, fs).error(&error))),
    }
}

/// The PFS of a new member at first: empty, and without a vote.
fn new_pfs(fs: &FileSystem) -> Result<NewPfs<'_>, Refused> {
    let (label, kind, time) = (&fs.pfs().label, PfsKind::Slave, HostTime.now());
    Ok(NewPfs { label, kind, clid: fresh_uuid()?, fsid: fresh_uuid()?, time })
}
