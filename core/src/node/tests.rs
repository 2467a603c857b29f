//! A node by itself.

use core::future::Future;
use core::pin::pin;
use core::task::{Context, Poll, Waker};

use allocator_api2::alloc::Global;

use super::*;
use crate::io::{Clock, Instant, ReadError};
use crate::newfs::NewfsOptions;
use crate::selftest::image::{Image, Spread};

const HEAP: Heap = &Global;

/// Disks in memory answer at once, so time may stand still.
struct Still;

impl Clock for Still {
    fn now(&self) -> Instant {
        Instant { nanoseconds: 0 }
    }

    fn wake_at(&self, _: Instant, _: &Waker) {}
}

fn now<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(done) => done,
        Poll::Pending => panic!("disks in memory answer at once"),
    }
}

fn node() -> Node {
    let image = now(Image::format(HEAP, &Still, &[1 << 30], &NewfsOptions::default(), Spread::Packed, 7)).unwrap();
    now(open(HEAP, image.open(HEAP, &Still).unwrap(), NodeOptions::default())).unwrap()
}

#[test]
fn the_limit_of_modified_memory_is_on_again_after_a_failure() {
    let node = node();
    let mut calls = 0;
    let failed = now(node.change(|topology, _, _| {
        calls += 1;
        // Everything was written for it, and it still fails.
        assert_eq!(topology.ignore_limit, calls == 2);
        let no_memory = ChainError::new(&Blockref::EMPTY, ReadError::NoMemory);
        Err::<(), _>(if calls == 1 { Stop::Full } else { Stop::Failed(no_memory) })
    }));
    assert_eq!((failed, calls), (Err(NodeError::NoMemory), 2));
    assert!(!node.topology.borrow().ignore_limit);
}
