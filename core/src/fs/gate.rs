//! The gate of a mount: any number of readers may be inside at the same time, and one task that changes something or prevents
//! changes.
//!
//! There are three ways in. A task that *reads* never sees an operation half done. A task that *changes* things is alone. A task
//! that keeps things *still* prevents changes while readers come and go: a commit does so to gather what it will make durable, a
//! scrub to compare. A change begins still, too, and waits for the readers inside when it has its turn; so a reader never waits
//! except for a change that is under way.
//!
//! What the nodes have stored also changes while things are still, when they are sent what was only in memory. A task that
//! *copies* what is stored is a reader that prevents this, too.

use core::cell::Cell;

use crate::io::Wakers;
use crate::memory::Heap;

/// Lets in readers, and one other task beside or instead of them.
pub(super) struct Gate {
    readers: Cell<u32>,
    copiers: Cell<u32>,
    turn: Cell<Turn>,
    /// Readers that are kept out.
    waiting_readers: Cell<u32>,
    /// Readers that the last change kept out, and that come before the next.
    owed: Cell<u32>,
    /// Tasks that wait for their turn.
    waiting_turns: Cell<u32>,
    /// The number of turns taken.
    turns: Cell<u64>,
    changed: Wakers,
}

/// The turn that is taken, beside readers.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Turn {
    #[default]
    Nobodys,
    /// Readers come and go.
    Still,
    /// The readers inside are waited for, and no others are let in.
    Clearing,
    /// There are no readers.
    Changing,
}

/// Lets its holder read.
pub(super) struct Reading<'g>(&'g Gate);

/// Lets its holder read what is stored.
pub(super) struct Copying<'g>(&'g Gate);

/// Keeps everything as it is, for its holder and for readers.
pub(super) struct Still<'g>(&'g Gate);

/// Lets its holder change things.
pub(super) struct Changing<'g>(Still<'g>);

/// Counts a waiting reader, also when its future is dropped.
struct Waiting<'g>(&'g Gate);

/// Counts a task that waits for a turn, also when its future is dropped.
struct WaitingTurn<'g>(&'g Gate);

impl Gate {
    pub(super) fn new(heap: Heap) -> Self {
        Self {
            readers: Cell::new(0),
            copiers: Cell::new(0),
            turn: Cell::default(),
            waiting_readers: Cell::new(0),
            owed: Cell::new(0),
            waiting_turns: Cell::new(0),
            turns: Cell::new(0),
            changed: Wakers::new(heap),
        }
    }

    pub(super) async fn read(&self) -> Reading<'_> {
        if !self.lets_readers_in() {
            self.waiting_readers.set(self.waiting_readers.get() + 1);
            let _waiting = Waiting(self);
            self.changed.until(|| self.lets_readers_in()).await;
        }
        self.readers.set(self.readers.get() + 1);
        Reading(self)
    }

    pub(super) async fn copy(&self) -> Copying<'_> {
        let _turn = self.take_turn().await;
        self.copiers.set(self.copiers.get() + 1);
        Copying(self)
    }

    pub(super) async fn still(&self) -> Still<'_> {
        let turn = self.take_turn().await;
        self.changed.until(|| self.copiers.get() == 0).await;
        turn
    }

    async fn take_turn(&self) -> Still<'_> {
        self.waiting_turns.set(self.waiting_turns.get() + 1);
        let waiting = WaitingTurn(self);
        // A task that finds the gate free while others wait lets one of them go first.
        let steps_back = self.turn.get() == Turn::Nobodys;
        let before = self.turns.get();
        let may_go = || !steps_back || self.waiting_turns.get() == 1 || self.turns.get() != before;
        self.changed.until(|| self.turn.get() == Turn::Nobodys && may_go()).await;
        self.turn.set(Turn::Still);
        self.turns.set(self.turns.get() + 1);
        drop(waiting);
        Still(self)
    }

    pub(super) async fn change(&self) -> Changing<'_> {
        let still = self.still().await;
        self.clear().await;
        Changing(still)
    }

    fn lets_readers_in(&self) -> bool {
        match self.turn.get() {
            Turn::Nobodys | Turn::Still => true,
            Turn::Clearing => self.owed.get() > 0,
            Turn::Changing => false,
        }
    }

    /// Waits until nobody reads any more; then the holder of the turn is alone.
    async fn clear(&self) {
        self.turn.set(Turn::Clearing);
        self.changed.until(|| self.readers.get() == 0 && self.owed.get() == 0).await;
        self.turn.set(Turn::Changing);
    }

    fn set_turn(&self, turn: Turn) {
        self.turn.set(turn);
        self.changed.wake_all();
    }
}

impl Changing<'_> {
    /// Lets readers in during work that changes nothing, before the change has begun.
    pub(super) async fn still<T>(&mut self, work: impl Future<Output = T>) -> T {
        let gate = self.0.0;
        gate.owed.set(gate.waiting_readers.get());
        gate.set_turn(Turn::Still);
        let done = work.await;
        gate.clear().await;
        done
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let Self(gate) = self;
        gate.waiting_readers.set(gate.waiting_readers.get() - 1);
        gate.owed.set(gate.owed.get().saturating_sub(1));
        gate.changed.wake_all();
    }
}

impl Drop for WaitingTurn<'_> {
    fn drop(&mut self) {
        self.0.waiting_turns.set(self.0.waiting_turns.get() - 1);
        self.0.changed.wake_all();
    }
}

impl Drop for Reading<'_> {
    fn drop(&mut self) {
        self.0.readers.set(self.0.readers.get() - 1);
        self.0.changed.wake_all();
    }
}

impl Drop for Copying<'_> {
    fn drop(&mut self) {
        self.0.copiers.set(self.0.copiers.get() - 1);
        self.0.changed.wake_all();
    }
}

impl Drop for Still<'_> {
    fn drop(&mut self) {
        let Self(gate) = self;
        if gate.turn.get() != Turn::Still {
            gate.owed.set(gate.waiting_readers.get());
        }
        gate.set_turn(Turn::Nobodys);
    }
}
