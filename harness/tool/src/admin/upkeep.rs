//! Bringing members in step, and scrubs of all of them, with a report of what was done and what wasn't.

use std::pin::pin;
use std::time::{Duration, Instant};

use futures_util::future::{Either, select};
use hammer2_core::cluster::resync::ResyncCounts;
use hammer2_core::cluster::{MemberStatus, NodeIndex, Scrub};
use hammer2_core::fs::FileSystem;
use hammer2_host::clock::HostClock;

use super::advice::health_of;
use super::paused_scrub::read_whole;
use super::{Copied, Done, LastScrub, PausedScrub, Refused, Resynced, Scrubbing, Site};

/// How often the progress of a scrub or bulkfree is shown.
const BETWEEN_TELLING: Duration = Duration::from_millis(200);

/// How often the place of a scrub is kept: a crash costs that much of its work.
const BETWEEN_KEEPING: Duration = Duration::from_secs(10);

/// Waits for work, and calls `show` now and then meanwhile.
pub async fn while_working<T>(clock: &HostClock, work: impl Future<Output = T>, mut show: impl FnMut()) -> T {
    let mut work = pin!(work);
    loop {
        match select(work, pin!(clock.sleep(BETWEEN_TELLING))).await {
            Either::Left((done, _)) => return done,
            Either::Right(((), going_on)) => work = going_on,
        }
        show();
    }
}

/// Waits for a scrub, and shows its progress meanwhile.
pub async fn while_scrubbing<T>(
    fs: &FileSystem,
    clock: &HostClock,
    work: impl Future<Output = T>,
    mut show: impl FnMut(Scrubbing),
) -> T {
    while_working(clock, work, || show(fs.scrub_progress().into())).await
}

impl Site<'_> {
    pub(super) async fn resync(&self, show: &mut dyn FnMut(NodeIndex, &ResyncCounts)) -> Result<Done, Refused> {
        // A disk that doesn't answer any more isn't in step.
        self.fs.probe().await.map_err(|error| self.failed(&error))?;
        for node in self.images.left_out() {
            // The reason why it is still left out is reported below.
            if let Err(why) = self.put_in(&node.images).await {
                self.images.note_left_out(&node.images, &why.to_string());
            }
        }
        let unusable = self.look_at_lost().await;
        let all = self.fs.resync_all(show).await.map_err(|error| self.failed(&error))?;
        let mut nodes: Vec<Resynced> = Vec::new();
        let health = health_of(self.fs);
        for (node, copied) in all {
            let copied = copied.map(Copied::from).map_err(|error| self.known().error(&error));
            nodes.push(Resynced { node: node.0, called: self.called(node), copied });
        }
        for member in self.fs.member_statuses() {
            let now = unusable.iter().find(|(node, _)| *node == member.node);
            let why = match now {
                Some((node, why)) => Some(self.images.unusable(*node, why, health)),
                None => self.images.why_apart(&member, health),
            };
            if let Some(why) = why
                && nodes.iter().all(|resynced| resynced.node != member.node.0)
            {
                let called = self.called(member.node);
                nodes.push(Resynced { node: member.node.0, called, copied: Err(why) });
            }
        }
        Ok(Done::Resynced { nodes, missing: self.missing() })
    }

    /// Looks again at members that left or couldn't be read, as the cause may be gone. Returns those for which it isn't, and why.
    async fn look_at_lost(&self) -> Vec<(NodeIndex, String)> {
        let lost: Vec<NodeIndex> =
            self.fs.member_statuses().filter(MemberStatus::is_lost).map(|member| member.node).collect();
        let mut unusable = Vec::new();
        for node in lost {
            if let Err(why) = self.fs.look_again(node).await {
                unusable.push((node, self.known().return_error(&why)));
            }
        }
        unusable
    }

    /// Reads everything, from the beginning or from where it was paused.
    pub(super) async fn scrub(&self, before: Option<PausedScrub>) -> Result<Done, Refused> {
        let (clid, before) = (self.fs.pfs().clid, before.as_ref());
        let mut scrub = before.map_or_else(Scrub::default, PausedScrub::scrub);
        if before.is_none() {
            PausedScrub::forget(clid);
        }
        let (mut kept, mut is_kept) = (Instant::now(), true);
        let mut goes_on = |scrub: &Scrub| {
            let pauses = (self.pauses)();
            if pauses || kept.elapsed() >= BETWEEN_KEEPING {
                kept = Instant::now();
                let keep = PausedScrub::of(self.fs, scrub, before).map_or(Ok(()), |paused| paused.keep(clid));
                is_kept = keep.inspect_err(|error| log::warn!("{error}: how far the scrub is can't be kept")).is_ok();
            }
            !pauses
        };
        let scrubbed = self.fs.scrub_on(&mut scrub, &mut goes_on).await;
        let Some(counts) = scrubbed.map_err(|error| self.failed(&error))? else {
            let lost = || Refused::failed("it was ended, and nobody will know how far it was");
            return if is_kept { Ok(Done::Paused(self.fs.scrub_progress().into())) } else { Err(lost()) };
        };
        PausedScrub::forget(clid);
        let health = health_of(self.fs);
        let apart = self.fs.member_statuses().filter_map(|member| {
            let why = self.images.why_apart(&member, health)?;
            Some(format!("{}: {why}", self.called(member.node)))
        });
        let unread: Vec<String> = apart.chain(self.missing()).collect();
        let counts = counts.into();
        LastScrub::now(counts, read_whole(self.fs, &scrub, before), unread.len()).keep(clid);
        Ok(Done::Scrubbed { counts, unread })
    }

    pub(super) fn no_paused_scrub(&self) -> Refused {
        let place = self.images.place();
        Refused::unusable(format_args!(
            "no scrub of it was paused on this machine: `hammer2 scrub {place}` reads everything from the beginning"
        ))
    }

    /// Members that aren't there.
    fn missing(&self) -> Vec<String> {
        let (missing, health) = (self.fs.missing_members(), health_of(self.fs));
        missing.iter().map(|member| self.images.about_missing(member.fsid, missing.len(), health)).collect()
    }

    /// The name of a node: its disks, its number and its fsid.
    fn called(&self, node: NodeIndex) -> String {
        self.known().called(node)
    }
}
