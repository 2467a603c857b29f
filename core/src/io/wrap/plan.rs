//! The plan of faults: what goes wrong, where, and how often. It can be changed while the device is in use.

use core::cell::{Cell, RefCell};
use core::ops::Range;

use bitflags::bitflags;

use crate::io::{DeviceError, Operation, Wakers};
use crate::memory::{self, Heap, NoMemory, Vec};

bitflags! {
    /// Kinds of operations.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct Operations: u8 {
        /// Reads.
        const READ = 1;
        /// Writes.
        const WRITE = 2;
        /// Flushes.
        const FLUSH = 4;
        /// Discards.
        const DISCARD = 8;
        /// Resets of the device.
        const RESET = 16;
        /// Requests for zeros.
        const ZERO = 32;
    }
}

impl From<Operation> for Operations {
    fn from(operation: Operation) -> Self {
        match operation {
            Operation::Read(_) => Self::READ,
            Operation::Write(_) => Self::WRITE,
            Operation::Flush => Self::FLUSH,
            Operation::Zero { .. } => Self::ZERO,
            Operation::Discard { .. } => Self::DISCARD,
        }
    }
}

/// What a fault does to a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// The request fails; nothing reaches the device.
    Fail(DeviceError),
    /// The request succeeds, but these bits of the first byte that lies both in the request and in the fault's range are flipped
    /// on the way, to the reader or to the medium.
    Corrupt {
        /// The bits.
        mask: u8,
    },
    /// The request doesn't complete until the plan [releases](FaultPlan::release) it, and reaches the device only then. A reset
    /// that isn't itself struck ends it.
    Hang,
    /// Only the first bytes of a write reach the device.
    Torn {
        /// How many bytes, rounded down to whole sectors of 512.
        kept_bytes: u64,
        /// The result reported to the writer.
        report: Result<(), DeviceError>,
    },
    /// A write, a request for zeros, a flush or a discard is said to be done, but never reaches the device.
    Lost,
}

impl Effect {
    /// The operations it can strike; others pass.
    fn operations(self) -> Operations {
        match self {
            Effect::Fail(_) | Effect::Hang => Operations::all(),
            Effect::Corrupt { .. } => Operations::READ | Operations::WRITE,
            Effect::Torn { .. } => Operations::WRITE,
            Effect::Lost => Operations::WRITE | Operations::ZERO | Operations::FLUSH | Operations::DISCARD,
        }
    }
}

/// A thing that goes wrong. `Fault { skip: 2, times: 1, ..Fault::always(..) }` strikes only the third request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The kinds of requests it strikes.
    pub operations: Operations,
    /// The part of the device where it strikes requests. Flushes and resets touch every part.
    pub extent: Range<u64>,
    /// How many such requests pass before it strikes.
    pub skip: u64,
    /// How many requests it strikes after that.
    pub times: u64,
    /// What it does to them.
    pub effect: Effect,
}

impl Fault {
    /// A fault that strikes every one of these operations, anywhere on the device.
    pub fn always(operations: Operations, effect: Effect) -> Self {
        Self { operations, extent: 0..u64::MAX, skip: 0, times: u64::MAX, effect }
    }

    /// A fault that strikes the next of these operations only.
    pub fn once(operations: Operations, effect: Effect) -> Self {
        Self { times: 1, ..Self::always(operations, effect) }
    }

    /// The same fault, on a part of the device.
    #[must_use]
    pub fn within(self, extent: Range<u64>) -> Self {
        Self { extent, ..self }
    }

    fn concerns(&self, kind: Operations, extent: &Range<u64>) -> bool {
        let everywhere = kind.intersects(Operations::FLUSH | Operations::RESET);
        let touches = extent.start < self.extent.end && self.extent.start < extent.end;
        (self.operations & self.effect.operations()).intersects(kind) && (everywhere || touches)
    }
}

/// Names a fault of a plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FaultId(u64);

#[derive(Debug)]
struct Planned {
    id: FaultId,
    fault: Fault,
}

/// The faults of one or more [`Faulty`](super::Faulty) devices.
///
/// The faults are tried on a request in the order in which they were added; only the first that strikes has an effect, and later
/// ones don't count the request.
pub struct FaultPlan {
    faults: RefCell<Vec<Planned>>,
    added: Cell<u64>,
    struck: Cell<u64>,
    releases: Cell<u64>,
    pub(super) released: Wakers,
}

impl FaultPlan {
    /// A plan without faults.
    pub fn new(heap: Heap) -> Self {
        Self {
            faults: RefCell::new(Vec::new_in(heap)),
            added: Cell::new(0),
            struck: Cell::new(0),
            releases: Cell::new(0),
            released: Wakers::new(heap),
        }
    }

    /// Adds a fault, for requests from now on.
    pub fn add(&self, fault: Fault) -> Result<FaultId, NoMemory> {
        let id = FaultId(self.added.get());
        memory::push(&mut self.faults.borrow_mut(), Planned { id, fault })?;
        self.added.set(id.0 + 1);
        Ok(id)
    }

    /// Removes a fault. Requests that already hang continue to hang.
    pub fn remove(&self, id: FaultId) {
        self.faults.borrow_mut().retain(|planned| planned.id != id);
    }

    /// Removes all faults.
    pub fn clear(&self) {
        self.faults.borrow_mut().clear();
    }

    /// Releases all requests that hang now; they go on to their devices when those are next called.
    pub fn release(&self) {
        self.releases.set(self.releases.get() + 1);
        self.released.wake_all();
    }

    /// How many requests were struck so far.
    pub fn struck(&self) -> u64 {
        self.struck.get()
    }

    /// How often requests were released; a request that hung before the last release no longer hangs.
    pub(super) fn releases(&self) -> u64 {
        self.releases.get()
    }

    /// The effect on one request, and the fault's part of the device.
    pub(super) fn strike(&self, kind: Operations, extent: &Range<u64>) -> Option<(Effect, Range<u64>)> {
        for Planned { fault, .. } in self.faults.borrow_mut().iter_mut() {
            if fault.times == 0 || !fault.concerns(kind, extent) {
                continue;
            }
            if fault.skip > 0 {
                fault.skip -= 1;
                continue;
            }
            if fault.times != u64::MAX {
                fault.times -= 1;
            }
            self.struck.set(self.struck.get() + 1);
            return Some((fault.effect, fault.extent.clone()));
        }
        None
    }
}
