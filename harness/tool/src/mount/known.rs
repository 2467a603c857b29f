//! Which files the kernel knows: it may ask for one that has lost its last name as long as somebody has it open, stands in it, or
//! holds it in any other way.
//!
//! Every answer that names a file is counted, and forgetting counts back. A file that loses its last name stays open until the
//! kernel has forgotten it. What was kept when a server crashed goes with the next mount (`hammer2_core::fs`).

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::time::Duration;

use fuser::{Errno, ReplyEntry};
use hammer2_core::fs::Error;
use hammer2_core::media::Inum;
use hammer2_host::clock::HostClock;

use super::attributes::Facts;
use super::names::Entry;
use super::refusal::Refusal;
use super::server::Server;

/// The files that the kernel knows.
#[derive(Default)]
pub(super) struct Known {
    /// How many answers have named them.
    answers: RefCell<HashMap<Inum, u64>>,
    /// Those of them that have no name any more, and are open for the kernel's sake.
    nameless: RefCell<HashSet<Inum>>,
    /// Closed, but something went wrong when they were let go: once for each time.
    unreleased: RefCell<Vec<Inum>>,
}

impl Known {
    /// Counts an answer that names a file; to be done before it is sent.
    pub(super) fn count(&self, file: Inum) {
        *self.answers.borrow_mut().entry(file).or_default() += 1;
    }

    fn has(&self, file: Inum) -> bool {
        self.answers.borrow().contains_key(&file)
    }

    /// Counts answers back; true when that was the last of a file without a name.
    fn forget(&self, file: Inum, answers: u64) -> bool {
        let known = &mut *self.answers.borrow_mut();
        let Some(left) = known.get_mut(&file) else { return false };
        *left = left.saturating_sub(answers);
        if *left > 0 {
            return false;
        }
        known.remove(&file);
        self.nameless.borrow_mut().remove(&file)
    }
}

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

    /// The same; that there is nothing is an answer, too, and the kernel remembers it.
    pub(super) fn reply_found(&self, found: Result<Facts, Refusal>, reply: ReplyEntry) {
        match found {
            Err(Refusal { errno: Errno::ENOENT, .. }) => {
                let Facts { attr, kept, generation } = Facts::NOTHING;
                reply.entry(&kept, &attr, generation);
            }
            found => self.reply_entry(found, reply),
        }
    }

    /// Does what may take the last name of what is called so. A file that the kernel knows stays until that forgets it.
    pub(super) async fn keeping_known(
        &self,
        entry: &Entry,
        removal: impl AsyncFn() -> Result<(), Error>,
    ) -> Result<(), Error> {
        let file = match self.fs.lookup(entry.directory, entry.name()).await {
            Ok(file) if self.known.has(file) => file,
            // What is wrong, the removal says.
            _ => return removal().await,
        };
        self.fs.open(file).await?;
        let removed = removal().await;
        let is_nameless = self.fs.attributes(file).await.is_ok_and(|attributes| attributes.links == 0);
        if !is_nameless || !self.known.has(file) || !self.known.nameless.borrow_mut().insert(file) {
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

    /// Closes a file; it goes if it has no name any more. What can't be done now is done later.
    pub(super) async fn let_go(&self, file: Inum) {
        match self.fs.release(file).await {
            // Gone, but for what went wrong then.
            Ok(()) | Err(Error::NotFound) => {}
            Err(error) => {
                log::debug!("inode {file} is let go later: {error}");
                self.known.unreleased.borrow_mut().push(file);
            }
        }
    }

    /// Lets go what couldn't be let go so far.
    async fn let_go_leftovers(&self) {
        for file in self.known.unreleased.take() {
            self.let_go(file).await;
        }
    }
}

/// Lets go every now and then what couldn't be let go so far.
pub(super) async fn let_go_now_and_then(server: &Server, clock: &HostClock, period: Duration) {
    loop {
        clock.sleep(period).await;
        let _begun = server.under_way.begin();
        server.let_go_leftovers().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_known_until_all_answers_are_forgotten() {
        let (known, file) = (Known::default(), Inum(1000));
        known.count(file);
        known.count(file);
        known.nameless.borrow_mut().insert(file);
        assert!(!known.forget(file, 1) && known.has(file));
        assert!(known.forget(file, 1) && !known.has(file));
        // What was never counted, or is forgotten too often, does no harm.
        assert!(!known.forget(file, u64::MAX) && !known.forget(Inum(7), 1));
    }

    #[test]
    fn what_has_a_name_is_only_forgotten() {
        let (known, file) = (Known::default(), Inum(1000));
        known.count(file);
        assert!(!known.forget(file, 5) && !known.has(file));
    }
}
