//! The filesystem's own upkeep, as it ships: in some mounts, it brings nodes back, makes everything durable and frees space by
//! itself, whatever clients do meanwhile.

use std::cell::Cell;
use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;

use hammer2_core::cluster::{MAX_NODES, NodeIndex};
use hammer2_core::fs::{Attendant, Event, Pace};
use hammer2_core::io::Duration;

use crate::chronicle::What;
use crate::session::{Administering, Session};

/// Often enough to make a difference while clients work.
const PACE: Pace = Pace {
    looks: Duration::from_millis(5),
    first_try: Duration::from_millis(20),
    most_between_tries: Duration::from_secs(1),
    sync_every: Some(Duration::from_millis(20)),
};

/// The receiver of the filesystem's reports on its upkeep.
struct Kept<'s, 'w> {
    session: &'s Session<'w>,
    trying: [Cell<Option<Administering<'s>>>; MAX_NODES],
    syncing: Cell<Option<Administering<'s>>>,
}

/// Does some work, while the filesystem looks after itself.
pub(crate) async fn keeping(session: &Session<'_>, work: impl Future<Output = ()>) {
    let kept = Kept { session, trying: [const { Cell::new(None) }; MAX_NODES], syncing: Cell::new(None) };
    let (mut work, mut keeping) = (pin!(work), pin!(session.fs.keep(&kept, &PACE)));
    poll_fn(|cx| match work.as_mut().poll(cx) {
        Poll::Ready(()) => Poll::Ready(()),
        Poll::Pending => keeping.as_mut().poll(cx),
    })
    .await;
}

impl Attendant for Kept<'_, '_> {
    fn may_repair(&self) -> bool {
        !self.session.is_over.get()
    }

    fn trying(&self, node: NodeIndex, is_trying: bool) {
        if is_trying {
            self.session.world.may_lose_snapshots(node);
        }
        self.trying[usize::from(node.0)].set(is_trying.then(|| self.session.administering()));
    }

    fn syncing(&self, is_syncing: bool) {
        self.syncing.set(is_syncing.then(|| self.session.administering()));
    }

    fn tell(&self, event: Event<'_>) {
        log::info!("kept: {event:?}");
        self.session.world.tell(|| What::Kept { text: format!("{event:?}") });
        match event {
            Event::Back { .. } | Event::Counts { .. } => self.session.world.verdict("brought-back"),
            Event::NotDurable { error } => self.session.judge("keeping everything durable", &error, true),
            _ => {}
        }
    }
}
