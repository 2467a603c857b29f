//! Who may be inside at the same time: any number that read, and one that changes something or keeps it from being changed.
//!
//! There are three ways in. Who *reads* finds what no operation is in the middle of. Who *changes* is alone. Who keeps things
//! *still* has nobody change anything, while readers come and go: a commit gathers what it is to make durable, a scrub compares.
//! A change begins still, too, and waits for the readers inside when it has its turn; so a reader never waits for anybody but a
//! change that is under way.
//!
//! What the nodes have stored changes also while things are still, when they are told what was only in memory. Who *copies*
//! what is stored is a reader that keeps that from happening, too.

use core::cell::Cell;

use crate::io::Wakers;
use crate::memory::Heap;

/// Readers, and one beside or instead of them.
pub(super) struct Gate {
    readers: Cell<u32>,
    copiers: Cell<u32>,
    turn: Cell<Turn>,
    /// Readers that are kept out.
    waiting_readers: Cell<u32>,
    /// Readers that were kept out by the last change, and come before the next.
    owed: Cell<u32>,
    /// Those that wait for their turn.
    waiting_turns: Cell<u32>,
    /// Turns that were taken.
    turns: Cell<u64>,
    changed: Wakers,
}

/// Whose turn it is, beside readers.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Turn {
    #[default]
    Nobodys,
    /// Readers come and go.
    Still,
    /// Those inside are waited for, and no others let in.
    Clearing,
    /// Nobody reads.
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

/// Counts a reader that waits, also when its future is dropped.
struct Waiting<'g>(&'g Gate);

/// The same for who waits for a turn.
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
        // Whoever finds nobody inside, but others who have waited, lets one of them go first.
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

    /// Has whoever has the turn alone, once nobody reads any more.
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
    /// Lets readers in while something is done that changes nothing, before the change has begun.
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
