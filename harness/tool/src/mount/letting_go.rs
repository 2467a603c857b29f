//! Answers that name files: a file that the kernel knows and that loses its last name stays open until the kernel has forgotten
//! it.

use std::time::Duration;

use fuser::{Errno, ReplyEntry};
use hammer2_core::fs::Error;
use hammer2_core::media::Inum;
use hammer2_host::clock::HostClock;

use super::asked::Entry;
use super::attributes::Facts;
use super::refusal::Refusal;
use super::server::Server;

impl Server {
    /// Answers with a file, which the kernel knows from then on.
    pub(super) fn reply_entry(&self, found: Result<Facts, Refusal>, reply: ReplyEntry) {
        match found {
            Ok(facts) => {
                self.known.count(facts.inum());
                reply.entry(&facts.kept, &facts.attr, facts.generation);
            }
            Err(refusal) => reply.error(self.refuse(refusal)),
        }
    }

    /// The same; a missing name is an answer, too, which the kernel remembers.
    pub(super) fn reply_found(&self, found: Result<Facts, Refusal>, reply: ReplyEntry) {
        match found {
            Err(Refusal { errno: Errno::ENOENT, .. }) => {
                let Facts { attr, kept, generation } = Facts::NOTHING;
                reply.entry(&kept, &attr, generation);
            }
            found => self.reply_entry(found, reply),
        }
    }

    /// Runs a removal that may take a file's last name. A file that the kernel knows stays until the kernel forgets it.
    pub(super) async fn keeping_known(
        &self,
        entry: &Entry,
        removal: impl AsyncFn() -> Result<(), Error>,
    ) -> Result<(), Error> {
        let file = match self.fs.lookup(entry.directory, entry.name()).await {
            Ok(file) if self.known.has(file) => file,
            // The removal itself reports what is wrong.
            _ => return removal().await,
        };
        self.fs.open(file).await?;
        let removed = removal().await;
        let is_nameless = self.fs.attributes(file).await.is_ok_and(|attributes| attributes.links == 0);
        if !is_nameless || !self.known.has(file) || !self.known.note_nameless(file) {
            self.let_go(file).await;
        }
        removed
    }

    /// The kernel has no more use for so many of the answers that named a file.
    pub(super) async fn forget(&self, file: Inum, answers: u64) {
        if self.known.forget(file, answers) {
            self.let_go(file).await;
        }
    }

    /// Closes a file, which is removed if it has no name any more. If that fails, it is tried again later.
    pub(super) async fn let_go(&self, file: Inum) {
        match self.fs.release(file).await {
            // The file is gone already, or was closed now.
            Ok(()) | Err(Error::NotFound) => {}
            Err(error) => {
                log::debug!("inode {file} is let go later: {error}");
                self.known.note_unreleased(file);
            }
        }
    }

    /// Closes the files that couldn't be closed so far.
    async fn let_go_leftovers(&self) {
        for file in self.known.take_unreleased() {
            self.let_go(file).await;
        }
    }
}

/// Closes, every now and then, the files that couldn't be closed so far.
pub(super) async fn let_go_now_and_then(server: &Server, clock: &HostClock, period: Duration) {
    loop {
        clock.sleep(period).await;
        let _begun = server.under_way.begin();
        server.let_go_leftovers().await;
    }
}
