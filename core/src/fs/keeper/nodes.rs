//! The nodes of a mounted cluster: reporting those that leave, looking at them again, and bringing them back.
//!
//! A node that left is looked at again after a while, at growing intervals as long as that doesn't help: its disk may be gone for
//! good, and resetting a hanging device takes time. A node that is behind is brought in step at once, at the same time as others;
//! a node that is in step gets the snapshots it lacks.

use core::future::poll_fn;
use core::task::Poll;

use super::super::{Error, FileSystem};
use crate::cluster::resync::ResyncCounts;
use crate::cluster::{Debt, MAX_NODES, MemberState, MemberStatus, NodeIndex, ReturnError, Together};
use crate::io::{Duration, Instant};
use crate::memory::NoMemory;

/// How often things are looked at.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// How often nodes are checked: a node that leaves is reported within this time.
    pub looks: Duration,
    /// When a node that left is first looked at again; the interval then doubles each time.
    pub first_try: Duration,
    /// The longest such interval.
    pub most_between_tries: Duration,
    /// How often everything is made durable, unasked; never if none.
    pub sync_every: Option<Duration>,
}

/// Learns what is done to the nodes, and the results.
pub trait Attendant {
    /// False while nothing is to be done to nodes, because somebody else does it or nothing may be changed. The nodes are looked
    /// at all the same.
    fn may_repair(&self) -> bool;

    /// An attempt to bring a node back, or to give it what it lacks, begins or ends.
    fn trying(&self, node: NodeIndex, is_trying: bool);

    /// Making everything durable begins or ends.
    fn syncing(&self, is_syncing: bool);

    /// Reports an event.
    fn tell(&self, event: Event<'_>);
}

/// What happens to a mount by itself.
#[derive(Clone, Copy, Debug)]
pub enum Event<'e> {
    /// Too few nodes are left: nothing can be changed.
    QuorumLost,
    /// Enough nodes are back.
    QuorumBack,
    /// Making everything durable has failed, and will be tried again.
    NotDurable {
        /// Why.
        error: Error,
    },
    /// Everything is being made durable again.
    DurableAgain,
    /// Bad blocks of a node were written anew from the others.
    Repaired {
        /// The node.
        node: NodeIndex,
        /// How many.
        blocks: u64,
    },
    /// A node is no longer in step.
    Apart {
        /// The node.
        node: NodeIndex,
        /// Its state now.
        state: MemberState,
        /// True when it was in this state when it was first looked at.
        from_the_beginning: bool,
    },
    /// A node that left answers again.
    Answers {
        /// The node.
        node: NodeIndex,
        /// What it lacks.
        debt: Debt,
    },
    /// A node is in step again.
    Back {
        /// The node.
        node: NodeIndex,
        /// What was done to bring it there.
        counts: ResyncCounts,
    },
    /// A node counts again, but there are still too few.
    Counts {
        /// The node.
        node: NodeIndex,
        /// What is still missing.
        trouble: &'e Trouble,
    },
    /// A node in step got what it lacked.
    Completed {
        /// The node.
        node: NodeIndex,
        /// What was done for it.
        counts: ResyncCounts,
    },
    /// A node can't be brought back for now.
    Away {
        /// The node.
        node: NodeIndex,
        /// Its state.
        state: MemberState,
        /// The reason, if the state doesn't tell it.
        trouble: Option<&'e Trouble>,
    },
}

/// Why a node can't be brought back.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Trouble {
    /// It can't be a member again.
    #[error(transparent)]
    Return(#[from] ReturnError),
    /// It can't be brought in step.
    #[error(transparent)]
    Resync(#[from] Error),
}

/// A node and what is known of it.
struct Watched {
    node: NodeIndex,
    state: MemberState,
    /// True when it is in step and was checked for missing snapshots.
    is_complete: bool,
    /// True when it was looked at before.
    is_known: bool,
    /// The number of repaired blocks on it that were reported.
    repaired_blocks: u64,
    is_returning: bool,
    next_try: Instant,
    between_tries: Duration,
}

impl FileSystem {
    /// Looks after the nodes of a cluster for as long as it is polled; returns at once for a filesystem that isn't a cluster.
    pub(super) async fn keep_nodes(&self, attendant: &dyn Attendant, pace: &Pace) {
        let (Some(_), Some(clock)) = (self.cluster.status(), self.cluster.clock()) else { return };
        let mut nodes: heapless::Vec<Watched, MAX_NODES> = heapless::Vec::new();
        let mut returning = Together::new(self.heap);
        let mut had_quorum = true;
        loop {
            let has_quorum = self.has_quorum();
            if core::mem::replace(&mut had_quorum, has_quorum) != has_quorum {
                attendant.tell(if has_quorum { Event::QuorumBack } else { Event::QuorumLost });
            }
            // There are no more nodes than fit.
            let known = nodes.len();
            nodes.extend(self.member_statuses().skip(known).map(|member| Watched::new(member.node, clock.now(), pace)));
            for watched in &mut nodes {
                watched.notice(self, attendant, (clock.now(), pace));
                if attendant.may_repair() && watched.is_due(clock.now()) {
                    // Without memory, the next look tries again.
                    watched.is_returning =
                        returning.add(watched.node, || self.bring_back(watched.node, attendant)).is_ok();
                    if watched.is_returning {
                        attendant.trying(watched.node, true);
                    }
                }
            }
            let next_look = clock.now().after(pace.looks);
            let returned = poll_fn(|cx| {
                returning.poll_each(cx);
                match returning.take_answer() {
                    Some(answer) => Poll::Ready(Some(answer)),
                    None => clock.expire(next_look, cx).map(|_| None),
                }
            });
            if let Some((node, outcome)) = returned.await
                && let Some(watched) = nodes.iter_mut().find(|watched| watched.node == node)
            {
                watched.returned(self, attendant, (clock.now(), pace), outcome);
                attendant.trying(node, false);
            }
        }
    }

    /// Brings a node in step, as far as that can be done now. A node that left is looked at again first. A node in step gets the
    /// snapshots it lacks.
    pub async fn bring_back(&self, node: NodeIndex, attendant: &dyn Attendant) -> Result<ResyncCounts, Trouble> {
        let state = |fs: &Self| fs.member_statuses().find(|member| member.node == node).map(|member| member.state);
        if let Some(MemberState::Ejected(_) | MemberState::Aside(_)) = state(self)
            && let MemberState::Behind(debt) = self.look_again(node).await?
        {
            attendant.tell(Event::Answers { node, debt });
        }
        Ok(match state(self) {
            Some(MemberState::InSync) => self.complete(node).await?,
            Some(MemberState::Behind(_)) => self.resync(node).await?,
            _ => ResyncCounts::default(),
        })
    }
}

impl Watched {
    fn new(node: NodeIndex, now: Instant, pace: &Pace) -> Self {
        Self {
            node,
            // A node that isn't in step at the beginning is reported like one that leaves.
            state: MemberState::InSync,
            is_complete: false,
            is_known: false,
            repaired_blocks: 0,
            is_returning: false,
            next_try: now,
            between_tries: pace.first_try,
        }
    }

    fn status(&self, fs: &FileSystem) -> Option<MemberStatus> {
        fs.member_statuses().find(|member| member.node == self.node)
    }

    /// Reports a node that left or wasn't in step from the beginning, and what was repaired on it.
    fn notice(&mut self, fs: &FileSystem, attendant: &dyn Attendant, (now, pace): (Instant, &Pace)) {
        let Some(MemberStatus { state, repaired_blocks, .. }) = self.status(fs) else { return };
        let node = self.node;
        let blocks = repaired_blocks.saturating_sub(core::mem::replace(&mut self.repaired_blocks, repaired_blocks));
        if blocks > 0 {
            attendant.tell(Event::Repaired { node, blocks });
        }
        // The task that brings it back reports how that ended.
        if self.is_returning {
            return;
        }
        let from_the_beginning = !core::mem::replace(&mut self.is_known, true);
        if core::mem::replace(&mut self.state, state) == state {
            return;
        }
        self.is_complete = false;
        match state {
            MemberState::InSync => return,
            MemberState::Behind(_) => self.next_try = now,
            MemberState::Aside(_) | MemberState::Ejected(_) => {
                self.between_tries = pace.first_try;
                self.next_try = now.after(pace.first_try);
            }
        }
        attendant.tell(Event::Apart { node, state, from_the_beginning });
    }

    /// True when it is time to bring it back, or to see what it lacks.
    fn is_due(&self, now: Instant) -> bool {
        let lacks_something = match self.state {
            MemberState::Ejected(_) | MemberState::Behind(_) => true,
            MemberState::Aside(_) => false,
            MemberState::InSync => !self.is_complete,
        };
        lacks_something && !self.is_returning && now >= self.next_try
    }

    /// Notes whether it was brought in step.
    fn returned(
        &mut self,
        fs: &FileSystem,
        attendant: &dyn Attendant,
        (now, pace): (Instant, &Pace),
        outcome: Result<ResyncCounts, Trouble>,
    ) {
        self.is_returning = false;
        let state = self.status(fs).map_or(self.state, |member| member.state);
        let (node, was) = (self.node, core::mem::replace(&mut self.state, state));
        self.is_complete = state == MemberState::InSync;
        let event = match (&outcome, state, was) {
            (Ok(counts), MemberState::InSync, MemberState::InSync) if counts.snapshots_copied > 0 => {
                Event::Completed { node, counts: *counts }
            }
            (_, MemberState::InSync, MemberState::InSync) => return,
            (Ok(counts), MemberState::InSync, _) => Event::Back { node, counts: *counts },
            (Err(trouble), MemberState::InSync, _) => Event::Counts { node, trouble },
            (outcome, state, _) => Event::Away { node, state, trouble: outcome.as_ref().err() },
        };
        attendant.tell(event);
        if state == MemberState::InSync {
            return;
        }
        if !fs.has_quorum() {
            // All changes wait for it.
            self.between_tries = pace.first_try;
        }
        self.next_try = now.after(self.between_tries);
        self.between_tries = (2 * self.between_tries).min(pace.most_between_tries);
    }
}

impl From<NoMemory> for Trouble {
    fn from(error: NoMemory) -> Self {
        Self::Resync(error.into())
    }
}
