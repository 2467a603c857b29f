//! The books of a disk: the requests that are with the device, and completions that their owners haven't seen yet.
//!
//! For a task that needs a ticket, only requests that the device hasn't completed hold one: before a task waits for a ticket,
//! every completion is taken from the device (see `Disk::harvest`) and kept here, and its ticket is free. So requests that were
//! started ahead and forgotten block nobody, however many there are.
//!
//! The books have twice as many places as the device has tickets. Requests that a task waits for may use any of them and leave
//! them soon, because their owners are woken. Requests that nobody waits for leave as many places free as there are tickets, or
//! enlarge the books; without memory for that they aren't started. So a place is always found, too.

use core::convert::identity;
use core::task::Waker;

use crate::io::{Begin, Completion, Instant, Operation, Request, Ticket};
use crate::memory::{self, Heap, NoMemory, Vec};

/// Names a request from its start until its owner has seen its end or given it up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RequestId(u32);

/// The effect that a request may have on the content of the device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Impact {
    /// A read.
    Nothing,
    /// A discard: it may throw away what is later written to its place, but nobody relies on it.
    Hint,
    /// A heartbeat: the next one shows whether it is there.
    Heartbeat,
    /// A write, zeros or a flush: what was written depends on its end.
    Content,
}

impl Impact {
    pub(super) fn of(request: &Request) -> Self {
        match (request.operation, request.begin) {
            (Operation::Read(_), _) => Self::Nothing,
            (Operation::Discard { .. }, _) => Self::Hint,
            (Operation::Write(_), Begin::Before(_)) => Self::Heartbeat,
            (Operation::Write(_) | Operation::Zero { .. } | Operation::Flush, _) => Self::Content,
        }
    }
}

/// A request that was started.
pub(super) enum Stage {
    /// The device has it.
    UnderWay {
        ticket: Ticket,
        deadline: Instant,
        impact: Impact,
        /// The waker of a task that waits for it, if there is one.
        owner: Option<Waker>,
    },
    /// The device has completed it, and its owner doesn't know yet.
    Complete { completion: Completion, impact: Impact },
}

/// What holds a ticket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Holder {
    Nobody,
    Request(RequestId),
    /// The request was given up; the device still has it.
    GivenUp(Impact),
}

/// All requests of a disk.
pub(super) struct Requests {
    stages: Vec<Option<Stage>>,
    free: Vec<u32>,
    tickets: Vec<Holder>,
    /// The number of tickets in use.
    used: u16,
    /// The number of requests that the device has, that were given up, and that aren't just reads.
    owed: u16,
    /// The number of requests that the device has completed.
    completed: u64,
}

impl Requests {
    /// Makes books without requests, for `depth` tickets.
    pub(super) fn new(heap: Heap, depth: usize) -> Result<Self, NoMemory> {
        let places = 2 * depth;
        Ok(Self {
            stages: memory::filled(heap, places, || None)?,
            free: memory::free_places(heap, places, identity)?,
            tickets: memory::filled(heap, depth, || Holder::Nobody)?,
            used: 0,
            owed: 0,
            completed: 0,
        })
    }

    /// The number of tickets.
    pub(super) fn depth(&self) -> u16 {
        self.tickets.len() as u16
    }

    /// Makes sure that a request nobody waits for leaves room for those that tasks wait for.
    pub(super) fn reserve_ahead(&mut self) -> Result<(), NoMemory> {
        if self.free.len() > self.tickets.len() {
            return Ok(());
        }
        // The list of free places must be able to take every place back.
        self.free.try_reserve(self.stages.len() + 1 - self.free.len()).map_err(|_| NoMemory)?;
        self.stages.try_reserve(1).map_err(|_| NoMemory)?;
        self.free.push(self.stages.len() as u32);
        self.stages.push(None);
        Ok(())
    }

    /// True when a request could be entered now.
    pub(super) fn has_room(&self) -> bool {
        !self.free.is_empty() && usize::from(self.used) < self.tickets.len()
    }

    /// Enters a request, if there is a place and a ticket for it.
    pub(super) fn enter(&mut self, deadline: Instant, impact: Impact) -> Option<(RequestId, Ticket)> {
        let ticket = self.tickets.iter().position(|holder| *holder == Holder::Nobody)?;
        let place = self.free.pop()?;
        self.used += 1;
        let (id, ticket) = (RequestId(place), Ticket(ticket as u16));
        self.tickets[usize::from(ticket.0)] = Holder::Request(id);
        self.stages[place as usize] = Some(Stage::UnderWay { ticket, deadline, impact, owner: None });
        Some((id, ticket))
    }

    /// The state of a request; none for one whose end was seen.
    pub(super) fn stage(&mut self, id: RequestId) -> Option<&mut Stage> {
        self.stages.get_mut(id.0 as usize)?.as_mut()
    }

    /// What holds a ticket.
    pub(super) fn holder(&self, ticket: Ticket) -> Holder {
        self.tickets[usize::from(ticket.0)]
    }

    /// Notes that the device has completed the request of a ticket, which becomes free. Returns the waker of the task that waits
    /// for the request.
    pub(super) fn complete(&mut self, ticket: Ticket, completion: Completion) -> Option<Waker> {
        let holder = core::mem::replace(&mut self.tickets[usize::from(ticket.0)], Holder::Nobody);
        self.used -= u16::from(holder != Holder::Nobody);
        self.completed += 1;
        let id = match holder {
            Holder::Request(id) => id,
            Holder::GivenUp(impact) => {
                self.owed -= u16::from(impact != Impact::Nothing);
                return None;
            }
            Holder::Nobody => return None,
        };
        let stage = self.stages[id.0 as usize].as_mut()?;
        let Stage::UnderWay { impact, owner, .. } = stage else { return None };
        let (impact, owner) = (*impact, owner.take());
        *stage = Stage::Complete { completion, impact };
        owner
    }

    /// Removes a request, and returns its state.
    pub(super) fn remove(&mut self, id: RequestId) -> Option<Stage> {
        let stage = self.stages.get_mut(id.0 as usize)?.take()?;
        // There is room for all places.
        self.free.push(id.0);
        if let Stage::UnderWay { ticket, impact, .. } = stage {
            self.tickets[usize::from(ticket.0)] = Holder::GivenUp(impact);
            self.owed += u16::from(impact != Impact::Nothing);
        }
        Some(stage)
    }

    /// The number of requests that the device has completed so far.
    pub(super) fn completed(&self) -> u64 {
        self.completed
    }

    /// The number of requests that the device has, including those that were given up.
    pub(super) fn under_way(&self) -> u16 {
        self.used
    }

    /// The earliest deadline of the requests that the device has and that weren't given up.
    pub(super) fn oldest_deadline(&self) -> Option<Instant> {
        let deadline = |stage: &Stage| match stage {
            Stage::UnderWay { deadline, .. } => Some(*deadline),
            Stage::Complete { .. } => None,
        };
        self.stages.iter().flatten().filter_map(deadline).min()
    }

    /// True when the device still has a request that was given up and isn't just a read.
    pub(super) fn owes_changes(&self) -> bool {
        self.owed > 0
    }
}
