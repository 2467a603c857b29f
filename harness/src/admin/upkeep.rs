//! Bringing members in step, and reading them all: what was done, and what wasn't.

use hammer2_core::cluster::resync::ResyncCounts;
use hammer2_core::cluster::vote::State;
use hammer2_core::cluster::{MemberState, MemberStatus, NodeIndex};

use super::{Copied, Done, Refused, Resynced, Site};

impl Site<'_> {
    pub(super) async fn resync(&self, show: &mut dyn FnMut(NodeIndex, &ResyncCounts)) -> Result<Done, Refused> {
        // Who doesn't answer any more is not in step.
        self.fs.probe().await.map_err(Refused::failed)?;
        let all = self.fs.resync_all(show).await.map_err(Refused::failed)?;
        let mut nodes: Vec<Resynced> = Vec::new();
        for (node, copied) in all {
            let copied = copied.map(Copied::from).map_err(|error| self.known().error(&error));
            nodes.push(Resynced { node: node.0, called: self.called(node), copied });
        }
        for member in self.fs.member_statuses() {
            if let Some(why) = self.why_apart(&member)
                && nodes.iter().all(|resynced| resynced.node != member.node.0)
            {
                let called = self.called(member.node);
                nodes.push(Resynced { node: member.node.0, called, copied: Err(why) });
            }
        }
        Ok(Done::Resynced { nodes, missing: self.missing() })
    }

    pub(super) async fn scrub(&self) -> Result<Done, Refused> {
        let counts = self.fs.scrub().await.map_err(|error| Refused::failed(self.known().error(&error)))?;
        let apart = self.fs.member_statuses().filter_map(|member| {
            let why = self.why_apart(&member)?;
            Some(format!("{}: {why}", self.called(member.node)))
        });
        let unread = apart.chain(self.missing()).collect();
        Ok(Done::Scrubbed { counts: counts.into(), unread })
    }

    /// Why a member isn't in step; none for one that is, and for what isn't a member.
    fn why_apart(&self, member: &MemberStatus) -> Option<String> {
        let place = self.images.place();
        let image = self.images.member(member.node);
        match (member.state, member.unreadable) {
            (MemberState::InSync | MemberState::Aside(State::Outside), _) => None,
            (MemberState::Behind(_), _) => Some(format!("it is behind: `hammer2 cluster resync {place}` copies to it")),
            (MemberState::Ejected(why), _) | (_, Some(why)) => Some(format!(
                "it can't be used: {why}; once its disk is repaired, `hammer2 cluster resync {place}` copies to it, and \
                 `hammer2 cluster replace {place} {image} NEW` puts another in its place"
            )),
            (MemberState::Aside(State::Twin), _) => {
                Some("it is a copy of another member: name only one of them".into())
            }
            (MemberState::Aside(State::Damaged(corruption)), _) => {
                Some(format!("{corruption}; `hammer2 cluster replace {place} {image} NEW` puts another in its place"))
            }
            (MemberState::Aside(_), _) => None,
        }
    }

    /// Members that aren't there.
    fn missing(&self) -> Vec<String> {
        let place = self.images.place();
        let missing = self.fs.missing_members();
        let words =
            |fsid| format!("member {fsid} is missing: name its disk, too, or `hammer2 cluster remove {place} {fsid}`");
        missing.iter().map(|member| words(member.fsid)).collect()
    }

    /// What a node is called: by its disks, its number and its fsid.
    fn called(&self, node: NodeIndex) -> String {
        self.known().called(node)
    }
}
