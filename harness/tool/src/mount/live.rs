//! The work that a mount does by itself, beside the requests, from its beginning to its end.

use std::rc::Rc;
use std::sync::Arc;

use super::absent::take_in_absent;
use super::durable::{Undurable, sync_at_last};
use super::fence::tell_when_fenced;
use super::inside::Inside;
use super::journal::About;
use super::letting_go::let_go_now_and_then;
use super::nodes;
use super::orders::{Conversations, Ear};
use super::run::{EndError, MountPoint};
use super::server::Server;
use super::watch::watch;
use crate::admin::{EventKind, Known};

impl MountPoint {
    /// Runs inside until the mailbox is closed, and makes everything durable at the end. By then the filesystem is dropped: the
    /// images are free once this returns.
    pub(super) async fn live(
        &self,
        inside: &Inside,
        ear: Option<Ear>,
    ) -> (Result<(), EndError>, Option<Arc<Conversations>>) {
        let Some(server) = inside.server() else { return (Ok(()), None) };
        self.begin(inside, &server);
        while let Some(job) = self.mailbox.next().await {
            inside.begin(job);
        }
        inside.close();
        let conversations = ear.map(Ear::close);
        server.journal.note(EventKind::Unmounted, About::default(), "it is unmounted");
        server.journal.end();
        server.patience.end();
        // The scrub can go on in the next mount.
        server.administration.pause_scrub();
        server.under_way.ended().await;
        let ended = if self.read_only { Ok(()) } else { sync_at_last(&server, self.clock, &self.given_up).await };
        inside.executor.clear();
        let Some(server) = Rc::into_inner(server) else { unreachable!("the tasks were the only others that had it") };
        let images = server.administration.images.clone();
        let ended = match ended {
            Ok(()) => {
                let words = |error| EndError::Unmount(Known::new(&images, []).at_the_end().error(&error));
                server.fs.unmount().await.map(drop).map_err(words)
            }
            Err(Undurable::Failed(error)) => {
                Err(EndError::Unmount(Known::of_mount(&images, &server.fs).at_the_end().error(&error)))
            }
            Err(Undurable::GivenUp) => Err(EndError::GivenUp),
        };
        (ended, conversations)
    }

    /// Begins the tasks that run as long as the mount lives.
    fn begin(&self, inside: &Inside, server: &Rc<Server>) {
        let (clock, changes) = (self.clock, !self.read_only);
        let how = if changes { "it is mounted" } else { "it is mounted, read-only" };
        server.journal.note(EventKind::Mounted, About::default(), how);
        if let Some(period) = self.sync_every {
            let server = server.clone();
            inside.executor.spawn(async move { let_go_now_and_then(&server, clock, period).await });
        }
        if changes {
            let (fenced, absent) = (server.clone(), server.clone());
            inside.executor.spawn(async move { tell_when_fenced(&fenced, clock).await });
            inside.executor.spawn(async move { take_in_absent(&absent, clock).await });
        }
        let (watched, kept, sync_every) = (server.clone(), server.clone(), self.sync_every);
        inside.executor.spawn(async move { watch(&watched, clock, changes).await });
        inside.executor.spawn(async move { nodes::look_after(&kept, changes, sync_every).await });
    }
}
