//! An administrator's questions and orders to a mount: the state of the cluster, and changes of its members while it is used.
//! The images are locked, so the tool asks the process that serves them. Only root and the user who mounted may ask.

use std::io;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::administration::Administration;
use super::journal::About;
use super::mailbox::Mailbox;
use super::server::Server;
use super::upkeep::Needed;
use crate::admin::socket::Listening;
use crate::admin::wire::{Answer, Asked, HEARTBEAT, Line, Question, Rest, VERSION};
use crate::admin::{Done, EventKind, Order, PausedScrub, Refused, Site, Status, quotas_of, set_quota, while_scrubbing};
use hammer2_core::cluster::NodeIndex;
use hammer2_core::cluster::resync::ResyncCounts;
use hammer2_core::fs::NewAttributes;
use serde_json::Value;

/// How often the progress of a copy is sent.
const BETWEEN_TELLING: Duration = Duration::from_millis(100);

/// The most conversations at a time; further clients are sent away.
const MOST_CONVERSATIONS: usize = 16;

/// How long a question may take, and an answer that the client doesn't read.
const QUESTION_DEADLINE: Duration = Duration::from_secs(5);

/// How long the end of a mount waits until its followers have read of it.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// Listens for orders until it is dropped.
pub(super) struct Ear {
    listening: Arc<Listening>,
    conversations: Arc<Conversations>,
}

/// The conversations under way.
#[derive(Default)]
pub(super) struct Conversations {
    count: Mutex<usize>,
    ended: Condvar,
}

/// Counts a conversation until it is dropped.
struct Talking(Arc<Conversations>);

impl Ear {
    /// Listens from here on for orders to the mount of a directory.
    pub(super) fn on(directory: &Path, mailbox: Arc<Mailbox>) -> io::Result<Self> {
        let listening = Arc::new(Listening::on(directory)?);
        let conversations = Arc::new(Conversations::default());
        let ear = Self { listening: listening.clone(), conversations: conversations.clone() };
        thread::Builder::new().name("orders".into()).spawn(move || hear(&listening, &conversations, &mailbox))?;
        Ok(ear)
    }

    /// Stops listening; conversations under way may go on.
    pub(super) fn close(self) -> Arc<Conversations> {
        self.conversations.clone()
    }
}

impl Conversations {
    fn begin(self: &Arc<Self>) -> Option<Talking> {
        let mut count = self.count.lock().unwrap_or_else(PoisonError::into_inner);
        if *count == MOST_CONVERSATIONS {
            return None;
        }
        *count += 1;
        Some(Talking(self.clone()))
    }

    /// Waits until all answers are sent, but only for so long for clients that don't read them.
    pub(super) fn end(&self) {
        let count = self.count.lock().unwrap_or_else(PoisonError::into_inner);
        drop(self.ended.wait_timeout_while(count, LAST_WORDS, |count| *count > 0));
    }
}

impl Drop for Talking {
    fn drop(&mut self) {
        *self.0.count.lock().unwrap_or_else(PoisonError::into_inner) -= 1;
        self.0.ended.notify_all();
    }
}

impl Drop for Ear {
    fn drop(&mut self) {
        self.listening.end();
    }
}

/// Listens until the mailbox is closed, or listening ends.
fn hear(listening: &Listening, conversations: &Arc<Conversations>, mailbox: &Arc<Mailbox>) {
    loop {
        match listening.next() {
            Ok(stream) => {
                let Some(talking) = conversations.begin() else {
                    let refused = Refused::failed("too many orders at a time: wait for the end of another");
                    // This doesn't wait for the client to read it, as no other client is heard meanwhile.
                    let _ = Line::over(stream, Duration::from_millis(1)).say(&Answer::Ended(Err(refused)));
                    continue;
                };
                let mailbox = mailbox.clone();
                let converse = move || {
                    // A client that hangs up, or sends nonsense, gets no answer.
                    let _ = converse(stream, &mailbox);
                    drop(talking);
                };
                let _ = thread::Builder::new().name("order".into()).spawn(converse);
            }
            Err(_) if mailbox.is_closed() => break,
            // For example, too many files are open.
            Err(_) => thread::sleep(BETWEEN_TELLING),
        }
    }
}

/// One question and its answers.
fn converse(stream: UnixStream, mailbox: &Mailbox) -> io::Result<()> {
    let mut line = Line::over(stream, QUESTION_DEADLINE);
    let Some(Asked { version, question }) = line.hear::<Asked<Value>>()? else { return Ok(()) };
    if version != VERSION {
        let refused = Refused::unusable(format_args!(
            "the mount is served by another version of the tool, which hears orders of version {VERSION}, not {version}: \
             unmount it, and mount it again"
        ));
        return line.say(&Answer::Ended(Err(refused)));
    }
    let question: Question = serde_json::from_value(question)?;
    let (sender, answers) = mpsc::channel();
    if let Question::AtRest = question {
        return keep_at_rest(line, mailbox, sender, &answers);
    }
    mailbox.post(Box::new(move |server| Box::pin(async move { server.answer(question, sender).await })));
    loop {
        match answers.recv_timeout(HEARTBEAT) {
            Ok(answer) => line.say(&answer)?,
            Err(RecvTimeoutError::Timeout) => line.say(&Answer::Working)?,
            // The job has ended, or the mount.
            Err(RecvTimeoutError::Disconnected) => return Ok(()),
        }
    }
}

/// Keeps the disks unchanged for as long as the client says that it needs that, and answers each time with the state.
fn keep_at_rest(
    mut line: Line,
    mailbox: &Mailbox,
    sender: Sender<Answer>,
    answers: &Receiver<Answer>,
) -> io::Result<()> {
    let needed = Arc::new(Needed);
    let weakly = Arc::downgrade(&needed);
    mailbox.post(Box::new(move |server| Box::pin(async move { server.at_rest(weakly, sender).await })));
    // A client that is stopped or gone needs it no more.
    while line.hear::<Rest>()? == Some(Rest::On) {
        match answers.recv_timeout(HEARTBEAT / 2) {
            Ok(answer) => line.say(&answer)?,
            Err(RecvTimeoutError::Timeout) => line.say(&Answer::Working)?,
            Err(RecvTimeoutError::Disconnected) => return Ok(()),
        }
    }
    line.say(&Answer::told())
}

impl Server {
    /// Prepares for the new options that the kernel is given next.
    async fn prepare_remount(&self, read_only: bool) -> Result<Done, Refused> {
        match (read_only, self.administration.read_only) {
            (false, true) => Err(Refused::unusable(
                "it was mounted read-only, and its disks are shared: unmount it, and mount it again",
            )),
            (true, false) => {
                self.fs.sync().await.map(|()| Done::Changed { snapshots_lacking: 0 }).map_err(Refused::failed)
            }
            _ => Ok(Done::Changed { snapshots_lacking: 0 }),
        }
    }

    async fn answer(&self, question: Question, sender: Sender<Answer>) {
        let say = |answer| {
            // The client may be gone; its order is carried out all the same.
            let _ = sender.send(answer);
        };
        let Administration { images, open, busy, .. } = &self.administration;
        let order = match question {
            Question::Status => {
                let none = || Refused::unusable(images.no_cluster());
                // The state of unused disks may be out of date. A disk that doesn't answer leaves, and is reported.
                if let Err(error) = self.fs.probe().await {
                    return say(Answer::Ended(Err(Refused::failed(error))));
                }
                return say(match Status::of(&self.fs, images).await {
                    Some(mut status) => {
                        for member in self.fs.member_statuses() {
                            if let Some(since) = self.last_seen.since(member.node) {
                                status.note_since(member.node, since);
                            }
                        }
                        Answer::Status(status)
                    }
                    None => Answer::Ended(Err(none())),
                });
            }
            Question::Pfss => {
                let told = self.list_pfss(&sender).await;
                return say(Answer::Ended(Ok(told)));
            }
            Question::Info => {
                say(Answer::Nodes(self.describe_nodes()));
                let told = self.list_pfss(&sender).await;
                return say(Answer::Ended(Ok(told)));
            }
            Question::CreatePfs { label, kind, clid } => {
                let made = self.create_pfs(&label, &kind, clid.as_deref()).await;
                return say(Answer::Ended(made));
            }
            Question::DeletePfs { label, force } => {
                return say(Answer::Ended(self.delete_pfs(&label, force).await));
            }
            Question::Bulkfree { discard } => return say(Answer::Ended(self.bulkfree(discard, &sender).await)),
            Question::Quotas { path, below } => {
                let told = quotas_of(&self.fs, &path, below).await;
                return say(Answer::Ended(told.map(Done::Quotas)));
            }
            Question::SetQuota { path, bytes, inodes } => {
                let set = set_quota(&self.fs, &path, bytes, inodes).await;
                return say(Answer::Ended(set.map(|()| Done::Changed { snapshots_lacking: 0 })));
            }
            Question::Remount { read_only } => return say(Answer::Ended(self.prepare_remount(read_only).await)),
            Question::Snapshot { label } => return say(Answer::Ended(self.snapshot_for_owner(label).await)),
            Question::Grow { volume_bytes } => return say(Answer::Ended(self.grow(volume_bytes).await)),
            Question::Stat { path } => return say(Answer::Ended(self.stat(&path).await)),
            Question::SetMethods { path, compression, check, recursive } => {
                let new = NewAttributes { comp_algo: compression, check_algo: check, ..NewAttributes::default() };
                return say(Answer::Ended(self.set_methods(&path, &new, recursive).await));
            }
            Question::Events { past, future } => return self.journal.tell(past, future, sender.clone()),
            Question::PauseScrub => return say(Answer::Ended(self.pause_scrub().await)),
            Question::Metrics => {
                self.metrics().into_iter().for_each(|metric| say(Answer::Metric(metric)));
                return say(Answer::told());
            }
            // This question has a conversation of its own.
            Question::AtRest => return,
            Question::Order(order) => order,
        };
        if busy.replace(true) {
            return say(Answer::Ended(Err(Refused::failed("another order is being carried out: wait for its end"))));
        }
        let mut told: Option<Instant> = None;
        let mut show = |node: NodeIndex, counts: &ResyncCounts| {
            if told.is_none_or(|told| told.elapsed() >= BETWEEN_TELLING) {
                told = Some(Instant::now());
                say(Answer::Copied { called: images.called(node), copied: (*counts).into() });
            }
        };
        let pauses = || self.administration.pausing.get();
        let site = Site { fs: &self.fs, images, open, pauses: &pauses };
        let work = site.carry_out(&order, &mut show);
        let done = if order.is_scrub() {
            let show = |scrubbing| say(Answer::Scrubbing(scrubbing));
            self.scrub(&order, while_scrubbing(&self.fs, self.patience.clock(), work, show)).await
        } else {
            work.await
        };
        busy.set(false);
        say(Answer::Ended(done));
    }

    /// Carries a scrub out, and reports its beginning and end.
    async fn scrub(&self, order: &Order, work: impl Future<Output = Result<Done, Refused>>) -> Result<Done, Refused> {
        let Administration { scrubbing, pausing, .. } = &self.administration;
        let text = match order {
            // Then nothing begins.
            Order::ResumeScrub if PausedScrub::read(self.fs.pfs().clid).is_none() => return work.await,
            Order::ResumeScrub => "it goes on where it was paused",
            _ => "all of it is read",
        };
        self.journal.note(EventKind::ScrubBegun, About::default(), text);
        pausing.set(false);
        scrubbing.set(true);
        let done = work.await;
        scrubbing.set(false);
        pausing.set(false);
        let (kind, text) = match &done {
            Ok(Done::Scrubbed { counts, unread }) => {
                (EventKind::ScrubEnded, format!("{counts}, {} members unread", unread.len()))
            }
            Ok(Done::Paused(so_far)) => (EventKind::ScrubPaused, format!("{so_far}")),
            Ok(_) => (EventKind::ScrubEnded, String::new()),
            Err(why) => (EventKind::ScrubEnded, why.to_string()),
        };
        self.journal.note(kind, About::default(), text);
        done
    }

    /// Makes the scrub pause, and waits until it does.
    async fn pause_scrub(&self) -> Result<Done, Refused> {
        let administration = &self.administration;
        if !administration.pause_scrub() {
            let place = administration.images.place();
            return Err(Refused::unusable(format_args!("no scrub is under way: `hammer2 scrub {place}` begins one")));
        }
        while administration.scrubbing.get() {
            self.patience.clock().sleep(BETWEEN_TELLING).await;
        }
        Ok(Done::Changed { snapshots_lacking: 0 })
    }
}
