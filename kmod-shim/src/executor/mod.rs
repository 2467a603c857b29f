//! Runs futures on one CPU, driven by interrupts.
//!
//! The core contains no executor; its host polls it. This executor keeps its tasks in a [`Heap`], polls those that were woken,
//! lets the kernel work once per turn (ring doorbells, collect completions, ring alarms), and makes the kernel wait when nothing
//! is left to do.

mod waker;

use core::cell::{Cell, RefCell};
use core::future::Future;
use core::pin::{Pin, pin};
use core::task::{Context, Poll, Waker};

use allocator_api2::unsize_box;
use hammer2_core::memory::{self, Box, Heap, NoMemory, Vec};

use waker::Flag;

/// What a kernel does for an executor.
pub trait Machine {
    /// Called once per turn, after all woken tasks were polled: submits the requests they have made, and wakes tasks whose
    /// requests or alarms are complete.
    fn turn(&self);

    /// Called once per turn when tasks are woken: a machine that runs this for others, too, can let them in here.
    fn breathe(&self) {}

    /// Called when no task is woken: waits until an interrupt may have changed that, and returns. A kernel whose interrupt
    /// handlers wake tasks themselves disables interrupts, calls `woken` once more, and only then waits.
    fn wait(&self, woken: &dyn Fn() -> bool);
}

struct Task<'t> {
    flag: Flag,
    waker: Waker,
    future: Pin<Box<dyn Future<Output = ()> + 't>>,
}

/// A place in the executor's table.
enum Slot<'t> {
    Free,
    Waiting(Task<'t>),
    /// The task is being polled and is not in the table.
    Running,
}

/// An executor whose tasks may borrow for `'t`. Dropping it drops them.
pub struct Executor<'t> {
    heap: Heap,
    slots: RefCell<Vec<Slot<'t>>>,
    main: Flag,
    main_waker: Waker,
    running: Cell<bool>,
}

impl<'t> Executor<'t> {
    /// Makes an executor without tasks.
    pub fn new(heap: Heap) -> Result<Self, NoMemory> {
        let main = Flag::new(heap)?;
        let main_waker = main.waker();
        Ok(Self { heap, slots: RefCell::new(Vec::new_in(heap)), main, main_waker, running: Cell::new(false) })
    }

    /// Adds a task. If memory runs out, no task is added, and nothing has changed.
    pub fn spawn(&self, future: impl Future<Output = ()> + 't) -> Result<(), NoMemory> {
        let boxed = memory::boxed(self.heap, future)?;
        let flag = Flag::new(self.heap)?;
        let task = Task { waker: flag.waker(), flag, future: Box::into_pin(unsize_box!(boxed)) };
        let mut slots = self.slots.borrow_mut();
        match slots.iter_mut().find(|slot| matches!(slot, Slot::Free)) {
            Some(slot) => *slot = Slot::Waiting(task),
            None => memory::push(&mut slots, Slot::Waiting(task))?,
        }
        Ok(())
    }

    /// The number of tasks that aren't done.
    pub fn tasks(&self) -> usize {
        self.slots.borrow().iter().filter(|slot| !matches!(slot, Slot::Free)).count()
    }

    /// Runs all tasks until `main` is done; remaining tasks wait for the next call. A task must not call this.
    pub fn block_on<F: Future>(&self, machine: &impl Machine, main: F) -> F::Output {
        assert!(!self.running.replace(true), "block_on inside a task of the same executor");
        let mut main = pin!(main);
        self.main_waker.wake_by_ref();
        let output = loop {
            if self.main.take()
                && let Poll::Ready(output) = main.as_mut().poll(&mut Context::from_waker(&self.main_waker))
            {
                break output;
            }
            self.poll_woken();
            machine.turn();
            match self.any_woken() {
                true => machine.breathe(),
                false => machine.wait(&|| self.any_woken()),
            }
        };
        machine.turn();
        self.running.set(false);
        output
    }

    fn any_woken(&self) -> bool {
        let slots = self.slots.borrow();
        self.main.is_set() || slots.iter().any(|slot| matches!(slot, Slot::Waiting(task) if task.flag.is_set()))
    }

    fn poll_woken(&self) {
        let count = self.slots.borrow().len();
        for index in 0..count {
            let Some(mut task) = self.take_woken(index) else { continue };
            let done = task.future.as_mut().poll(&mut Context::from_waker(&task.waker)).is_ready();
            // A done task is dropped before its place is free, and while the table isn't borrowed: its future's
            // destructor may spawn.
            let next = if done {
                drop(task);
                Slot::Free
            } else {
                Slot::Waiting(task)
            };
            self.slots.borrow_mut()[index] = next;
        }
    }

    /// Takes a woken task out of the table, so that the table isn't borrowed while it runs.
    fn take_woken(&self, index: usize) -> Option<Task<'t>> {
        let slot = &mut self.slots.borrow_mut()[index];
        match slot {
            Slot::Waiting(task) if task.flag.take() => match core::mem::replace(slot, Slot::Running) {
                Slot::Waiting(task) => Some(task),
                Slot::Free | Slot::Running => None,
            },
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests;
