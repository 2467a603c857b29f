//! Tests of deadlines, and that no order of requests keeps all tickets taken for ever.

extern crate std;

use core::pin::{Pin, pin};
use std::boxed::Box;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Wake;
use std::vec::Vec as StdVec;

use super::*;
use crate::io::testing::{self, HEAP, Still};
use crate::io::wrap::{Effect, Fault, FaultPlan, Faulty, Operations};
use crate::io::{DeviceName, boxed_device};
use crate::memory::{self, Vec};
use crate::random::Random;

/// A clock that is set by hand.
struct Manual(Cell<u64>);

impl Clock for Manual {
    fn now(&self) -> Instant {
        Instant { nanoseconds: self.0.get() }
    }

    fn wake_at(&self, _: Instant, _: &Waker) {}
}

fn leaked<T>(value: T) -> &'static T {
    Box::leak(Box::new(value))
}

/// A disk whose device follows the plan, and its clock.
fn faulty_disk(plan: &'static FaultPlan) -> (Disk, &'static Manual) {
    let clock = leaked(Manual(Cell::new(0)));
    let medium = leaked(testing::memory_disk(1 << 20));
    let device = boxed_device(HEAP, Faulty::new(HEAP, testing::memory_device(medium), plan).unwrap()).unwrap();
    (Disk::new(HEAP, device, clock, DiskOptions::default()).unwrap(), clock)
}

fn buffer() -> Buffer {
    Buffer::new(HEAP, 512).unwrap()
}

#[test]
fn a_hung_request_times_out_and_its_ticket_comes_back() {
    let plan = leaked(FaultPlan::new(HEAP));
    let (disk, clock) = faulty_disk(plan);
    let mut cx = Context::from_waker(Waker::noop());
    let read = || disk.read(DeviceOffset(0), buffer());
    let depth = disk.info().queue_depth;
    plan.add(Fault { times: u64::from(depth), ..Fault::always(Operations::READ, Effect::Hang) }).unwrap();
    for _ in 0..depth {
        let mut hung = pin!(read());
        assert!(hung.as_mut().poll(&mut cx).is_pending());
        clock.0.set(clock.0.get() + 5_000_000_000);
        assert!(matches!(hung.poll(&mut cx), Poll::Ready(Err(DeviceError::Timeout))));
    }
    assert_eq!(disk.in_flight(), depth, "the device still owns them");
    let mut late = pin!(read());
    assert!(late.as_mut().poll(&mut cx).is_pending());
    plan.release();
    assert!(matches!(late.poll(&mut cx), Poll::Ready(Ok(_))), "this poll frees the tickets");
    assert_eq!(disk.in_flight(), 0);
}

#[test]
fn a_device_that_slept_with_its_host_is_given_a_moment() {
    let plan = leaked(FaultPlan::new(HEAP));
    let (disk, clock) = faulty_disk(plan);
    let mut cx = Context::from_waker(Waker::noop());
    for answers in [true, false] {
        plan.add(Fault::once(Operations::READ, Effect::Hang)).unwrap();
        let mut hung = pin!(disk.read(DeviceOffset(0), buffer()));
        assert!(hung.as_mut().poll(&mut cx).is_pending());
        clock.0.set(clock.0.get() + 60_000_000_000);
        assert!(hung.as_mut().poll(&mut cx).is_pending(), "nobody was there to hear the device");
        assert!(!disk.is_late());
        if answers {
            plan.release();
            assert!(matches!(hung.poll(&mut cx), Poll::Ready(Ok(_))));
        } else {
            clock.0.set(clock.0.get() + GRACE.as_nanos() as u64);
            assert!(disk.is_late());
            assert!(matches!(hung.poll(&mut cx), Poll::Ready(Err(DeviceError::Timeout))));
        }
    }
}

#[test]
fn changes_that_were_given_up_are_known_until_they_end() {
    let plan = leaked(FaultPlan::new(HEAP));
    let (disk, _) = faulty_disk(plan);
    let mut cx = Context::from_waker(Waker::noop());
    let mut give_up = |operations| {
        plan.add(Fault::once(operations, Effect::Hang)).unwrap();
        let mut change = pin!(async {
            match operations {
                Operations::READ => disk.read(DeviceOffset(0), buffer()).await.map(drop),
                Operations::DISCARD => disk.discard(DeviceOffset(0), 512).await,
                _ => disk.write(DeviceOffset(0), buffer()).await.map(drop),
            }
        });
        assert!(change.as_mut().poll(&mut cx).is_pending());
    };
    give_up(Operations::READ);
    assert_eq!(disk.poll_quiet(), Poll::Ready(Ok(())), "a read changes nothing");
    for operations in [Operations::WRITE, Operations::DISCARD] {
        give_up(operations);
        assert!(disk.poll_quiet().is_pending());
        plan.release();
        assert_eq!(disk.poll_quiet(), Poll::Ready(Ok(())));
    }
    let failing = plan.add(Fault::always(Operations::all(), Effect::Fail(DeviceError::Io(5)))).unwrap();
    let flush = Request::new(Operation::Flush, buffer());
    disk.abandon(disk.start_ahead(&mut Some(flush)).expect("a ticket is free"));
    assert_eq!(disk.poll_quiet(), Poll::Ready(Err(DeviceError::Io(5))), "nobody else would hear of it");
    plan.remove(failing);
    assert!(matches!(pin!(disk.reset()).poll(&mut cx), Poll::Ready(Ok(()))));
    assert_eq!(disk.poll_quiet(), Poll::Ready(Ok(())));
}

#[test]
fn changes_wait_for_permission_and_a_heartbeat_only_for_a_device_that_is_in_time() {
    let plan = leaked(FaultPlan::new(HEAP));
    let (disk, clock) = faulty_disk(plan);
    let mut cx = Context::from_waker(Waker::noop());
    let second = Duration::from_secs(1);
    disk.set_permission(Permission::Until(disk.now()));
    let mut change = pin!(disk.write(DeviceOffset(0), buffer()));
    assert!(change.as_mut().poll(&mut cx).is_pending());
    let mut beat = pin!(disk.write_before(disk.now().after(second), DeviceOffset(0), buffer()));
    assert!(matches!(beat.as_mut().poll(&mut cx), Poll::Ready(Ok(_))));
    let mut late = pin!(disk.write_before(disk.now(), DeviceOffset(0), buffer()));
    assert!(matches!(late.as_mut().poll(&mut cx), Poll::Ready(Err(DeviceError::Timeout))));
    disk.set_permission(Permission::Until(disk.now().after(second)));
    assert!(matches!(change.as_mut().poll(&mut cx), Poll::Ready(Ok(_))));
    clock.0.set(clock.0.get() + 2_000_000_000);
    let mut change = pin!(disk.write(DeviceOffset(0), buffer()));
    assert!(change.as_mut().poll(&mut cx).is_pending());
    disk.set_permission(Permission::Never);
    assert!(matches!(change.as_mut().poll(&mut cx), Poll::Ready(Err(DeviceError::Fenced))));
}

#[test]
fn a_heartbeat_that_failed_loses_nothing() {
    let plan = leaked(FaultPlan::new(HEAP));
    let (disk, _) = faulty_disk(plan);
    plan.add(Fault::once(Operations::WRITE, Effect::Fail(DeviceError::Timeout))).unwrap();
    let begin = Begin::Before(disk.deadline());
    let beat = Request { begin, ..Request::new(Operation::Write(DeviceOffset(0)), buffer()) };
    disk.abandon(disk.start_ahead(&mut Some(beat)).expect("a ticket is free"));
    assert_eq!(disk.poll_quiet(), Poll::Ready(Ok(())));
}

/// A device that completes its requests in any order, each when the test says so, and keeps the waker of the last poll.
struct Shuffled {
    info: DeviceInfo,
    held: RefCell<StdVec<Option<Held>>>,
}

struct Held {
    buffer: Option<Buffer>,
    is_done: bool,
    waker: Option<Waker>,
}

impl Shuffled {
    fn new(depth: u16) -> Self {
        let name = DeviceName::new(&"shuffled");
        let info = DeviceInfo { name, size_bytes: 1 << 20, queue_depth: depth, read_only: false, is_shared: false };
        Self { info, held: RefCell::new((0..depth).map(|_| None).collect()) }
    }

    /// Completes a request; false if there is none under way.
    fn complete_one(&self, random: &mut Random) -> bool {
        let mut held = self.held.borrow_mut();
        let mut under_way: StdVec<_> = held.iter_mut().flatten().filter(|held| !held.is_done).collect();
        if under_way.is_empty() {
            return false;
        }
        let chosen = random.below(under_way.len() as u64) as usize;
        under_way[chosen].is_done = true;
        let waker = under_way[chosen].waker.take();
        drop(held);
        waker.into_iter().for_each(Waker::wake);
        true
    }
}

impl BlockDevice for &Shuffled {
    fn info(&self) -> &DeviceInfo {
        &self.info
    }

    fn submit(&self, ticket: Ticket, request: Request) {
        let place = &mut self.held.borrow_mut()[usize::from(ticket.0)];
        assert!(place.is_none(), "a ticket in use was used again");
        *place = Some(Held { buffer: Some(request.buffer), is_done: false, waker: None });
    }

    fn poll(&self, ticket: Ticket, cx: &mut Context<'_>) -> Poll<Completion> {
        let place = &mut self.held.borrow_mut()[usize::from(ticket.0)];
        let held = place.as_mut().expect("only requests under way are polled");
        if !held.is_done {
            held.waker = Some(cx.waker().clone());
            return Poll::Pending;
        }
        let buffer = held.buffer.take().expect("completed once");
        *place = None;
        Poll::Ready(Completion { buffer, result: Ok(()) })
    }

    fn poll_reset(&self, _: &mut Context<'_>) -> Poll<Result<(), DeviceError>> {
        Poll::Ready(Ok(()))
    }
}

#[derive(Default)]
struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

type Work = Pin<Box<dyn Future<Output = ()>>>;

/// Held by a task that looks at a request which stays when the task goes.
struct Looking<'d>(&'d Disk, RequestId);

impl Drop for Looking<'_> {
    fn drop(&mut self) {
        self.0.leave(self.1);
    }
}

/// The work of one of the tasks on the disk.
fn work(disk: &Rc<Disk>, ahead: &Rc<RefCell<StdVec<RequestId>>>, random: &mut Random) -> Work {
    let (disk, ahead) = (Rc::clone(disk), Rc::clone(ahead));
    let gives_up = random.below(4) == 0;
    match random.below(6) {
        // Reads ahead that may never be looked at.
        0 | 1 => Box::pin(async move {
            let mut request = Some(Request::new(Operation::Read(DeviceOffset(0)), buffer()));
            let started = disk.start_ahead(&mut request);
            ahead.borrow_mut().extend(started);
        }),
        // Looks at such a read, or drops it.
        2 => Box::pin(async move {
            let Some(id) = ahead.borrow_mut().pop() else { return };
            if gives_up {
                return disk.abandon(id);
            }
            let _looking = Looking(&disk, id);
            poll_fn(|cx| disk.poll(id, cx)).await.unwrap();
        }),
        3 => Box::pin(async move { disk.flush().await.unwrap() }),
        4 => Box::pin(async move { drop(disk.write(DeviceOffset(0), buffer()).await.unwrap()) }),
        _ => Box::pin(async move { disk.free_ticket().await.unwrap() }),
    }
}

/// Runs tasks that are polled only when woken, until all are done. One of them goes away while it waits. The device completes a
/// request when no task is ready, and now and then; time stands still, so that no deadline helps.
fn run_all(device: &Shuffled, mut tasks: StdVec<(Arc<Woken>, Work)>, random: &mut Random, case: (u16, u64)) {
    let mut goes_after = random.below(3 * tasks.len() as u64);
    while !tasks.is_empty() {
        if goes_after == 0 {
            drop(tasks.swap_remove(random.index(tasks.len())));
        }
        goes_after = goes_after.wrapping_sub(1);
        let awake: StdVec<_> = (0..tasks.len()).filter(|task| tasks[*task].0.0.load(Ordering::Relaxed)).collect();
        if awake.is_empty() || random.below(4) == 0 {
            let is_stuck = !device.complete_one(random) && awake.is_empty() && !tasks.is_empty();
            assert!(!is_stuck, "{case:?}: {} tasks wait, and nothing that is under way wakes them", tasks.len());
        }
        if awake.is_empty() {
            continue;
        }
        let chosen = random.pick(&awake);
        let (woken, work) = &mut tasks[chosen];
        woken.0.store(false, Ordering::Relaxed);
        let waker = Waker::from(Arc::clone(woken));
        if work.as_mut().poll(&mut Context::from_waker(&waker)).is_ready() {
            drop(tasks.swap_remove(chosen));
        }
    }
}

#[test]
fn no_order_of_requests_holds_all_tickets_for_ever() {
    for case @ (depth, seed) in (1..=64).flat_map(|depth| (0..10).map(move |seed| (depth, seed))) {
        let mut random = Random::new(seed << 8 | u64::from(depth));
        let device = leaked(Shuffled::new(depth));
        let boxed = boxed_device(HEAP, device).unwrap();
        let disk = Rc::new(Disk::new(HEAP, boxed, &Still, DiskOptions::default()).unwrap());
        let ahead = Rc::new(RefCell::new(StdVec::new()));
        for _ in 0..30 {
            let count = 2 + random.below(u64::from(depth) + 6);
            let awake = || Arc::new(Woken(AtomicBool::new(true)));
            let tasks = (0..count).map(|_| (awake(), work(&disk, &ahead, &mut random))).collect();
            run_all(device, tasks, &mut random, case);
        }
    }
}

#[test]
fn what_was_read_ahead_is_kept_until_it_is_looked_at() {
    let device = leaked(Shuffled::new(2));
    let disk = Disk::new(HEAP, boxed_device(HEAP, device).unwrap(), &Still, DiskOptions::default()).unwrap();
    let mut random = Random::new(1);
    let mut cx = Context::from_waker(Waker::noop());
    let mut ids: Vec<RequestId> = Vec::new_in(HEAP);
    for _ in 0..10 {
        let mut request = Some(Request::new(Operation::Read(DeviceOffset(0)), buffer()));
        let mut waiting = pin!(disk.free_ticket());
        assert!(matches!(waiting.as_mut().poll(&mut cx), Poll::Ready(Ok(()))));
        memory::push(&mut ids, disk.start_ahead(&mut request).expect("a ticket is free")).unwrap();
        device.complete_one(&mut random);
    }
    for id in ids {
        assert!(matches!(disk.poll(id, &mut cx), Poll::Ready(Ok(_))));
    }
    assert_eq!(disk.in_flight(), 0);
}
