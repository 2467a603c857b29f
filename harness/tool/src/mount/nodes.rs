//! Looking after a mount and the nodes of its cluster. Each change of a node is reported in one line that names the disk.

use std::cell::{Cell, RefCell};
use std::time::Duration;

use hammer2_core::cluster::vote::{Refusal, State};
use hammer2_core::cluster::{Ejection, MAX_NODES, MemberState, NodeFault, NodeIndex, OpError, ReturnError};
use hammer2_core::fs::{Attendant, Error, Event, Pace, Trouble};

use super::counters::add;
use super::durable::late_disks;
use super::server::Server;
use super::states::InWords;
use super::under_way::Begun;
use crate::admin::{Copied, Known, health_of};

/// How soon a node that left is looked at again for the first time; the time then doubles, up to a limit.
pub(super) const FIRST_TRY: Duration = Duration::from_secs(5);
pub(super) const MOST_BETWEEN_TRIES: Duration = Duration::from_secs(300);

/// Looks after the mount as long as it lives, and makes everything durable every now and then. Without `repairs` it only reports
/// the state of the nodes.
pub(super) async fn look_after(server: &Server, repairs: bool, sync_every: Option<Duration>) {
    let pace = Pace {
        looks: Duration::from_secs(1),
        first_try: FIRST_TRY,
        most_between_tries: MOST_BETWEEN_TRIES,
        sync_every,
    };
    let (missing, health) = (server.fs.missing_members(), health_of(&server.fs));
    for member in &missing {
        log::warn!("the cluster's {}", server.administration.images.about_missing(member.fsid, missing.len(), health));
    }
    let told = RefCell::new([const { None }; MAX_NODES]);
    let tries = [const { Cell::new(None) }; MAX_NODES];
    let (syncing, is_durable_told) = (Cell::default(), Cell::new(true));
    server.fs.keep(&Teller { server, repairs, told, tries, syncing, is_durable_told }, &pace).await;
}

/// Reports changes of the nodes.
struct Teller<'s> {
    server: &'s Server,
    /// False for a mount that changes nothing.
    repairs: bool,
    /// The last report of why each node could not be brought back.
    told: RefCell<[Option<String>; MAX_NODES]>,
    /// Attempts to bring nodes back; the mount doesn't end in the middle of one.
    tries: [Cell<Option<Begun<'s>>>; MAX_NODES],
    /// A sync; the mount doesn't end in the middle of one either.
    syncing: Cell<Option<Begun<'s>>>,
    /// False once it was reported that nothing can be made durable.
    is_durable_told: Cell<bool>,
}

impl Attendant for Teller<'_> {
    fn may_repair(&self) -> bool {
        self.repairs && !self.server.administration.busy.get()
    }

    fn trying(&self, node: NodeIndex, is_trying: bool) {
        let begun = is_trying.then(|| self.server.under_way.begin());
        drop(self.tries[usize::from(node.0)].replace(begun));
    }

    fn syncing(&self, is_syncing: bool) {
        self.syncing.set(is_syncing.then(|| self.server.under_way.begin()));
    }

    fn tell(&self, event: Event<'_>) {
        let counters = &self.server.counters;
        match event {
            // A mount that changes nothing needs no quorum.
            Event::QuorumLost | Event::QuorumBack if !self.repairs => {}
            Event::QuorumBack => log::info!("there is a quorum again: changes go on"),
            Event::QuorumLost => log::error!(
                "too few nodes are left: nothing is changed until enough are back; away: {}",
                self.server.administration.images.away(&self.server.fs).join(", ")
            ),
            // The nodes that left, or were taken over, were reported.
            Event::NotDurable { error: Error::NoQuorum { .. } } => {}
            Event::NotDurable { .. } if self.server.fs.fenced().is_some() => {}
            Event::NotDurable { error } => {
                self.is_durable_told.set(false);
                log::error!("{}nothing is made durable at the moment: {error}", late_disks(self.server, &error));
            }
            Event::DurableAgain if self.is_durable_told.replace(true) => {}
            Event::DurableAgain => log::info!("everything is made durable again"),
            Event::Repaired { node, blocks } => {
                log::warn!("{}: {blocks} bad blocks were written anew from the other nodes", self.called(node));
            }
            Event::Apart { node, state, from_the_beginning } => self.tell_of_absence(node, state, from_the_beginning),
            Event::Answers { .. } => {}
            Event::Back { node, counts } => {
                add(&counters.nodes_back, 1);
                log::info!("{} is in sync again: {}", self.called(node), Copied::from(counts));
                self.told.borrow_mut()[usize::from(node.0)] = None;
            }
            Event::Counts { node, trouble } => {
                add(&counters.nodes_back, 1);
                log::info!("{} follows the others again; {}", self.called(node), self.shown(trouble));
                self.told.borrow_mut()[usize::from(node.0)] = None;
            }
            Event::Completed { node, counts } => {
                log::info!("{} has what it lacked: {}", self.called(node), Copied::from(counts));
            }
            Event::Away { node, state, trouble } => {
                if let Some(Trouble::Return(ReturnError::Cluster(OpError::Refused(Refusal::Overtaken { .. })))) =
                    trouble
                {
                    self.server.is_overtaken.set(true);
                }
                let trouble = trouble.map_or_else(|| InWords(state).to_string(), |trouble| self.shown(trouble));
                let told = &mut self.told.borrow_mut()[usize::from(node.0)];
                if told.as_ref() != Some(&trouble) {
                    log::warn!("{} can't be brought back: {trouble}", self.called(node));
                    *told = Some(trouble);
                }
            }
        }
    }
}

impl Teller<'_> {
    /// What a node is called.
    fn called(&self, node: NodeIndex) -> String {
        self.server.administration.images.called(node)
    }

    fn tell_of_absence(&self, node: NodeIndex, state: MemberState, from_the_beginning: bool) {
        match state {
            MemberState::InSync | MemberState::Behind(_) => {}
            // An order removed it and reported that, or one under way makes it a member.
            MemberState::Aside(State::Outside) if !from_the_beginning || self.server.administration.busy.get() => {}
            // A take-over is reported once for all nodes.
            MemberState::Ejected(Ejection::Fault(NodeFault::Fenced { .. })) => {}
            MemberState::Aside(_) => {
                let place = self.server.administration.images.place();
                log::warn!("{} {}; see `hammer2 cluster status {place}`", self.called(node), InWords(state));
            }
            MemberState::Ejected(_) => {
                add(&self.server.counters.nodes_left, 1);
                log::warn!("{} {}", self.called(node), InWords(state));
            }
        }
    }

    fn shown(&self, trouble: &Trouble) -> String {
        match trouble {
            Trouble::Return(error) => {
                Known::of_mount(&self.server.administration.images, &self.server.fs).return_error(error)
            }
            other => other.to_string(),
        }
    }
}
