//! The nodes of a mounted cluster: those that leave are told of, looked at again, and brought back.
//!
//! A node that left is looked at again after a while, and later and later when that doesn't help: its disk may be gone for good,
//! and resetting a device that hangs takes its time. A node that is behind is brought in step at once, beside others; one that is
//! in step is given the snapshots it lacks.

use core::future::poll_fn;
use core::task::Poll;

use super::super::{Error, FileSystem};
use crate::cluster::resync::ResyncCounts;
use crate::cluster::{Debt, MAX_NODES, MemberState, MemberStatus, NodeIndex, ReturnError, Together};
use crate::io::{Duration, Instant};
use crate::memory::NoMemory;

/// How often something is looked at.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// How soon it is told that a node left.
    pub looks: Duration,
    /// When a node that left is looked at again, the first time; and then after twice as long, again and again.
    pub first_try: Duration,
    /// But not after more than this.
    pub most_between_tries: Duration,
    /// How often everything is made durable, unasked; never if none.
    pub sync_every: Option<Duration>,
}

/// Who is told what is done, and what comes of it.
pub trait Attendant {
    /// False while nothing is to be done to nodes: somebody else does, or nothing may be changed. They are looked at all the
    /// same.
    fn may_repair(&self) -> bool;

    /// It is begun, or ended, to bring a node back or to give it what it lacks.
    fn trying(&self, node: NodeIndex, is_trying: bool);

    /// It is begun, or ended, to make everything durable.
    fn syncing(&self, is_syncing: bool);

    /// Something has happened.
    fn tell(&self, event: Event<'_>);
}

/// What happens to a mount by itself.
#[derive(Clone, Copy, Debug)]
pub enum Event<'e> {
    /// Too few are left: nothing can be changed.
    QuorumLost,
    /// Enough are back.
    QuorumBack,
    /// Nothing is made durable at the moment: that was tried, and is tried again.
    NotDurable {
        /// Why.
        error: Error,
    },
    /// Everything is made durable again.
    DurableAgain,
    /// Bad blocks of a node were written anew from the others.
    Repaired {
        /// The node.
        node: NodeIndex,
        /// How many.
        blocks: u64,
    },
    /// A node isn't in step any more.
    Apart {
        /// The node.
        node: NodeIndex,
        /// How it is now.
        state: MemberState,
        /// It was like that when it was looked at for the first time.
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
        /// What was done for that.
        counts: ResyncCounts,
    },
    /// A node counts again, but too few are there still.
    Counts {
        /// The node.
        node: NodeIndex,
        /// What is missing yet.
        trouble: &'e Trouble,
    },
    /// A node in step was given what it lacked.
    Completed {
        /// The node.
        node: NodeIndex,
        /// What was done for that.
        counts: ResyncCounts,
    },
    /// A node can't be brought back for now.
    Away {
        /// The node.
        node: NodeIndex,
        /// How it is.
        state: MemberState,
        /// Why, if that doesn't say it.
        trouble: Option<&'e Trouble>,
    },
}

/// Why a node can't be brought back.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
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
    /// It is in step, and it was seen to that it has the snapshots, too.
    is_complete: bool,
    /// It was looked at before.
    is_known: bool,
    /// Blocks repaired on it, as it was told.
    repaired_blocks: u64,
    is_returning: bool,
    next_try: Instant,
    between_tries: Duration,
}

impl FileSystem {
    /// Looks after the nodes of a cluster, for as long as it is polled; ends at once for what isn't one.
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
                    // For want of memory, the next look tries again.
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

    /// Brings a node in step, as far as that can be done now: one that left is looked at again first. One that is in step is
    /// given the snapshots it lacks.
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
            // Who isn't in step at the beginning is told of like one that leaves.
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

    /// Tells of a node that left, or wasn't in step from the beginning, and of what was repaired on it.
    fn notice(&mut self, fs: &FileSystem, attendant: &dyn Attendant, (now, pace): (Instant, &Pace)) {
        let Some(MemberStatus { state, repaired_blocks, .. }) = self.status(fs) else { return };
        let node = self.node;
        let blocks = repaired_blocks.saturating_sub(core::mem::replace(&mut self.repaired_blocks, repaired_blocks));
        if blocks > 0 {
            attendant.tell(Event::Repaired { node, blocks });
        }
        // Whoever brings it back tells how that ended.
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

    /// It was brought in step, or not.
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
            // Everybody waits for it.
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
