//! Making nodes members while the others go on.

use super::super::{Error, FileSystem};
use crate::cluster::resync::ResyncCounts;
use crate::cluster::vote::Role;
use crate::cluster::{Change, MemberState, MemberStatus, NewPfs, NodeIndex};
use crate::media::Uuid;

impl FileSystem {
    /// Makes a node a member, or finishes what was begun: it gets all content, and then votes if it is to be a master. Returns
    /// its id and what was copied; `show` is called repeatedly with what was copied so far.
    pub async fn take_in(
        &self,
        node: NodeIndex,
        new: &NewPfs<'_>,
        votes: bool,
        show: &mut dyn FnMut(&ResyncCounts),
    ) -> Result<(Uuid, ResyncCounts), Error> {
        let status = || self.member_statuses().find(|member| member.node == node);
        let fsid = match status() {
            Some(MemberStatus { state: MemberState::Behind(_) | MemberState::InSync, fsid, .. }) => fsid,
            _ => self.add_member(node, new).await?,
        };
        let mut copied = ResyncCounts::default();
        if status().is_some_and(|member| member.state != MemberState::InSync) {
            copied = self.resync_showing(node, show).await?;
        }
        if votes && status().is_some_and(|member| member.role == Role::Slave) {
            self.change_members(Change::Promote(fsid)).await?;
        }
        Ok((fsid, copied))
    }

    /// Makes a node a member in the place of another, whether that one is there or not.
    pub async fn replace_member(
        &self,
        old: Uuid,
        node: NodeIndex,
        new: &NewPfs<'_>,
        show: &mut dyn FnMut(&ResyncCounts),
    ) -> Result<ResyncCounts, Error> {
        let (new, copied) = self.take_in(node, new, false, show).await?;
        self.change_members(Change::Replace { old, new }).await?;
        Ok(copied)
    }
}
