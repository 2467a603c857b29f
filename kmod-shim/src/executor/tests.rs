//! Tests of the executor on a machine without hardware.

use super::*;
use crate::budget::Budget;
use allocator_api2::alloc::Global;
use core::cell::RefCell;
use std::boxed::Box as StdBox;

/// A machine without devices: it counts its calls, and wakes the wakers left with it when it has to wait.
#[derive(Default)]
struct Paper {
    turns: Cell<u32>,
    breaths: Cell<u32>,
    waits: Cell<u32>,
    wake_at_wait: RefCell<std::vec::Vec<Waker>>,
}

impl Machine for Paper {
    fn turn(&self) {
        self.turns.set(self.turns.get() + 1);
    }

    fn breathe(&self) {
        self.breaths.set(self.breaths.get() + 1);
    }

    fn wait(&self, woken: &dyn Fn() -> bool) {
        assert!(!woken());
        let wakers = self.wake_at_wait.take();
        assert!(!wakers.is_empty(), "waits for ever");
        wakers.into_iter().for_each(Waker::wake);
        assert!(woken());
        self.waits.set(self.waits.get() + 1);
    }
}

/// Ready after the machine has waited once.
async fn interrupt(machine: &Paper) {
    let mut asked = false;
    core::future::poll_fn(|cx| {
        if core::mem::replace(&mut asked, true) {
            return Poll::Ready(());
        }
        machine.wake_at_wait.borrow_mut().push(cx.waker().clone());
        Poll::Pending
    })
    .await;
}

#[test]
fn tasks_run_beside_main_and_may_borrow() {
    let machine = Paper::default();
    let done = Cell::new(0);
    let executor = Executor::new(&Global).unwrap();
    for _ in 0..3 {
        executor
            .spawn(async {
                interrupt(&machine).await;
                interrupt(&machine).await;
                done.set(done.get() + 1);
            })
            .unwrap();
    }
    executor.block_on(&machine, interrupt(&machine));
    assert_eq!((done.get(), executor.tasks()), (0, 3));
    executor.block_on(&machine, interrupt(&machine));
    executor.block_on(&machine, interrupt(&machine));
    assert_eq!((done.get(), executor.tasks()), (3, 0));
    assert_eq!(machine.waits.get(), 3);
}

#[test]
fn a_task_can_spawn_and_its_place_is_used_again() {
    let machine = Paper::default();
    let executor = StdBox::leak(StdBox::new(Executor::new(&Global).unwrap()));
    let done: &'static Cell<u32> = StdBox::leak(StdBox::default());
    let shared: &'static Executor<'static> = executor;
    shared
        .spawn(async move {
            shared.spawn(async move { done.set(done.get() + 1) }).unwrap();
            done.set(done.get() + 1);
        })
        .unwrap();
    shared.block_on(&machine, interrupt(&machine));
    assert_eq!((done.get(), shared.tasks()), (2, 0));
    let places = shared.slots.borrow().len();
    shared.spawn(async {}).unwrap();
    assert_eq!(shared.slots.borrow().len(), places);
}

#[test]
fn a_future_that_wakes_itself_is_polled_again_without_a_wait_and_lets_the_machine_breathe() {
    let machine = Paper::default();
    let executor = Executor::new(&Global).unwrap();
    let mut polls = 0;
    executor.block_on(
        &machine,
        core::future::poll_fn(|cx| {
            polls += 1;
            cx.waker().wake_by_ref();
            if polls == 5 { Poll::Ready(()) } else { Poll::Pending }
        }),
    );
    assert_eq!((polls, machine.waits.get(), machine.turns.get(), machine.breaths.get()), (5, 0, 5, 4));
}

#[test]
fn wakers_outlive_their_task_and_all_memory_comes_back() {
    let budget: &'static Budget<Global> = StdBox::leak(StdBox::new(Budget::new(Global, 1 << 20)));
    let machine = Paper::default();
    let kept = RefCell::new(None);
    let executor = Executor::new(budget).unwrap();
    executor
        .spawn(core::future::poll_fn(|cx| {
            kept.replace(Some(cx.waker().clone()));
            Poll::Ready(())
        }))
        .unwrap();
    executor.spawn(core::future::pending()).unwrap();
    executor.block_on(&machine, interrupt(&machine));
    assert_eq!(executor.tasks(), 1);
    drop(executor);
    assert!(budget.used_bytes() > 0);
    let waker = kept.take().unwrap();
    waker.wake_by_ref();
    let copy = waker.clone();
    drop(waker);
    copy.wake();
    assert_eq!(budget.used_bytes(), 0);
}

#[test]
fn without_memory_there_is_no_task_and_no_leak() {
    let budget: &'static Budget<Global> = StdBox::leak(StdBox::new(Budget::new(Global, 1 << 20)));
    let executor = Executor::new(budget).unwrap();
    let before = budget.used_bytes();
    for allocation in 0..3 {
        budget.fail_at(budget.allocations() + allocation);
        assert_eq!(executor.spawn(async {}), Err(NoMemory));
        assert_eq!((budget.used_bytes(), executor.tasks()), (before, 0));
    }
    executor.spawn(async {}).unwrap();
}
